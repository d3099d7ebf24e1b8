"""What was asked of a log on a recorded disk, and what must be there after a power cut in the midst of it.

Owns: the promises, and the opening of what a cut has left.  `log_work` does the
work that a history remembers.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from tests.support.crash_model import Image, put_image
from tests.support.faulty_files import WAIT_S, FaultyFiles, FolderSynced, Removed, UnsyncedFiles
from tests.support.logs import LOG_ID, TIME_MS, read_all, segment_files
from wal import Durability, FileLog, Files, Frame, LogError, LogOptions, Retention, Ticket, check_log
from wal.format import FLAG_MORE
from wal.opening import Origin

MANY, BATCH = 1, 2  # kinds, to tell how a frame was appended
OWNER: Final = "the source"

# What an image must still hold: all that was acknowledged as durable; in "killed" also what the system was given.
# In "prefix" and "killed" nothing may look like rot even before the first opening.
Model = Literal["killed", "prefix", "reordered", "second cut"]


class Sizes(NamedTuple):
    """How large what is appended is."""

    segment_bytes: int
    payload_bytes: tuple[int, ...]


SMALL: Final = Sizes(400, (0, 3, 40))  # all in one sector: for tears at any byte
WIDE: Final = Sizes(4000, (0, 40, 450, 1300))  # frames over, beside and inside sectors: for holes


class Kind(NamedTuple):
    """What sort of log a history works on."""

    durability: Durability = "durable"
    retention: Retention = Retention()
    sizes: Sizes = SMALL
    faults: bool = False
    replica: bool = False

    @property
    def names(self) -> list[str]:
        """To count histories by."""
        level = self.durability if isinstance(self.durability, str) else "interval"
        chosen = {"replica": self.replica, "retention": self.retention != Retention(), "faults": self.faults}
        return [level, *(name for name, there in chosen.items() if there)]


class Source:
    """The log that a replica copies: some frames of another one, in whole batches, from any seq on."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.first_seq = frames[0].seq
        self.origin = Origin(LOG_ID, self.first_seq, frames[0].time - 1, frames[0].chain)
        self._frames = frames

    def batches(self, seq: int, count: int) -> list[Frame]:
        """At least count frames from seq on, up to the end of a batch; fewer at the end."""
        rest = self._frames[seq - self.first_seq :]
        while count < len(rest) and rest[count - 1].flags & FLAG_MORE:
            count += 1
        return list(rest[:count])


class Opened(NamedTuple):
    """What a log held after a crash."""

    epoch: int
    first_seq: int
    next_seq: int
    size_bytes: int
    frames: list[Frame]


class Kept(NamedTuple):
    """A frame that must survive a cut from one operation on, up to another if something may undo it."""

    seq: int
    frame: bytes
    from_count: int
    to_count: int = 2**62


