"""A log that is kept in memory: what the protocol means, written down as plainly as can be.

Owns: a list of frames, for comparison with the file log, for tests and for
scratch use.  Refuses: to outlive its process.  Invariant: an append is visible
and as durable as it will ever be when it returns, so every ticket is done.

Source: docs/format-log.md for times, flags, chain and when a segment starts.
"""

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from wal.commit import DONE, Ticket
from wal.errors import FutureSeq, LogClosed, LogError, PayloadTooLarge, SeqConflict, Truncated, WrongLog
from wal.format import (
    FLAG_MORE,
    FLAG_NONE,
    FRAME_HEADER_BYTES,
    HEADER_BYTES,
    KIND_MAX,
    LOGICAL_BITS,
    PAYLOAD_BYTES_MAX,
    Frame,
    encode_frame,
)
from wal.options import Durability, LogOptions, Retention, check_durability, check_options
from wal.protocol import Cursor, Position
from wal.tail import Subscription


@dataclass(slots=True)
class _Segment:
    """Consecutive frames that go together when they go."""

    count: int = 0
    size_bytes: int = HEADER_BYTES
    last_ms: int = 0


class MemoryLog:
    """One log, for as long as it is open.  What each method means is said at Log and LogReader.  Thread-safe."""

    def __init__(self, *, clock_ms: Callable[[], int], log_id: bytes, options: LogOptions = LogOptions()) -> None:  # noqa: B008  (immutable)
        """clock_ms: milliseconds since 1970.  log_id: 16 random bytes.  Raises: ValueError, also for bad options."""
        if len(log_id) != 16:
            raise ValueError(f"a log id of {len(log_id)} bytes; it must have 16")
        self.log_id = log_id
        self.epoch = 1
        self.owner: str | None = None
        self.failure: LogError | None = None
        self.ended = False
        self.next_seq = 0
        self.last_time = -1  # hybrid time of the last frame appended
        self._options = check_options(options)
        self._clock_ms = clock_ms
        self._changed = threading.Condition()
        self._frames: list[Frame] = []
        self._segments = deque([_Segment()])  # at least one; the last is the newest
        self._chain = 0  # crc of the last frame
        self._watchers: dict[object, Callable[[], None]] = {}

    @property
    def first_seq(self) -> int:
        with self._changed:
            return self.next_seq - len(self._frames)

    @property
    def durable_end(self) -> int:
        return self.next_seq

    def cursor(self, seq: int) -> Cursor:
        return Cursor(self.log_id, seq)

    def append(self, payload: bytes, kind: int, *, durability: Durability | None = None) -> Ticket:
        return self._append([(kind, payload)], FLAG_NONE, durability)

    def append_many(
        self,
        items: Sequence[tuple[int, bytes]],
        *,
        durability: Durability | None = None,
        caller_commits: bool = False,  # noqa: ARG002  (nothing is left to commit)
    ) -> Ticket:
        return self._append(items, FLAG_NONE, durability)

    def append_batch(self, items: Sequence[tuple[int, bytes]], *, durability: Durability | None = None) -> Ticket:
        return self._append(items, FLAG_MORE, durability)

    def append_if_next_seq(
        self, seq: int, items: Sequence[tuple[int, bytes]], *, durability: Durability | None = None
    ) -> Ticket:
        return self._append(items, FLAG_MORE, durability, seq)

    def barrier(self, *, durability: Durability | None = None) -> Ticket:
        return self._append((), FLAG_NONE, durability)

    def resume(self) -> None:
        """There is nothing that could run out."""

    def read_from(self, position: Position, *, count_max: int, bytes_max: int) -> list[Frame]:
        with self._changed:
            index = self._index_of(position)
            return _page((self._frames[i] for i in range(index, len(self._frames))), count_max, bytes_max)

    def read_back(self, position: Position, *, count_max: int, bytes_max: int) -> list[Frame]:
        with self._changed:
            index = self._index_of(position)
            return _page((self._frames[i] for i in range(index - 1, -1, -1)), count_max, bytes_max)

    def get(self, seq: int) -> Frame:
        for frame in self.read_from(seq, count_max=1, bytes_max=1):
            return frame
        raise FutureSeq(seq, seq)

    def seek_time(self, time_ms: int) -> int:
        with self._changed:
            self._check_open()
            return self.first_seq + bisect_left(self._frames, time_ms, key=lambda frame: frame.time_ms)

    def wait_past(self, seq: int, timeout_s: float | None) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self.next_seq > seq or self.ended, timeout_s)
            return self.next_seq > seq

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        token = object()
        self._watchers[token] = callback

        def stop() -> None:
            self._watchers.pop(token, None)

        return stop

    def subscribe(self, position: Position, *, timeout_s: float | None = None) -> Subscription:
        seq = self._seq_of(position)
        if seq > self.next_seq:
            raise FutureSeq(seq, self.next_seq)
        return Subscription(self, seq, timeout_s)

    def close(self) -> None:
        with self._changed:
            was_open, self.ended = not self.ended, True
            self._changed.notify_all()
        if was_open:
            self._call_watchers()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(
        self, items: Sequence[tuple[int, bytes]], flag: int, durability: Durability | None, expected: int | None = None
    ) -> Ticket:
        _check_items(items)
        if durability is not None:
            check_durability(durability)
        with self._changed:
            self._check_open()
            first_seq = self.next_seq
            if expected is not None and expected != first_seq:
                raise SeqConflict(expected, first_seq)
            ticket = Ticket(first_seq, first_seq + len(items) - 1, DONE)
            if not items:
                return ticket
            self._keep(self._frames_of(items, flag))
            self._changed.notify_all()
        self._call_watchers()
        return ticket

    def _frames_of(self, items: Sequence[tuple[int, bytes]], flag: int) -> list[Frame]:
        """The frames of one append, with the chain and the times that follow what is there."""
        frames: list[Frame] = []
        time, chain, last = self.last_time, self._chain, len(items) - 1
        for index, (kind, payload) in enumerate(items):
            time = max(time + 1, self._clock_ms() << LOGICAL_BITS)
            flags = flag if index < last else FLAG_NONE
            frame = Frame(self.next_seq + index, time, kind, flags, payload, chain)
            _, chain = encode_frame(frame.seq, time, kind, flags, chain, payload)
            frames.append(frame)
        self._chain = chain
        return frames

    def _keep(self, frames: list[Frame]) -> None:
        """Put the frames of one append into the newest segment, or into a new one if they do not fit."""
        size_bytes = sum(FRAME_HEADER_BYTES + len(frame.payload) for frame in frames)
        newest = self._segments[-1]
        if newest.count and newest.size_bytes + size_bytes > self._options.segment_bytes:
            newest = _Segment()
            self._segments.append(newest)
            while len(self._segments) > 1 and _may_go(self._segments, self._options.retention, self._clock_ms):
                del self._frames[: self._segments.popleft().count]
        newest.count += len(frames)
        newest.size_bytes += size_bytes
        newest.last_ms = frames[-1].time_ms
        self._frames += frames
        self.last_time = frames[-1].time
        self.next_seq += len(frames)

    def _seq_of(self, position: Position) -> int:
        log_id, seq = position if isinstance(position, Cursor) else (self.log_id, position)
        if log_id != self.log_id:
            raise WrongLog(self.log_id, log_id)
        return seq

    def _index_of(self, position: Position) -> int:
        """Where in the frames kept a position is; their count for the end."""
        seq = self._seq_of(position)
        self._check_open()
        if seq > self.next_seq:
            raise FutureSeq(seq, self.next_seq)
        if seq < self.first_seq:
            raise Truncated(seq, self.first_seq)
        return seq - self.first_seq

    def _check_open(self) -> None:
        if self.ended:
            raise LogClosed("the log was closed")

    def _call_watchers(self) -> None:
        """Without the lock, so that a callback may look at the log from any thread."""
        for callback in tuple(self._watchers.values()):
            callback()


def _check_items(items: Sequence[tuple[int, bytes]]) -> None:
    for kind, payload in items:
        if not 0 <= kind <= KIND_MAX:
            raise ValueError(f"kind {kind} is not 0 to {KIND_MAX}")
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise PayloadTooLarge(f"a payload of {len(payload)} bytes; at most {PAYLOAD_BYTES_MAX}")


def _may_go(segments: Iterable[_Segment], retention: Retention, clock_ms: Callable[[], int]) -> bool:
    """Whether retention lets the oldest of the segments go."""
    oldest, *after = segments
    count_min, bytes_min, age_ms = retention
    return (
        (count_min is not None and sum(segment.count for segment in after) >= count_min)
        or (bytes_min is not None and sum(segment.size_bytes for segment in after) >= bytes_min)
        or (age_ms is not None and clock_ms() - oldest.last_ms > age_ms)
    )


def _page(frames: Iterable[Frame], count_max: int, bytes_max: int) -> list[Frame]:
    """The first of the frames, and more up to the bounds."""
    page: list[Frame] = []
    for frame in frames:
        page.append(frame)
        bytes_max -= len(frame.payload)
        if len(page) >= count_max or bytes_max <= 0:
            break
    return page
