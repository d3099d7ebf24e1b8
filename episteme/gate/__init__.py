"""The gate: decides whether a submission may be appended, in a fixed order, cheap checks before dear ones."""

from episteme.gate.admission import (
    ENVELOPE_BYTES_MAX,
    EVENT_BYTES_MAX,
    admit,
    check_audience,
    envelope_line,
    readmit,
    split_lines,
)
from episteme.gate.intake import Deliver, Intake, IntakeOptions
from episteme.gate.meter import Meter, QuotaOptions, Standing
from episteme.gate.plan import Outcome

__all__ = [
    "ENVELOPE_BYTES_MAX",
    "EVENT_BYTES_MAX",
    "Deliver",
    "Intake",
    "IntakeOptions",
    "Meter",
    "Outcome",
    "QuotaOptions",
    "Standing",
    "admit",
    "check_audience",
    "envelope_line",
    "readmit",
    "split_lines",
]
