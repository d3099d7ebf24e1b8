import random
import struct
from pathlib import Path

import google_crc32c
import pytest

from tests.support.faulty_files import UnsyncedFiles
from tests.support.logs import ALL, LOG_ID, TIME_MS, open_log, write_log
from wal import Corrupt, UnsupportedFormat, check_log
from wal.format import FRAME, BadBytes, Frame, SegmentHeader, UnknownFlags, encode_frame, encode_header
from wal.index import STRIDE, SparseIndex
from wal.scan import Place, Run, frames_behind, walk
from wal.segment import Segment, create_segment, open_segment, segment_paths

FILES = UnsyncedFiles()


def make_segment(folder: Path, *, first_seq: int = 0) -> tuple[Segment, int]:
    return create_segment(FILES, folder, SegmentHeader(LOG_ID, 1, first_seq, TIME_MS, 0))


def frame_at(seq: int, payload: bytes = b"claim") -> bytes:
    return encode_frame(seq, seq, 1, 0, 0, payload)[0]


def test_created_segment_opens_with_its_header_and_without_frames(tmp_path: Path) -> None:
    made, _ = make_segment(tmp_path, first_seq=7)
    opened = open_segment(FILES, made.path)
    assert (opened.header, opened.footer) == (made.header, None)
    with opened.opened() as handle:
        assert list(walk(FILES, handle, opened.path, opened.start, FILES.size(handle))) == []


def test_name_that_contradicts_the_header_is_refused(tmp_path: Path) -> None:
    made, _ = make_segment(tmp_path, first_seq=7)
    moved = made.path.rename(tmp_path / f"{8:020d}.redex")
    with pytest.raises(Corrupt, match="first seq 8") as caught:
        open_segment(FILES, moved)
    assert caught.value.path == moved


def test_newer_version_is_refused_by_name_of_the_file(tmp_path: Path) -> None:
    newer = SegmentHeader(LOG_ID, 1, 0, TIME_MS, 0, version=3)
    (tmp_path / f"{0:020d}.redex").write_bytes(encode_header(newer))
    with pytest.raises(UnsupportedFormat, match=f"{0:020d}.redex.*version 1 to 2.*3"):
        open_log(tmp_path)


def test_only_whole_segment_names_are_segments(tmp_path: Path) -> None:
    other_digits = "\N{ARABIC-INDIC DIGIT ONE}" * 20 + ".redex"
    (tmp_path / other_digits).write_bytes(b"")
    for name in ["LOCK", "00000000000000000000.new", "0.redex", "00000000000000000000.redex.bak", "notes"]:
        (tmp_path / name).write_bytes(b"")
    make_segment(tmp_path, first_seq=10)
    make_segment(tmp_path, first_seq=9)
    names = [path.name for path in segment_paths(FILES, tmp_path)]
    assert names == [f"{9:020d}.redex", f"{10:020d}.redex"]


def test_frames_that_cross_the_read_buffer_come_whole(tmp_path: Path) -> None:
    sizes = [2**20 - 64 - 32 - 16, 0, 40, 2**20, 2**20 + 1, 3 * 2**20, 1]
    payloads = [bytes([65 + index]) * size for index, size in enumerate(sizes)]
    write_log(tmp_path, payloads, segment_bytes=2**24)
    with open_log(tmp_path) as log:
        assert log.torn_tail is None
        for seq, payload in enumerate(payloads):
            assert log.read_from(seq, count_max=1, bytes_max=1)[0].payload == payload


def test_any_seq_is_found_before_and_after_the_sparse_index_knows_it(tmp_path: Path) -> None:
    count = 3 * STRIDE + 5
    with open_log(tmp_path, segment_bytes=5 * STRIDE * 40) as log:
        log.append_many([(1, b"%d" % seq) for seq in range(count)]).wait()
        log.append_many([(1, b"%d" % seq) for seq in range(count, 2 * count)]).wait()
    for first in (0, STRIDE, count - 1, count):
        with open_log(tmp_path) as log:
            for seq in [*range(first, 2 * count), *reversed(range(2 * count))]:
                assert log.read_from(seq, count_max=1, bytes_max=ALL)[0].payload == b"%d" % seq


def index_of(count: int, first_seq: int) -> SparseIndex:
    index = SparseIndex(first_seq)
    for seq in range(first_seq, first_seq + count):
        index.note(seq, 100 * seq, 10 * seq)
    return index


@pytest.mark.parametrize("first_seq", [0, 1, STRIDE - 1, STRIDE, 1000])
def test_index_knows_the_last_multiple_before_any_seq_or_time(first_seq: int) -> None:
    count = 3 * STRIDE + 5
    index = index_of(count, first_seq)
    for seq in range(first_seq, first_seq + count):
        known = seq // STRIDE * STRIDE
        expected = None if known < first_seq else Place(100 * known, known, None, -1)
        assert index.near(seq) == expected
        found = index.near_time(10 * seq + 1)
        assert found == expected
    assert index.near_time(0) is None


