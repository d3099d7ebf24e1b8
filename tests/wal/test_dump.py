"""A look at the frames of a folder: what is asked for, up to the first damage, and nothing changes."""

from pathlib import Path

import pytest

from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.logs import TIME_MS, flip_bit, open_log, segment_bytes_of, write_log
from wal import Corrupt, LogError, dump_log
from wal.format import FRAME_HEADER_BYTES, HEADER_BYTES

FRAME_BYTES = FRAME_HEADER_BYTES + 1
THREE_FRAMES = HEADER_BYTES + 3 * FRAME_BYTES
PAYLOADS = [b"%d" % seq for seq in range(9)]


def dump(folder: Path, seq: int | None = None, time_ms: int | None = None) -> tuple[list[int], str]:
    """The seqs that are shown, and the damage that ended it."""
    before, seqs = segment_bytes_of(folder), []
    damage = ""
    try:
        for frame in dump_log(folder, seq, time_ms):
            seqs.append(frame.seq)
            assert frame.payload[:1] == b"%d" % frame.seq or len(seqs) > 9
    except Corrupt as error:
        damage = f"{error.path.name} at {error.offset}"
    assert segment_bytes_of(folder) == before
    return seqs, damage


@pytest.mark.parametrize("seq", [None, 0, 2, 3, 8, 9, 1000])
def test_frames_from_a_seq_on(tmp_path: Path, seq: int | None) -> None:
    write_log(tmp_path, PAYLOADS, segment_bytes=THREE_FRAMES)
    assert dump(tmp_path, seq) == (list(range(seq or 0, 9)), "")


def test_frames_from_a_time_on(tmp_path: Path) -> None:
    now_ms = TIME_MS - 1
    with open_log(tmp_path, clock_ms=lambda: now_ms, segment_bytes=THREE_FRAMES) as log:
        for payload in PAYLOADS:
            now_ms += 1
            log.append(payload, 1).wait(WAIT_S)
    for index in range(-1, 10):
        assert dump(tmp_path, time_ms=TIME_MS + index) == (list(range(max(index, 0), 9)), "")


def test_damage_ends_the_look_and_a_later_segment_can_be_asked_for(tmp_path: Path) -> None:
    paths = write_log(tmp_path, PAYLOADS, segment_bytes=THREE_FRAMES)
    offset = HEADER_BYTES + FRAME_BYTES
    flip_bit(paths[1], (offset + 32) * 8)
    assert dump(tmp_path) == ([0, 1, 2, 3], f"{paths[1].name} at {offset}")
    assert dump(tmp_path, 5) == ([], f"{paths[1].name} at {offset}")
    assert dump(tmp_path, 7) == ([7, 8], "")


def test_index_leads_behind_the_damage(tmp_path: Path) -> None:
    (path,) = write_log(tmp_path, [b"%d" % (seq % 10) for seq in range(100)])
    flip_bit(path, (HEADER_BYTES + 10 * FRAME_BYTES + 32) * 8)
    assert [frame.seq for frame in dump_log(tmp_path, 70)] == list(range(70, 100))
    path.with_suffix(".index").unlink()
    with pytest.raises(Corrupt):
        next(dump_log(tmp_path, 70))


def test_missing_segment_and_missing_end_are_damage(tmp_path: Path) -> None:
    paths = write_log(tmp_path, PAYLOADS, segment_bytes=THREE_FRAMES)
    paths[1].unlink()
    assert dump(tmp_path) == ([0, 1, 2], f"{paths[2].name} at 40")
    paths[2].unlink()
    assert dump(tmp_path) == ([0, 1, 2], "DURABLE at 56")


def test_unfinished_tail_ends_the_look(tmp_path: Path) -> None:
    (path,) = write_log(tmp_path, PAYLOADS)
    path.write_bytes(path.read_bytes()[:-1])
    (tmp_path / "DURABLE").unlink()
    assert dump(tmp_path) == (list(range(8)), "")


def test_look_beside_the_writer(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files, reserve_bytes=5000) as log:
        log.append(b"0", 1).wait(WAIT_S)
        files.hold("sync")
        log.append(b"1", 1)
        files.wait_held()
        assert dump(tmp_path) == ([0, 1], "")
        files.release("sync")


def test_folder_without_a_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="holds no log"):
        next(dump_log(tmp_path / "nowhere"))
