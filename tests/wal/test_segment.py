import random
from pathlib import Path

import pytest

from tests.support.faulty_files import UnsyncedFiles
from tests.support.logs import ALL, LOG_ID, TIME_MS, open_log, write_log
from wal import Corrupt, UnsupportedFormat
from wal.format import SegmentHeader, encode_frame, encode_header
from wal.segment import INDEX_STRIDE, Place, Segment, create_segment, open_segment, segment_paths


def make_segment(folder: Path, *, first_seq: int = 0, chain: int = 0) -> Segment:
    return create_segment(UnsyncedFiles(), folder, SegmentHeader(LOG_ID, 1, first_seq, TIME_MS, chain))


def put(segment: Segment, data: bytes) -> None:
    UnsyncedFiles().write(segment.handle, data, segment.size())


def frame_at(seq: int, payload: bytes = b"claim") -> bytes:
    return encode_frame(seq, seq, 1, 0, 0, payload)[0]


def test_created_segment_opens_with_its_header(tmp_path: Path) -> None:
    made = make_segment(tmp_path, first_seq=7, chain=9)
    opened = open_segment(UnsyncedFiles(), made.path, writable=False)
    assert opened.header == made.header
    assert list(opened.walk(opened.start, opened.size())) == []


def test_name_that_contradicts_the_header_is_refused(tmp_path: Path) -> None:
    made = make_segment(tmp_path, first_seq=7)
    moved = made.path.rename(tmp_path / f"{8:020d}.redex")
    with pytest.raises(Corrupt, match="first seq 8") as caught:
        open_segment(UnsyncedFiles(), moved, writable=False)
    assert caught.value.path == moved


def test_newer_version_is_refused_by_name_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr("wal.format.VERSION", 2)
        (tmp_path / f"{0:020d}.redex").write_bytes(encode_header(SegmentHeader(LOG_ID, 1, 0, TIME_MS, 0)))
    with pytest.raises(UnsupportedFormat, match=f"{0:020d}.redex.*version 1.*2"):
        open_log(tmp_path)


def test_only_whole_segment_names_are_segments(tmp_path: Path) -> None:
    for name in ["LOCK", "00000000000000000000.new", "0.redex", "00000000000000000000.redex.bak", "notes"]:
        (tmp_path / name).write_bytes(b"")
    make_segment(tmp_path, first_seq=10)
    make_segment(tmp_path, first_seq=9)
    names = [path.name for path in segment_paths(UnsyncedFiles(), tmp_path)]
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
    count = 3 * INDEX_STRIDE + 5
    with open_log(tmp_path, segment_bytes=5 * INDEX_STRIDE * 40) as log:
        log.append_many([(1, b"%d" % seq) for seq in range(count)]).wait()
        log.append_many([(1, b"%d" % seq) for seq in range(count, 2 * count)]).wait()
    for first in (0, INDEX_STRIDE, count - 1, count):
        with open_log(tmp_path) as log:
            for seq in [*range(first, 2 * count), *reversed(range(2 * count))]:
                assert log.read_from(seq, count_max=1, bytes_max=ALL)[0].payload == b"%d" % seq


def test_cut_forgets_the_frames_behind_it(tmp_path: Path) -> None:
    segment = make_segment(tmp_path)
    offset, places = segment.start.offset, []
    for seq in range(2 * INDEX_STRIDE + 1):
        places.append(Place(offset, seq, None, -1))
        segment.note(seq, offset)
        put(segment, frame_at(seq))
        offset = segment.size()
    segment.cut(places[2 * INDEX_STRIDE - 1])
    assert segment.near(2 * INDEX_STRIDE).seq == INDEX_STRIDE
    segment.cut(places[INDEX_STRIDE])
    assert segment.near(INDEX_STRIDE) == places[INDEX_STRIDE]
    segment.cut(places[0])
    assert segment.near(INDEX_STRIDE) == segment.start


@pytest.mark.parametrize("size", [0, 1, 2**8 - 24, 2**16 - 24, 2**20])
def test_whole_frame_is_found_behind_zeros_whatever_its_length_begins_with(tmp_path: Path, size: int) -> None:
    segment = make_segment(tmp_path)
    put(segment, bytes(100))
    put(segment, frame_at(1, b"x" * size))
    assert segment.whole_frame_follows(segment.start, segment.size())


@pytest.mark.parametrize("seq", [0, 5, 2**24 - 1, 2**24, 2**40 - 2])
@pytest.mark.parametrize("rot", ["zeros", "ones", "noise", "text", "half a frame"])
def test_whole_frame_is_found_behind_any_rot(tmp_path: Path, seq: int, rot: str) -> None:
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
        folder = tmp_path / str(size)
        folder.mkdir()
        segment = make_segment(folder, first_seq=seq)
        put(segment, rotten)
        assert not segment.whole_frame_follows(segment.start, segment.size())
        put(segment, frame_at(seq + 1))
        assert segment.whole_frame_follows(segment.start, segment.size())
        put(segment, frame_at(seq + 2)[:-1])
        assert segment.whole_frame_follows(segment.start, segment.size()), "a torn tail hides nothing"