def test_index_notes_runs_as_it_notes_frames(tmp_path: Path) -> None:
    (path,) = write_log(tmp_path, [b"%d" % seq for seq in range(3 * STRIDE)])
    segment = open_segment(FILES, path)
    with segment.opened() as handle:
        runs: list[Run] = list(walk(FILES, handle, path, segment.start, FILES.size(handle), read_bytes=100))
    assert len(runs) > 1
    index = SparseIndex(0)
    for run in runs:
        index.note_run(run)
        index.note_run(run)
    starts = [start for run in runs for start in run.starts]
    assert list(index.offsets) == starts[::STRIDE]


def test_cut_forgets_the_frames_behind_it() -> None:
    for seq, kept in [(2 * STRIDE + 1, 3), (2 * STRIDE, 2), (STRIDE, 1), (STRIDE - 1, 1), (1, 1), (0, 0)]:
        index = index_of(2 * STRIDE + 1, 0)
        index.cut(seq)
        assert len(index.times) == len(index.offsets) == kept


def behind(data: bytes, seq: int) -> bool:
    return any(True for _ in frames_behind(data, Place(0, seq, None, -1)))


@pytest.mark.parametrize("size", [0, 1, 2**8 - 24, 2**16 - 24, 2**20])
def test_whole_frame_is_found_behind_zeros_whatever_its_length_begins_with(size: int) -> None:
    assert behind(bytes(100) + frame_at(1, b"x" * size), 0)


@pytest.mark.parametrize("seq", [0, 5, 2**24 - 1, 2**24, 2**40 - 2])
@pytest.mark.parametrize("rot", ["zeros", "ones", "noise", "text", "half a frame"])
def test_whole_frame_is_found_behind_any_rot(seq: int, rot: str) -> None:
    """Also where the next seq differs from the damaged one in its high bytes."""
    generator = random.Random(seq)
    for size in [32, 33, 39, 40, 41, 1000, 2**17]:
        rotten = {
            "zeros": bytes(size),
            "ones": b"\xff" * size,
            "noise": generator.randbytes(size),
            "text": (b"\x00The sky is blue." * size)[:size],
            "half a frame": frame_at(seq, bytes(size))[:size],
        }[rot]
        assert not behind(rotten, seq)
        assert behind(rotten + frame_at(seq + 1), seq)
        assert behind(rotten + frame_at(seq + 1) + frame_at(seq + 2)[:-1], seq), "a torn tail hides nothing"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of all that is hashed."""
    sizes: list[int] = []
    value = google_crc32c.value

    def counted(data: bytes) -> int:
        sizes.append(len(data))
        return int(value(data))

    monkeypatch.setattr(google_crc32c, "value", counted)
    return sizes


@pytest.mark.parametrize("number", [24, 1000, 30_000, 2**20])
def test_search_hashes_nothing_that_is_no_frame_by_its_header(hashed: list[int], number: int) -> None:
    """Small numbers of 8 bytes in a row look like lengths, and like seqs in their high bytes."""
    place = Place(0, 5, None, TIME_MS)
    assert list(frames_behind(struct.pack("<Q", number) * 2**17, place)) == []
    assert hashed == []


def test_frame_behind_is_found_whatever_its_flags_and_only_with_a_fitting_seq_and_time() -> None:
    newer = encode_frame(2, 60, 1, 8, 0, b"newer")[0]
    whole = encode_frame(3, 61, 1, 0, 0, b"whole")[0]
    misfits = encode_frame(2**20, 62, 1, 8, 0, b"seq")[0] + encode_frame(4, 50, 1, 0, 0, b"time")[0]
    found = list(frames_behind(b"torn" + misfits + newer + whole, Place(0, 0, None, 50)))
    assert [type(one) for one in found] == [UnknownFlags, Frame]


def claims(size: int, *, seq: int, time: int) -> bytes:
    """Headers in a row that no search can tell from those of frames, but by a hash of half of the whole."""
    return FRAME.pack(size // 2, 1, seq, time, 1, 0, 1) * (size // FRAME.size)


def test_search_among_too_many_claims_gives_up_and_says_so(hashed: list[int]) -> None:
    size = 2**22
    found = list(frames_behind(claims(size, seq=9, time=9), Place(0, 5, None, -1)))
    assert [(type(one), str(one)) for one in found] == [
        (BadBytes, "expected no more places that look like frames, found too many to check them all")
    ]
    assert sum(hashed) <= 64 * size + 64 * 2**20


def test_torn_payload_of_too_many_claims_is_refused_and_reported_as_damage(tmp_path: Path) -> None:
    """Nobody can say that nothing acknowledged follows, so nothing is cut."""
    (path,) = write_log(tmp_path, [b"first"])
    torn = frame_at(1, claims(2**22, seq=3, time=(TIME_MS + 1) << 16))[:-4096]
    content = path.read_bytes() + torn
    path.write_bytes(content)
    path.with_suffix(".index").unlink()
    with pytest.raises(Corrupt):
        open_log(tmp_path)
    assert path.read_bytes() == content
    findings = check_log(tmp_path, lambda *_: None).findings
    assert "damage" in [finding.severity for finding in findings]
