"""What the conformance suite of logs is written with."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, Protocol

from tests.support.faulty_files import WAIT_S
from tests.support.logs import ALL, TIME_MS
from wal.commit import Ticket
from wal.format import FLAG_SYNCED, Frame
from wal.options import LogOptions
from wal.protocol import Log, LogReader

SEGMENT_EACH: Final = LogOptions(segment_bytes=1, reserve_bytes=0)  # every append makes a segment

Append = Callable[[Log, Sequence[tuple[int, bytes]]], Ticket]

APPENDS: Final[dict[str, Append]] = {
    "append_many": lambda log, items: log.append_many(items),
    "append_batch": lambda log, items: log.append_batch(items),
    "append_if_next_seq": lambda log, items: log.append_if_next_seq(log.next_seq, items),
}


class Clock:
    """Milliseconds that stand still unless a test moves them."""

    def __init__(self, now_ms: int = TIME_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


class MakeLog(Protocol):
    """Opens a new, empty log; the fixture closes it after the test."""

    def __call__(self, options: LogOptions = ..., clock_ms: Callable[[], int] = ...) -> Log: ...


def fill(log: Log, count: int) -> list[Frame]:
    """Append so many frames, each waited for; give them as read then."""
    start = log.next_seq
    return [log.get(log.append(b"payload %d" % seq, seq % 5).wait(WAIT_S)) for seq in range(start, start + count)]


def read_all(log: LogReader) -> list[Frame]:
    """All frames that are kept."""
    return log.read_from(log.first_seq, count_max=ALL, bytes_max=ALL)


def seqs_of(frames: Sequence[Frame]) -> list[int]:
    return [frame.seq for frame in frames]


def flags_of(frames: Sequence[Frame]) -> list[int]:
    """Without the mark that an engine with a disk may put."""
    return [frame.flags & ~FLAG_SYNCED for frame in frames]


def grows(frames: Sequence[Frame]) -> bool:
    return all(before.time < after.time for before, after in pairwise(frames))


def kept_count(log: LogReader) -> int:
    return log.durable_end - log.first_seq
