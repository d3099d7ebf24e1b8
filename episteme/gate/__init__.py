"""The gate: decides whether a submission may be appended, in a fixed order, cheap checks before dear ones."""

from episteme.gate.admission import (
    ENVELOPE_BYTES_MAX,
    EVENT_BYTES_MAX,
    admit,
    check_audience,
    check_count,
    envelope_line,
    readmit,
    split_lines,
)
from episteme.gate.intake import Chunk, Deliver, DeliverAll, Intake, IntakeOptions
from episteme.gate.meter import Meter, QuotaOptions, Standing
from episteme.gate.plan import Outcome
from episteme.gate.verification import Judged, Submission, judge, verify, verify_all

__all__ = [
    "ENVELOPE_BYTES_MAX",
    "EVENT_BYTES_MAX",
    "Chunk",
    "Deliver",
    "DeliverAll",
    "Intake",
    "IntakeOptions",
    "Judged",
    "Meter",
    "Outcome",
    "QuotaOptions",
    "Standing",
    "Submission",
    "admit",
    "check_audience",
    "check_count",
    "envelope_line",
    "judge",
    "readmit",
    "split_lines",
    "verify",
    "verify_all",
]
