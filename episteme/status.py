"""What parts of a database tell of themselves, for the report that StatusReport puts together.

Source: docs/http.md.
"""

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
