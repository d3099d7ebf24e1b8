"""What a database tells of how it is.

Source: docs/http.md.
"""

from typing import Literal

from msgspec import Struct


class AuditStatus(Struct, frozen=True):
    """What became of audits since the database was opened.

    written: in the log of audits.  waiting: to be written.  dropped: never taken, for too many waited.  lost: taken,
    and could not be written.  log_bytes: what that log takes on disk; lag: how many are not listed yet; None until
    both are opened.  failure: a code, while audits cannot be written.
    """

    enabled: bool
    written: int
    waiting: int
    dropped: int
    lost: int
    log_bytes: int | None
    lag: int | None
    failure: str | None


class FoldStatus(Struct, frozen=True):
    """How far the fold is; lag counts durable events that are not applied, dead_letters those that could not be."""

    applied_seq: int
    lag: int
    versions: dict[str, int]
    failure: str | None
    dead_letters: int | None  # None where the store cannot be asked


class LogStatus(Struct, frozen=True):
    """The log's end and what it takes on disk."""

    log_id: str
    seq: int
    first_seq: int
    size_bytes: int
    epoch: int
    failure: str | None


class StatusReport(Struct, frozen=True):
    """What /v1/status answers."""

    version: str
    database: str
    ready: bool
    reasons: list[str]
    uptime_s: float
    log: LogStatus
    fold: FoldStatus
    store_bytes: int
    audit: AuditStatus


class Alive(Struct, frozen=True):
    """What /livez answers."""

    status: Literal["alive"] = "alive"


class Readiness(Struct, frozen=True):
    """What /readyz answers: whether reads and writes are taken, and why not."""

    status: Literal["ready", "not-ready"]
    reasons: list[str]
    applied_seq: int
    end_seq: int
