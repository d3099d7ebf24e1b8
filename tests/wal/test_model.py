"""Random histories of a file log, with openings anew, against the log in memory.

The two share a clock that moves and steps back.  A time may be later in the
file log than in the other, which keeps no tick of its own for the start of a
segment, but never later than the clock ever was.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.faulty_files import WAIT_S
from tests.support.logs import ALL, LOG_ID, open_log
from tests.wal.conformance_tools import Clock, flags_of, grows, read_all
from wal.errors import FutureSeq, SeqConflict, Truncated
from wal.format import Frame
from wal.log import FileLog
from wal.memory import MemoryLog
from wal.options import Durability, LogOptions, Retention
from wal.protocol import Log, LogReader

START_MS: Final = 1_000_000
SEGMENT_OVERHEAD_BYTES: Final = 64 + 32 + 200  # around the payload of a segment of one frame, and room for a footer

Items = list[tuple[int, bytes]]
Seen = tuple[int, int, int, bytes]

items_of = st.lists(st.tuples(st.integers(0, 2**16 - 1), st.binary(max_size=60)), max_size=6)
durabilities: st.SearchStrategy[Durability | None] = st.sampled_from([None, None, "durable", "os"])
offsets = st.integers(-12, 3)  # of a seq, from the end
counts = st.integers(1, 12)
sizes = st.integers(1, 400)

APPENDS: Final[list[Callable[[Log, Items, Durability | None], object]]] = [
    lambda log, items, durability: log.append_many(items, durability=durability),
    lambda log, items, durability: log.append_batch(items, durability=durability),
    lambda log, items, durability: log.append_if_next_seq(log.next_seq, items, durability=durability),
    lambda log, items, durability: [log.append(payload, kind, durability=durability) for kind, payload in items],
]


def seen_of(frames: Sequence[Frame]) -> list[Seen]:
    """What both must agree on of each frame."""
    return [
        (frame.seq, frame.kind, flags, frame.payload) for frame, flags in zip(frames, flags_of(frames), strict=True)
    ]


def outcome(call: Callable[[], list[Frame]]) -> object:
    """What a call gave or refused, comparable between logs."""
    try:
        return seen_of(call())
    except (FutureSeq, Truncated, SeqConflict) as error:
        return type(error), vars(error)


class LogMachine(RuleBasedStateMachine):
    """One file log and one in memory, told the same."""

    retention = Retention()

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock(START_MS)
        self.latest_ms = START_MS
        self.file = self.open_file(1000)
        self.model = MemoryLog(clock_ms=self.clock, log_id=LOG_ID)

    def teardown(self) -> None:
        self.file.close()
        shutil.rmtree(self.folder)

    def open_file(self, segment_bytes: int) -> FileLog:
        options = LogOptions(segment_bytes=segment_bytes, reserve_bytes=128, retention=self.retention)
        return open_log(self.folder, clock_ms=self.clock, options=options)

    @property
    def floor(self) -> int:
        return self.file.first_seq

    @rule(change_ms=st.integers(-3000, 3000))
    def move_the_clock(self, change_ms: int) -> None:
        self.clock.now_ms += change_ms
        self.latest_ms = max(self.latest_ms, self.clock.now_ms)

    @rule(append=st.sampled_from(APPENDS), items=items_of, durability=durabilities)
    def append(
        self, append: Callable[[Log, Items, Durability | None], object], items: Items, durability: Durability | None
    ) -> None:
        append(self.file, items, durability)
        append(self.model, items, durability)

    @rule(groups=st.lists(items_of, max_size=4))
    def append_much_and_wait_for_nothing(self, groups: list[Items]) -> None:
        for log in (self.file, self.model):
            for items in groups:
                log.append_batch(items)

    @rule(offset=offsets, items=items_of)
    def append_if(self, offset: int, items: Items) -> None:
        seq = self.model.next_seq + offset
        if items:
            told = [outcome(lambda log=log: _append_if(log, seq, items)) for log in self.logs()]  # type: ignore[misc]
            assert told[0] == told[1]

    @rule(segment_bytes=st.sampled_from([1, 150, 400, 1000]), count=st.integers(1, 2))
    def open_anew(self, segment_bytes: int, count: int) -> None:
        for _ in range(count):
            self.file.close()
            self.file = self.open_file(segment_bytes)

    @rule(offset=offsets, count_max=counts, bytes_max=sizes)
    def read(self, offset: int, count_max: int, bytes_max: int) -> None:
        self.settle()
        bounds = {"count_max": count_max, "bytes_max": bytes_max}
        self.compare(offset, lambda log, seq: log.read_from(seq, **bounds))
        self.compare(offset, lambda log, seq: log.read_from(log.cursor(seq), **bounds))
        self.compare(offset, lambda log, seq: log.subscribe(seq).read(0, **bounds))

    @rule(offset=offsets, count_max=counts, bytes_max=sizes)
    def read_back(self, offset: int, count_max: int, bytes_max: int) -> None:
        self.settle()
        bounds = {"count_max": count_max, "bytes_max": bytes_max}
        least = self.floor + count_max if self.floor else -ALL  # what is below the floor one has and the other has not
        self.compare(offset, lambda log, seq: log.read_back(seq, **bounds), least=least)

    @rule(offset=offsets)
    def get(self, offset: int) -> None:
        self.settle()
        self.compare(offset, lambda log, seq: [log.get(seq)])

    @rule(change_ms=st.integers(-5000, 5000))
    def seek_time(self, change_ms: int) -> None:
        self.settle()
        frames = read_all(self.file)
        times = [frame.time_ms for frame in frames]
        for time_ms in (self.clock.now_ms + change_ms, START_MS + change_ms, *times[:3], *times[-3:]):
            found = [frame.seq for frame in frames if frame.time_ms >= time_ms]
            assert self.file.seek_time(time_ms) == (found[0] if found else self.file.durable_end)

    @invariant()
    def both_hold_the_same(self) -> None:
        self.settle()
        frames = read_all(self.file)
        expected = self.model.read_from(self.floor, count_max=ALL, bytes_max=ALL)
        assert seen_of(frames) == seen_of(expected)
        assert self.file.next_seq == self.file.durable_end == self.model.next_seq == self.floor + len(frames)
        assert grows(frames)
        for frame, other in zip(frames, expected, strict=True):
            assert other.time_ms <= frame.time_ms <= self.latest_ms

    def settle(self) -> None:
        self.file.barrier().wait(WAIT_S)

    def logs(self) -> tuple[Log, Log]:
        return self.file, self.model

    def compare(self, offset: int, read: Callable[[LogReader, int], list[Frame]], *, least: int | None = None) -> None:
        """Let both read at a seq, unless retention may have left one of them more."""
        seq = self.model.next_seq + offset
        if least is None:
            least = self.floor or -ALL
        if seq >= least:
            assert outcome(lambda: read(self.file, seq)) == outcome(lambda: read(self.model, seq))


class RetainingMachine(LogMachine):
    """With retention in the file log alone: what it must keep is there, and is what the other has."""

    retention = Retention(count_min=4)
    retentions: Final = (Retention(count_min=4), Retention(bytes_min=700), Retention(age_ms=4000))

    @initialize(retention=st.sampled_from(retentions))
    def choose(self, retention: Retention) -> None:
        self.retention = retention
        self.open_anew(150, 1)

    @invariant()
    def what_must_be_kept_is(self) -> None:
        self.settle()
        gone = self.model.read_back(self.floor, count_max=ALL, bytes_max=ALL)
        kept = self.model.read_from(self.floor, count_max=ALL, bytes_max=ALL)
        count_min, bytes_min, age_ms = self.retention
        if gone and count_min is not None:
            assert len(kept) >= count_min
        if gone and bytes_min is not None:
            assert sum(len(frame.payload) + SEGMENT_OVERHEAD_BYTES for frame in kept) >= bytes_min
        if age_ms is not None:
            assert all(frame.time_ms < self.latest_ms - age_ms for frame in gone)

    @precondition(lambda self: self.floor > 0)
    @rule()
    def read_what_is_gone(self) -> None:
        for seq in (0, self.floor - 1):
            told: tuple[Any, Any] = (Truncated, {"seq": seq, "floor": self.floor})
            assert outcome(lambda seq=seq: [self.file.get(seq)]) == told  # type: ignore[misc]
        assert self.file.read_back(self.floor, count_max=1, bytes_max=1) == []


def _append_if(log: Log, seq: int, items: Items) -> list[Frame]:
    first_seq = log.append_if_next_seq(seq, items).wait(WAIT_S)
    return log.read_from(first_seq, count_max=len(items), bytes_max=ALL)


TestLog = LogMachine.TestCase
TestLog.settings = settings(max_examples=60, stateful_step_count=30, derandomize=True, deadline=None, database=None)
TestRetainingLog = RetainingMachine.TestCase
TestRetainingLog.settings = TestLog.settings
