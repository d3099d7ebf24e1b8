from pathlib import Path

import pytest

from tests.support.faulty_files import WAIT_S, FaultyFiles, UnsyncedFiles
from tests.support.log_writers import MissingNames, Writer
from tests.support.logs import LOG_ID, flip_bit, open_log, segment_bytes_of, segment_files, write_log
from wal import Checked, Frame, LogError, UnsupportedFormat, check_log
from wal.format import FOOTER_BYTES, HEADER_BYTES, decode_header, encode_header

FRAME_BYTES = 33  # of one-byte payloads
THREE_FRAMES = HEADER_BYTES + 3 * FRAME_BYTES
PAYLOADS = [b"%d" % seq for seq in range(9)]


def check(folder: Path) -> tuple[Checked, list[int]]:
    """What a verification says, and the seqs that it saw; nothing may change."""
    before, seqs = segment_bytes_of(folder), []

    def on_frame(path: Path, offset: int, frame: Frame) -> None:
        seqs.append(frame.seq)
        assert int(path.stem) <= frame.seq
        assert before[path.name][offset + 8 : offset + 16] == frame.seq.to_bytes(8, "little")

    checked = check_log(folder, on_frame)
    assert segment_bytes_of(folder) == before
    return checked, seqs


def places(checked: Checked) -> list[tuple[str, str, int]]:
    return [(finding.severity, finding.path.name, finding.offset) for finding in checked.findings]


def test_sound_log_has_no_findings(tmp_path: Path) -> None:
    paths = write_log(tmp_path, PAYLOADS, segment_bytes=THREE_FRAMES)
    size_bytes = sum(path.stat().st_size for path in paths)
    checked, seqs = check(tmp_path)
    assert checked == Checked(LOG_ID, 3, 9, size_bytes, 0, 9, ())
    assert seqs == list(range(9))


def test_new_log_has_no_findings(tmp_path: Path) -> None:
    open_log(tmp_path).close()
    assert check(tmp_path) == (Checked(LOG_ID, 1, 0, HEADER_BYTES, 0, 0, ()), [])


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_folder_without_a_log_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(LogError, match="holds no log"):
        check(tmp_path / name)


