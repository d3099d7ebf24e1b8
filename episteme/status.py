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


class FoldRecord(Struct, frozen=True):
    """One fold, the version of its rules, and the last position that it has applied."""

    name: str
    version: int
    applied_seq: int


class DeadLetterRecord(Struct, frozen=True):
    """An event that a fold could not take, and was passed over; reason: what went wrong, in one line."""

    seq: int
    time_ms: int
    fold: str
    reason: str
    attempts: int


class FoldsReport(Struct, frozen=True):
    """How far the folds are, and what they could not take.

    lag: durable events that are not applied.  failure: a code, once a fold has stopped.  is_outdated: the state was
    made by other versions, and is being made anew.  items: a page of dead letters in log order, of dead_letters_count.
    """

    folds: list[FoldRecord]
    lag: int
    failure: str | None
    is_outdated: bool
    dead_letters_count: int
    items: list[DeadLetterRecord]
    next: str | None
    seq: int


class LogStatus(Struct, frozen=True):
    """The log's end and what it takes on disk."""

    log_id: str
    seq: int
    first_seq: int
    size_bytes: int
    epoch: int
    failure: str | None


class DiskStatus(Struct, frozen=True):
    """Room on the file system of the data folder.

    free_bytes: for the server's user; None where the system does not say.  reserve_bytes: what writes leave free.
    full: writes are refused until there is more room.
    """

    free_bytes: int | None
    reserve_bytes: int
    full: bool


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
    disk: DiskStatus
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
