"""Rot anywhere: what is read is what was written, or the log says which file is damaged.

One small log of every kind of file, copied while it is open.  Each bit of each file is flipped in turn; then
garbage, zeros and cuts at random places.  Allowed is: all frames as written; Corrupt or UnsupportedFormat that
names the damaged file; and, for damage behind the last commit but one, a torn tail that tells what is missing.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.support.faulty_files import WAIT_S, UnsyncedFiles
from tests.support.logs import ALL, TIME_MS, open_log
from wal import Corrupt, FileLog, Frame, FutureSeq, LogOptions, ReadOnlyLog, UnsupportedFormat, check_log
from wal.protocol import LogReader

FRAME_COUNT: Final = 8
SEGMENT_BYTES: Final = 64 + 2 * 32 + 12  # two frames and their payloads
OPTIONS: Final = LogOptions(segment_bytes=SEGMENT_BYTES, reserve_bytes=0)
MARK: Final = "DURABLE"
INTACT: Final = "intact"
TORN: Final = "acknowledged frames are gone, and the opening says so"
CUT: Final = "a tail that held nothing was cut, and the opening says so"
READS: Final = "damage met by reads"
OPEN: Final = "damage met at open"
# What a verification, a reader and a writer make of it
ROT_AT_OPEN: Final = ("damage", OPEN, OPEN)
ROT_IN_READS: Final = ("damage", READS, OPEN)
LAST_FRAME: Final = ("damage", READS, TORN)
SEED: Final = 7

Content = dict[str, bytes]


class Sample(NamedTuple):
    """A log's folder, and the frames that it must give."""

    folder: Path
    content: Content
    frames: list[Frame]

    @property
    def active(self) -> str:
        """The segment that was written to."""
        return max(name for name in self.content if name.endswith(".redex"))

    def put(self, content: Content) -> None:
        """Make the folder hold that, and touch nothing that it holds already."""
        there = {path.name: path for path in self.folder.iterdir()}
        for name in there.keys() - content.keys():
            there[name].unlink()
        for name, data in content.items():
            path = self.folder / name
            if name not in there or path.read_bytes() != data:
                path.write_bytes(data)


class Clock:
    """Goes on by a second a look, so that every frame can be sought by its time."""

    def __init__(self) -> None:
        self.now_ms = TIME_MS

    def __call__(self) -> int:
        self.now_ms += 1000
        return self.now_ms


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Three sealed segments with their indexes, and an active one with one frame committed behind another."""
    folder = tmp_path_factory.mktemp("fuzz") / "log"
    with open_log(folder, options=OPTIONS, clock_ms=Clock()) as log:
        for seq in range(FRAME_COUNT):
            log.append(b"%d %d" % (seq, seq * seq), seq).wait(WAIT_S)
        content = {path.name: path.read_bytes() for path in folder.iterdir()}
        frames = log.read_from(0, count_max=ALL, bytes_max=ALL)
    kinds = Counter(Path(name).suffix or name for name in content)
    assert kinds == {".redex": 4, ".index": 3, MARK: 1, "LOCK": 1}, kinds
    assert len(frames) == FRAME_COUNT
    return Sample(folder, content, frames)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A garbled mark is looked at again after a pause, for a writer may be at it; here nobody is."""
    monkeypatch.setattr("wal.viewing._MARK_PAUSE_S", 0)


def kind_of(sample: Sample, name: str) -> str:
    if name.endswith(".redex"):
        return "active" if name == sample.active else "sealed"
    return {MARK: "mark", "LOCK": "lock"}.get(name, "index")


def bits(sample: Sample, kind: str) -> Iterator[tuple[str, int]]:
    """All bits of the files of a kind; of the later files of that kind every seventh."""
    names = [name for name in sorted(sample.content) if kind_of(sample, name) == kind]
    for number, name in enumerate(names):
        step = 7 if number else 1
        yield from ((name, bit) for bit in range(number % step, 8 * len(sample.content[name]), step))


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


# What may come of it


def open_owned(folder: Path) -> FileLog:
    return open_log(folder, options=OPTIONS, clock_ms=lambda: TIME_MS)


def open_view(folder: Path) -> ReadOnlyLog:
    return ReadOnlyLog.open(folder, files=UnsyncedFiles())


def read_every_way(log: LogReader, frames: list[Frame], names: set[str]) -> bool:
    """Read forward, backward, one by one and by time; all is as written but for reads that name the damage."""
    end = log.durable_end
    seen: list[Frame] = []
    seen_back: list[Frame] = []
    whole = [
        is_whole(lambda: read_on(log, seen), names),
        is_whole(lambda: read_on(log, seen_back, back=True), names),
    ]
    assert seen == frames[: len(seen)]
    assert seen_back == frames[:end][::-1][: len(seen_back)]
    assert whole == [len(seen) == end, len(seen_back) == end]
    for seq in range(end):
        whole.append(is_whole(lambda seq=seq: expect(log.get(seq), frames[seq]), names))  # type: ignore[misc]
        time_ms = frames[seq].time_ms
        whole.append(is_whole(lambda seq=seq, time_ms=time_ms: expect(log.seek_time(time_ms), seq), names))  # type: ignore[misc]
    with pytest.raises(FutureSeq):
        log.get(end)
    return all(whole)


def expect(found: object, expected: object) -> None:
    assert found == expected