def test_check_runs_beside_the_writer(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log:
        log.append(b"0", 1).wait(WAIT_S)
        files.hold("sync")
        log.append(b"1", 1)
        files.wait_held()
        checked, _ = check(tmp_path)
        assert checked.findings == ()
        files.release("sync")


@pytest.mark.parametrize("opened_before", range(12))
def test_retention_beside_the_check_is_no_damage(tmp_path: Path, opened_before: int) -> None:
    """A segment may go at any time: before it is read, or when those before it were walked."""
    write_log(tmp_path, PAYLOADS[:4], segment_bytes=1)
    writer = Writer(tmp_path, segment_bytes=1, kept_min=1)

    class Overtaken(UnsyncedFiles):
        left = opened_before

        def open_read(self, path: Path) -> int:
            if path.suffix == ".redex":
                self.left -= 1
                if self.left == -1:
                    writer.append(3)
                    writer.close()
            return super().open_read(path)

    files = Overtaken()
    assert check_log(tmp_path, lambda *_: None, files).findings == ()
    if files.left < 0:
        assert len(segment_files(tmp_path)) < 4
    else:
        writer.close()


def test_listing_that_misses_a_segment_is_no_damage(tmp_path: Path) -> None:
    paths = write_log(tmp_path, PAYLOADS, segment_bytes=THREE_FRAMES)
    checked = check_log(tmp_path, lambda *_: None, MissingNames(paths[1].name, 3))
    assert checked.findings == ()
    assert checked.end_seq == 9


def test_torn_tail_is_a_tail_and_not_damage(tmp_path: Path) -> None:
    (path,) = write_log(tmp_path, PAYLOADS)
    path.write_bytes(path.read_bytes()[:-1])
    (tmp_path / "DURABLE").unlink()
    checked, seqs = check(tmp_path)
    assert places(checked) == [("tail", path.name, HEADER_BYTES + 8 * FRAME_BYTES)]
    assert (checked.frame_count, checked.end_seq) == (8, 8)
    assert seqs == list(range(8))


def test_acknowledged_frames_that_are_gone_are_damage(tmp_path: Path) -> None:
    (path,) = write_log(tmp_path, PAYLOADS)
    path.write_bytes(path.read_bytes()[:-FRAME_BYTES])
    checked, _ = check(tmp_path)
    assert places(checked) == [("damage", "DURABLE", 56)]
    assert "up to seq 9 were acknowledged, the log ends at 8" in checked.findings[0].detail


def test_torn_frame_in_a_sealed_segment_is_damage(tmp_path: Path) -> None:
    paths = write_log(tmp_path, PAYLOADS, segment_bytes=THREE_FRAMES)
    paths[0].write_bytes(paths[0].read_bytes()[: -1 - FOOTER_BYTES])
    checked, _ = check(tmp_path)
    assert places(checked)[0] == ("damage", paths[0].name, HEADER_BYTES + 2 * FRAME_BYTES)


def test_damage_in_the_middle_of_the_last_segment_is_damage(tmp_path: Path) -> None:
    (path,) = write_log(tmp_path, PAYLOADS)
    offset = HEADER_BYTES + 4 * FRAME_BYTES
    flip_bit(path, offset * 8 + 200)
    checked, _ = check(tmp_path)
    assert places(checked) == [("damage", path.name, offset), ("damage", "DURABLE", 56)]
    assert str(path) in checked.findings[0].detail


def test_damaged_segment_is_listed_and_the_next_ones_are_walked(tmp_path: Path) -> None:
    paths = write_log(tmp_path, PAYLOADS, segment_bytes=THREE_FRAMES)
    offset = HEADER_BYTES + FRAME_BYTES
    flip_bit(paths[0], offset * 8 + 200)
    flip_bit(paths[1], offset * 8 + 7)
    checked, seqs = check(tmp_path)
    assert seqs == [0, 3, 6, 7, 8]
    assert checked.end_seq == 9
    assert places(checked) == [("damage", paths[0].name, offset), ("damage", paths[1].name, offset)]


def test_damaged_header_is_listed_and_the_next_segments_are_walked(tmp_path: Path) -> None:
    paths = write_log(tmp_path, PAYLOADS, segment_bytes=THREE_FRAMES)
    flip_bit(paths[0], 20 * 8)
    checked, seqs = check(tmp_path)
    assert places(checked) == [("damage", paths[0].name, 0)]
    assert seqs == [3, 4, 5, 6, 7, 8]
    assert checked.log_id == LOG_ID


def test_missing_segment_is_listed(tmp_path: Path) -> None:
    paths = write_log(tmp_path, PAYLOADS, segment_bytes=THREE_FRAMES)
    paths[1].unlink()
    checked, seqs = check(tmp_path)
    assert places(checked) == [("damage", paths[2].name, 40)]
    assert "starts at seq 6, expected 3" in checked.findings[0].detail
    assert seqs == [0, 1, 2, 6, 7, 8]


@pytest.mark.parametrize(("field", "offset"), [("log_id", 16), ("chain", 56)])
def test_segment_that_does_not_belong_is_listed(tmp_path: Path, field: str, offset: int) -> None:
    paths = write_log(tmp_path, PAYLOADS, segment_bytes=THREE_FRAMES)
    content = paths[2].read_bytes()
    header = decode_header(content)
    foreign = header._replace(log_id=bytes(16)) if field == "log_id" else header._replace(chain=1)
    paths[2].write_bytes(encode_header(foreign) + content[HEADER_BYTES:])
    checked, _ = check(tmp_path)
    assert ("damage", paths[2].name, offset) in places(checked)


def test_incomplete_batch_at_the_tail_is_listed(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.append_batch([(1, b"0"), (1, b"1"), (1, b"2")]).wait(WAIT_S)
    (path,) = segment_files(tmp_path)
    path.write_bytes(path.read_bytes()[:-FRAME_BYTES])
    (tmp_path / "DURABLE").unlink()
    checked, _ = check(tmp_path)
    assert places(checked) == [("tail", path.name, HEADER_BYTES)]


def test_newer_format_is_refused(tmp_path: Path) -> None:
    (path,) = write_log(tmp_path, PAYLOADS)
    content = path.read_bytes()
    path.write_bytes(encode_header(decode_header(content)._replace(version=3)) + content[HEADER_BYTES:])
    with pytest.raises(UnsupportedFormat):
        check(tmp_path)