class History:
    """What was asked of a log, and from which recorded operation on each frame must survive."""

    def __init__(self, kind: Kind, files: FaultyFiles, source: Source | None) -> None:
        self.kind = kind
        self.files = files
        self.source = source
        self.now_ms = TIME_MS
        self.append_count = 0
        self._asked: dict[int, set[bytes]] = defaultdict(set)
        self._asked_ms: dict[int, int] = {}  # the earliest time that the frame of a seq may bear
        self._latest: dict[int, bytes] = {}  # what was asked last of each seq
        self._durable: dict[int, Kept] = {}
        self._refused: list[tuple[bytes, int]] = []  # payloads that the log went on without, and from when on
        self._given: list[Kept] = []  # what the system has, until a failure cuts it off
        self._epochs: list[tuple[int, int]] = []
        self._floors: list[tuple[int, int]] = []
        self._clock = [(0, TIME_MS)]

    # What happens

    def pass_time(self, ms: int) -> None:
        """Move the clock, while the disk is at rest."""
        self.now_ms += ms
        self._clock.append((self._count, self.now_ms))

    def open(self, folder: Path, files: Files | None = None, options: LogOptions | None = None) -> FileLog:
        """Open the log, or a copy of its folder; options: other than those of an opening after a crash."""
        files = files or UnsyncedFiles()
        options = options or LogOptions(self.kind.sizes.segment_bytes, reserve_bytes=0)
        if self.source is None:
            return FileLog.open(
                folder, clock_ms=lambda: self.now_ms, new_log_id=lambda: LOG_ID, options=options, files=files
            )
        origin = self.source.origin
        return FileLog.open_replica(
            *(folder,), owner=OWNER, origin=lambda: origin, clock_ms=lambda: self.now_ms, options=options, files=files
        )

    def note_opened(self, log: FileLog) -> None:
        """All that an opening shows is durable, and so is all that shows later, if the log promises it."""
        opened = opened_now(log)
        self.check(opened, self._count, "killed")
        for frame in opened.frames:
            self._keep(frame.seq, frame.payload)
        self._epochs.append((self._count, log.epoch))
        self.note_rest(log)
        if self.kind.durability != "os":
            log.watch(lambda: self._keep_all(range(opened.next_seq, log.durable_end)))

    def note_asked(self, ticket: Ticket, payloads: Sequence[bytes], time_ms: int, *, durable: bool) -> None:
        """Whoever asked is told when the frames are durable, or else when the system has them."""
        seqs = range(ticket.first_seq, ticket.first_seq + len(payloads))
        for seq, payload in zip(seqs, payloads, strict=True):
            self._asked[seq].add(payload)
            self._asked_ms.setdefault(seq, time_ms)
            self._latest[seq] = payload
        self.note_ticket(ticket, seqs, durable=durable)

    def note_ticket(self, ticket: Ticket, seqs: range, *, durable: bool) -> None:
        """In the committing thread, before it goes on: so the count of operations is exact."""
        keep = self._keep_all if durable else self._give
        asked = [self._latest[seq] for seq in seqs] if self.source is None else []

        def done(error: LogError | None) -> None:
            if error is None:
                keep(seqs)
            elif error.resumable:
                self._refused += [(payload, self._count) for payload in asked]

        ticket.on_done(done)

    def note_rest(self, log: FileLog) -> None:
        """The disk is at rest: what retention has let go is gone for good, unless a removal failed."""
        floor = max((floor for _, floor in self._floors), default=log.first_seq)
        assert log.first_seq >= floor, f"the first seq went down from {floor} to {log.first_seq}"
        if int(segment_files(log.folder)[0].stem) == log.first_seq and not self._removal_unsynced():
            self._floors.append((self._count, log.first_seq))

    def note_failure(self, since_count: int) -> None:
        """The log failed after that operation: unless it is an "os" log, it cuts what it has not synced."""
        if self.kind.durability != "os":
            self._given = [kept._replace(to_count=min(kept.to_count, since_count)) for kept in self._given]

    # What must be

    def check(self, opened: Opened, count: int, model: Model) -> None:
        """The log may be so after a cut behind so many operations, and nothing is missing."""
        first_seq, frames = opened.first_seq, opened.frames
        assert all(opened.epoch > epoch for at, epoch in self._epochs if at <= count), "an epoch came twice"
        assert [frame.seq for frame in frames] == list(range(first_seq, opened.next_seq))
        for frame in frames:
            assert frame.payload in self._asked[frame.seq], f"seq {frame.seq} was never appended so"
        payloads = {frame.payload for frame in frames}
        for payload, from_count in self._refused:
            assert count < from_count or payload not in payloads, f"{payload[:20]!r} was refused and is there"
        kept = list(self._durable.values()) + (self._given if model == "killed" else [])
        for seq, payload, from_count, to_count in kept:
            if from_count <= count < to_count:
                assert seq < opened.next_seq, f"seq {seq} was acknowledged and is lost"
                if seq >= first_seq:
                    found = frames[seq - first_seq].payload
                    assert found == payload, f"seq {seq} was acknowledged with another payload"
        self._check_first(opened, count)
        self._check_batches(frames)

    def _check_first(self, opened: Opened, count: int) -> None:
        first_seq, retention = opened.first_seq, self.kind.retention
        for at, floor in self._floors:
            assert at > count or first_seq >= floor, f"the first seq is {first_seq} again, it was {floor}"
        if first_seq == (self.source.first_seq if self.source else 0):
            return
        now_ms = max(ms for at, ms in self._clock if at <= count)
        allowed = (
            (retention.count_min is not None and len(opened.frames) >= retention.count_min)
            or (retention.bytes_min is not None and opened.size_bytes >= retention.bytes_min)
            or (retention.age_ms is not None and self._asked_ms[first_seq - 1] < now_ms - retention.age_ms)
        )
        assert allowed, f"seq {first_seq - 1} was acknowledged and is lost: {retention} keeps it"

    def _check_batches(self, frames: list[Frame]) -> None:
        if self.source is not None:
            expected = self.source.batches(frames[0].seq, len(frames)) if frames else []
            assert frames == expected, "not the frames of the source in whole batches"
            return
        found: Counter[bytes] = Counter()
        for frame in frames:
            if frame.kind == BATCH:
                number, _, size, _ = frame.payload.split(b":", 3)
                found[number + b":" + size] += 1
        for batch, count in found.items():
            assert count == int(batch.split(b":")[1]), "half a batch"

    # How it is remembered

    @property
    def _count(self) -> int:
        return len(self.files.operations)

    def _keep_all(self, seqs: range) -> None:
        for seq in seqs:
            self._keep(seq, self._latest[seq])

    def _keep(self, seq: int, payload: bytes) -> None:
        self._durable.setdefault(seq, Kept(seq, payload, self._count))

    def _give(self, seqs: range) -> None:
        self._given += [Kept(seq, self._latest[seq], self._count) for seq in seqs]

    def _removal_unsynced(self) -> bool:
        for operation in reversed(self.files.operations):
            if isinstance(operation, FolderSynced):
                return False
            if isinstance(operation, Removed) and operation.path.suffix == ".redex":
                return True
        return False