def is_whole(read: Callable[[], None], names: set[str]) -> bool:
    def look() -> str:
        read()
        return INTACT

    return outcome_or_refusal(look, names, READS) == INTACT


def outcome_or_refusal(look: Callable[[], str], names: set[str], met: str) -> str:
    """What a look says, or met if it refuses and names a file that it may."""
    refusal: Corrupt | UnsupportedFormat
    try:
        return look()
    except (Corrupt, UnsupportedFormat) as error:
        refusal = error
    assert any(name in str(refusal) for name in names), f"{refusal} names none of {names}"
    return met


def read_on(log: LogReader, seen: list[Frame], *, back: bool = False) -> None:
    """Read page after page into seen, until the end or the damage."""
    read = log.read_back if back else log.read_from
    seq = log.durable_end if back else 0
    while page := read(seq, count_max=3, bytes_max=ALL):
        seen += page
        seq = page[-1].seq + (0 if back else 1)


def look_as_owner(sample: Sample, name: str) -> str:
    """What an opening for writing makes of the folder."""
    with open_owned(sample.folder) as log:
        missing = FRAME_COUNT - log.durable_end
        whole = read_every_way(log, sample.frames, {name})
        if log.torn_tail is None:
            assert missing == 0, f"{missing} frames are gone without a word"
            return INTACT if whole else READS
        assert log.torn_tail.path.name == name == sample.active
        assert log.torn_tail.acknowledged_count == missing >= 0
        return TORN if missing else CUT


def look_as_reader(sample: Sample, name: str) -> str:
    with open_view(sample.folder) as view:
        assert view.durable_end == FRAME_COUNT, "the mark, or all that is whole, tells how many there are"
        return INTACT if read_every_way(view, sample.frames, {name}) else READS


def verify(sample: Sample) -> str:
    frames: list[Frame] = []
    checked = check_log(sample.folder, lambda _, __, frame: frames.append(frame), UnsyncedFiles())
    assert all(sample.frames[frame.seq] == frame for frame in frames), "a frame that was never written"
    severities = {finding.severity for finding in checked.findings}
    if "damage" in severities:
        return "damage"
    assert frames == sample.frames
    assert len(severities) <= 1
    return severities.pop() if severities else INTACT


def look_every_way(sample: Sample, name: str, changed: bytes) -> tuple[str, str, str]:
    """The outcomes for a verification, a reader and a writer, in that order: the last one may change files."""
    sample.put({**sample.content, name: changed})
    checked = outcome_or_refusal(lambda: verify(sample), {name}, "damage")
    viewed = outcome_or_refusal(lambda: look_as_reader(sample, name), {name}, OPEN)
    owned = outcome_or_refusal(lambda: look_as_owner(sample, name), {name}, OPEN)
    if owned == CUT:
        assert (checked, viewed) == ("tail", INTACT)
    elif owned != INTACT:
        assert checked == "damage", f"a verification says {checked}, a writer {owned}"
    assert (viewed == INTACT) == (owned in (INTACT, CUT)), (viewed, owned)
    return checked, viewed, owned


def test_untouched_sample_is_intact(sample: Sample) -> None:
    for name, data in sample.content.items():
        assert look_every_way(sample, name, data) == (INTACT, INTACT, INTACT)


def check_case(sample: Sample, name: str, changed: bytes, told: str) -> tuple[str, str, str]:
    try:
        return look_every_way(sample, name, changed)
    except BaseException as error:
        error.add_note(f"{told} of {name}, {len(sample.content[name])} bytes before")
        raise


@pytest.mark.parametrize("kind", ["active", "sealed", "index", "mark", "lock"])
def test_every_flipped_bit_is_found_or_harmless(sample: Sample, kind: str) -> None:
    outcomes: Counter[tuple[str, str, str]] = Counter()
    for name, bit in bits(sample, kind):
        changed = flipped(sample.content[name], bit)
        outcomes[check_case(sample, name, changed, f"bit {bit % 8} of byte {bit // 8}")] += 1
    seen = set(outcomes)
    if kind == "active":
        assert seen == {ROT_AT_OPEN, ROT_IN_READS, LAST_FRAME}
    elif kind == "sealed":
        assert seen == {ROT_AT_OPEN, ("damage", READS, READS), ("damage", INTACT, INTACT)}
    elif kind == "index":
        assert seen == {("derived", INTACT, INTACT)}
    else:
        assert seen == {(INTACT, INTACT, INTACT)}


@pytest.mark.parametrize("how", ["garbage", "zeros", "cut", "longer"])
def test_random_damage_is_found_or_harmless(sample: Sample, how: str) -> None:
    generator = random.Random(f"{SEED} {how}")
    for number in range(100):
        name = generator.choice(sorted(sample.content))
        data = sample.content[name]
        start = generator.randrange(len(data))
        size = generator.randint(1, min(100, len(data) - start))
        changed = damaged(data, generator, how, start, size)
        check_case(sample, name, changed, f"case {number}: {how} at byte {start}, {size} long,")


def damaged(data: bytes, generator: random.Random, how: str, start: int, size: int) -> bytes:
    if how == "longer":
        return data + generator.choice([generator.randbytes(size), bytes(size), data[start:]])
    if how == "cut":
        return data[:start]
    return data[:start] + (bytes(size) if how == "zeros" else generator.randbytes(size)) + data[start + size :]
