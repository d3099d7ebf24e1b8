"""Bounds of the audit.  Source: docs/operations.md, "Settings"."""

from typing import Final, NamedTuple

LOG_BYTES_MIN: Final = 64 * 1024  # below that a segment is a handful of audits


class AuditOptions(NamedTuple):
    """What is recorded, how soon it is on the disk, and how much of it is kept."""

    enabled: bool = False  # a server records; who has the database in process asks for it
    queue_count_max: int = 10_000  # answers that wait to be written: a second of them; beyond it audits are dropped
    linger_ms: int = 100  # how long answers gather before they are written together
    # Within what time what is written is synced, which is what a power cut may lose; None leaves it to the system.
    # A killed process loses what is in the queue.
    sync_ms: int | None = 1000
    contributions_max: int = 100  # hashes of assertions that an audit holds: as many as an answer shows by default
    log_bytes_max: int = 1024 * 1024 * 1024  # what the log of audits may take; the oldest go, from the state as well
    memory_bytes: int = 64 * 1024 * 1024  # of the state's engines; with less, RocksDB rewrites more of it more often
    retry_s: float = 30.0  # after a failure, how long until the folder is tried again
    read_wait_s: float = 5.0  # how long a listing waits for what was answered before it
    close_wait_s: float = 30.0  # how long closing waits for the queue to be written


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