def opened_now(log: FileLog) -> Opened:
    """What a log shows."""
    return Opened(log.epoch, log.first_seq, log.next_seq, log.size_bytes, read_all(log))


def open_after_crash(history: History, folder: Path, image: Image, model: Model) -> Opened:
    """A log after a crash, if one opening makes it whole and it goes on from there.

    Raises: Corrupt from the first opening; AssertionError.
    """
    put_image(folder, image)
    segments = segment_files(folder)
    if segments and model in ("killed", "prefix"):
        assert severities(folder) <= {"tail", "derived"}, "a crash that keeps order looks like rot"
    with history.open(folder) as log:
        assert log.torn_tail is None or not log.torn_tail.acknowledged_count, "the mark says that more is lost"
        opened = opened_now(log)
    assert not segments or opened.first_seq == int(segments[0].stem), "an opening removed a segment"
    try:
        assert "damage" not in severities(folder), "damage after an opening"
        with history.open(folder) as log:
            assert log.torn_tail is None, "the first opening left a torn tail"
            assert log.epoch > opened.epoch
            assert read_all(log) == opened.frames, "a second opening finds other frames"
            more = append_one(history, log)
            assert log.next_seq == opened.next_seq + more, "a seq is used again, or left out"
        with history.open(folder) as log:
            frames = read_all(log)
            assert frames[: len(opened.frames)] == opened.frames, "an append after the crash changed what was there"
            assert len(frames) == len(opened.frames) + more, "an append after the crash is lost"
    except LogError as error:
        raise AssertionError(f"the first opening went well, what came after did not: {error}") from error
    return opened


def append_one(history: History, log: FileLog) -> int:
    """Append a frame, or copy a batch; give how many frames that makes."""
    if history.source is None:
        log.append(b"after the crash", MANY).wait(WAIT_S)
        return 1
    frames = history.source.batches(log.next_seq, 1)
    log.copy_frames(frames).wait(WAIT_S)
    return len(frames)


def severities(folder: Path) -> set[str]:
    return {finding.severity for finding in check_log(folder, lambda _path, _offset, _frame: None).findings}
