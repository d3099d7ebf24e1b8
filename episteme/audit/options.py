"""Bounds of the audit.  Source: docs/operations.md, "Settings"."""

from typing import Annotated, Final, NamedTuple

LOG_BYTES_MIN: Final = 64 * 1024  # below that a segment is a handful of audits


class AuditOptions(NamedTuple):
    """What is recorded, how soon it is on the disk, and how much of it is kept."""

    # A server records; who has the database in process asks for it.
    enabled: Annotated[bool, "whether every answer is recorded, with who asked and why"] = False
    queue_count_max: Annotated[
        int, "answers that wait to be written: a second of them; beyond it audits are dropped"
    ] = 10_000
    linger_ms: Annotated[int, "how long answers gather before they are written together"] = 100
    # A killed process loses what is in the queue besides.
    sync_ms: Annotated[
        int | None, "within what time audits are synced, which a power cut may lose; none: left to the system"
    ] = 1000
    contributions_max: Annotated[
        int, "hashes of assertions that an audit holds: as many as an answer shows by default"
    ] = 100
    log_bytes_max: Annotated[int, "what the log of audits may take; the oldest go, from the state as well"] = (
        1024 * 1024 * 1024
    )
    memory_bytes: Annotated[int, "of the audits' engines; with less, RocksDB rewrites more of it more often"] = (
        64 * 1024 * 1024
    )
    retry_s: Annotated[float, "after a failure, how long until the audits' folder is tried again"] = 30.0
    read_wait_s: Annotated[float, "how long a list of audits waits for what was answered before it"] = 5.0
    close_wait_s: Annotated[float, "how long closing waits for the queue of audits to be written"] = 30.0


def check_options(options: AuditOptions) -> AuditOptions:
    """Give the options back.

    Raises: ValueError, with the name, what it is and what it may be.
    """
    least = {
        "queue_count_max": 1,
        "linger_ms": 0,
        "contributions_max": 0,
        "log_bytes_max": LOG_BYTES_MIN,
        "memory_bytes": 1024 * 1024,
        "retry_s": 0,
        "read_wait_s": 0,
        "close_wait_s": 0,
    }
    for name, low in least.items():
        if not getattr(options, name) >= low:
            raise ValueError(f"audit.{name} is {getattr(options, name)}; it is {low} or more")
    if options.sync_ms is not None and not 1 <= options.sync_ms <= 3_600_000:
        raise ValueError(f"audit.sync_ms is {options.sync_ms}; it is 1 to 3,600,000, or None")
    return options
