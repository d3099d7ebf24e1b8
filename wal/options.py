"""What the opener of a log may choose: bounds, durability, retention."""

from typing import Annotated, Final, Literal, NamedTuple

_WAIT_S_MAX: Final = 86_400
SEGMENT_BYTES_MAX: Final = 2**32  # what a reader may have to walk when an index is lost


class Interval(NamedTuple):
    """Synced at least every ms milliseconds while something waits for it."""

    ms: int


# "durable": a ticket resolves after the fsync that covers its frames.  Interval and "os": it resolves when
# the system has them, which a killed process survives and a power cut may not.
Durability = Literal["durable", "os"] | Interval
WhenFull = Literal["raise", "block"]


class Retention(NamedTuple):
    """When a log lets go what is oldest, a whole sealed segment at a time; None: never for that reason.

    A segment goes when the frames after it alone reach count_min or bytes_min, or when its last frame is
    older than age_ms: one reason is enough.  It is looked at whenever a new segment begins.
    """

    count_min: int | None = None  # frames
    bytes_min: int | None = None  # of segment files
    age_ms: int | None = None


class LogOptions(NamedTuple):
    """Bounds of a log, and what its tickets mean."""

    segment_bytes: Annotated[int, "what is walked at open if the index is lost: well under a second"] = 64 * 1024 * 1024
    pending_bytes_max: Annotated[int, "what may wait for the disk before appends are refused or block"] = (
        64 * 1024 * 1024
    )
    reserve_bytes: Annotated[int, "space ahead: an fsync that need not grow the file is faster; 0: none"] = 256 * 1024
    durability: Durability = "durable"
    when_full: Annotated[WhenFull, "what becomes of an append that finds too much waiting for the disk"] = "raise"
    full_wait_s: Annotated[float, "how long an append that blocks waits for room before it is refused after all"] = 30.0
    retention: Retention = Retention()


def check_options(options: LogOptions) -> LogOptions:
    """Give the options back.

    Raises: ValueError, with the name, what it is and what it may be.
    """
    _check_range("segment_bytes", options.segment_bytes, 1, SEGMENT_BYTES_MAX)
    _check_range("pending_bytes_max", options.pending_bytes_max, 1, 2**40)
    _check_range("reserve_bytes", options.reserve_bytes, 0, 2**30)
    check_durability(options.durability)
    if options.when_full not in ("raise", "block"):
        raise ValueError(f"when_full is {options.when_full!r}; it may be 'raise' or 'block'")
    if not isinstance(options.full_wait_s, int | float) or not 0 <= options.full_wait_s <= _WAIT_S_MAX:
        raise ValueError(f"full_wait_s is {options.full_wait_s!r}; it may be 0 to {_WAIT_S_MAX}")
    if not isinstance(options.retention, Retention):
        raise ValueError(f"retention is {options.retention!r}; it must be a Retention")
    for name, value in options.retention._asdict().items():
        if value is not None:
            _check_range(f"retention.{name}", value, 0, 2**63 - 1)
    return options


def check_durability(durability: Durability) -> None:
    """Raises: ValueError for anything but "durable", "os" or a positive interval."""
    if isinstance(durability, Interval):
        _check_range("interval ms", durability.ms, 1, 3_600_000)
    elif durability not in ("durable", "os"):
        raise ValueError(f"durability is {durability!r}; it may be 'durable', 'os' or Interval(ms)")


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}; it must be a whole number")
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; it may be {low} to {high}")
