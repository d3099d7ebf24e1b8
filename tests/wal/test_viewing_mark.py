"""A log seen from outside its writer: marks that are missing, old, garbled or another log's."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from tests.support.faulty_files import WAIT_S, FaultyFiles, UnsyncedFiles
from tests.support.log_writers import POLL_S, REPOSITORY, Writer, contents_of, look, numbers, payloads, whole
from tests.support.logs import flip_bit, open_log, segment_files, write_log
from wal import (
    Corrupt,
    FileLog,
    LogFailed,
    LogOptions,
)
from wal.mark import MARK_BYTES
from wal.mark import NAME as MARK

GOLDEN_V1 = REPOSITORY / "tests/golden/log-v1.hex"
FIRST = f"{0:020d}.redex"


# Logs without a mark, and marks that are not whole


def test_log_of_version_1_is_read_to_its_last_whole_frame(folder: Path) -> None:
    folder.mkdir()
    content = bytes.fromhex(GOLDEN_V1.read_text())
    (folder / FIRST).write_bytes(content)
    with look(folder) as view:
        assert payloads(whole(view)) == [b"The sky is blue.", b"The sky is grey.", b""]
        assert view.owner is None
    (folder / FIRST).write_bytes(content[:-1])
    with look(folder) as view:
        assert payloads(whole(view)) == [b"The sky is blue."], "the batch of two is not whole"
    assert contents_of(folder).keys() == {FIRST}


def test_log_without_a_mark_shows_whole_batches_only(folder: Path) -> None:
    """What a crash left of a batch is what the next writer will cut."""
    with open_log(folder) as log:
        log.append(b"0", 1).wait(WAIT_S)
        end = log.size_bytes
        log.append_batch([(1, b"1"), (1, b"2"), (1, b"3")]).wait(WAIT_S)
    (folder / MARK).unlink()
    (path,) = segment_files(folder)
    content = path.read_bytes()
    for size in range(end, len(content)):
        path.write_bytes(content[:size])
        with look(folder) as view:
            assert view.durable_end == 1
            assert payloads(whole(view)) == [b"0"]
    path.write_bytes(content)
    with look(folder) as view:
        assert view.durable_end == 4


def test_log_without_a_mark_is_synced_before_it_shows(folder: Path) -> None:
    write_log(folder, numbers(0, 3))
    (folder / MARK).unlink()
    files = FaultyFiles()
    files.fail("sync")
    with pytest.raises(OSError, match="Input/output"):
        look(folder, files)
    with look(folder, files) as view:
        assert view.durable_end == 3
    assert files.calls["sync"] == 2


def test_reader_of_a_log_without_a_mark_goes_on_once_there_is_one(folder: Path) -> None:
    write_log(folder, numbers(0, 3))
    (folder / MARK).unlink()
    with look(folder) as view:
        assert view.durable_end == 3
        with open_log(folder) as log:
            log.append(b"3", 1).wait(WAIT_S)
            assert view.wait_past(3, WAIT_S)
            assert payloads(whole(view)) == numbers(0, 4)


@pytest.mark.parametrize("bit", range(0, 8 * MARK_BYTES, 37))
def test_garbled_mark_is_as_none(folder: Path, bit: int) -> None:
    write_log(folder, numbers(0, 3))
    flip_bit(folder / MARK, bit)
    with look(folder) as view:
        assert payloads(whole(view)) == numbers(0, 3)


@pytest.mark.parametrize("size", [0, 1, MARK_BYTES - 1])
def test_torn_mark_is_as_none(folder: Path, size: int) -> None:
    write_log(folder, numbers(0, 3))
    os.truncate(folder / MARK, size)
    with look(folder) as view:
        assert payloads(whole(view)) == numbers(0, 3)


def test_mark_that_is_garbled_while_it_is_followed_changes_nothing_until_it_is_whole_again(folder: Path) -> None:
    with open_log(folder) as log:
        log.append(b"0", 1).wait(WAIT_S)
        with look(folder) as view:
            log.append(b"1", 1).wait(WAIT_S)
            good = (folder / MARK).read_bytes()
            for bad in (good[:-1], good[:40] + b"\xff" + good[41:], b"", None):
                if bad is None:
                    (folder / MARK).unlink()
                else:
                    (folder / MARK).write_bytes(bad)
                assert view.durable_end == (1 if bad == good[:-1] else view._visible.end.seq)
                assert not view.wait_past(1, 3 * POLL_S)
                assert payloads(whole(view)) == [b"0"]
            (folder / MARK).write_bytes(good)
            assert view.wait_past(1, WAIT_S)
            assert payloads(whole(view)) == numbers(0, 2)


class TornMarks(UnsyncedFiles):
    """Reads of a mark that meet it half overwritten."""

    def __init__(self, count: int) -> None:
        self.left = count

    def read(self, handle: int, size: int, offset: int) -> bytes:
        data = super().read(handle, size, offset)
        if size != MARK_BYTES or self.left == 0:
            return data
        self.left -= 1
        return data[:40] + bytes(len(data) - 40)


def test_mark_that_is_read_while_it_is_overwritten_is_read_again(folder: Path) -> None:
    writer = Writer(folder)
    writer.append(1)
    writer.begin()
    files = TornMarks(2)
    with look(folder, files) as view:
        assert payloads(whole(view)) == numbers(0, 1), "the second is not synced"
        writer.end()
        files.left = 2
        assert view.durable_end == 2
        assert view.failure is None
    writer.close()


def test_frames_walked_while_the_first_mark_comes_do_not_show(folder: Path) -> None:
    """The mark was not there when it was looked for; its writer then wrote what is not synced."""
    writer = Writer(folder)
    writer.append(1)
    writer.begin()

    class LateMark(UnsyncedFiles):
        is_late = True

        def open_read(self, path: Path) -> int:
            if path.name == MARK and self.is_late:
                self.is_late = False
                raise FileNotFoundError(path)
            return super().open_read(path)

    with look(folder, LateMark()) as view:
        assert payloads(whole(view)) == numbers(0, 1)
    writer.end()
    writer.close()


@pytest.mark.parametrize("zeros", [0, 1000])
@pytest.mark.parametrize("lost_bytes", [33, 40, 99])
def test_log_that_a_power_cut_left_short_of_its_mark_is_read_to_its_last_whole_frame(
    folder: Path, lost_bytes: int, zeros: int
) -> None:
    """Frames of an "os" log are shown before any fsync; the space reserved for them may stay, as zeros."""
    writer = Writer(folder, durability="os")
    writer.append(5)
    (path,) = segment_files(folder)
    content, mark = path.read_bytes()[: writer.log.size_bytes], (folder / MARK).read_bytes()
    writer.close()
    (folder / MARK).write_bytes(mark)
    path.write_bytes(content[:-lost_bytes] + bytes(zeros))
    (folder / FIRST).with_suffix(".index").unlink()
    kept = 5 - -(-lost_bytes // 33)
    files = FaultyFiles()
    with look(folder, files) as view:
        assert payloads(whole(view)) == numbers(0, kept)
        assert [view.durable_end for _ in range(9)] == [kept] * 9
        assert files.calls["sync"] == 1, "walked once"
        with open_log(folder) as log:
            assert log.durable_end == kept
            log.append(b"%d" % kept, 1).wait(WAIT_S)
            assert payloads(whole(view)) == numbers(0, kept + 1)


def test_synced_frames_that_are_gone_are_damage(folder: Path) -> None:
    (path,) = write_log(folder, numbers(0, 5))
    path.write_bytes(path.read_bytes()[:-1])
    with look(folder) as view:
        assert view.durable_end == 5
        assert view.get(3).payload == b"3"
        with pytest.raises(Corrupt):
            view.get(4)


def test_zeros_that_are_a_payload_are_shown(folder: Path) -> None:
    with open_log(folder, options=LogOptions(durability="os", reserve_bytes=1000)) as log:
        log.append_many([(1, bytes(100))] * 3).wait(WAIT_S)
        with look(folder) as view:
            assert payloads(whole(view)) == [bytes(100)] * 3


def test_mark_of_another_log_says_nothing(folder: Path, tmp_path: Path) -> None:
    write_log(folder, numbers(0, 3))
    with FileLog.open(tmp_path / "other", clock_ms=lambda: 0, new_log_id=lambda: bytes(16)) as other:
        other.append(b"x", 1).wait(WAIT_S)
    shutil.copy(tmp_path / "other" / MARK, folder / MARK)
    with look(folder) as view:
        assert payloads(whole(view)) == numbers(0, 3)


def test_mark_of_a_segment_that_is_gone_is_damage(folder: Path) -> None:
    write_log(folder, numbers(0, 12), segment_bytes=200)
    segment_files(folder)[-1].unlink()
    with pytest.raises(Corrupt) as caught:
        look(folder)
    assert caught.value.path == folder / MARK


def test_log_that_went_back_fails_and_must_be_opened_again(folder: Path, tmp_path: Path) -> None:
    write_log(folder, numbers(0, 3))
    shutil.copytree(folder, tmp_path / "backup")
    with open_log(folder) as log:
        log.append(b"3", 1).wait(WAIT_S)
    called = threading.Event()
    with look(folder) as view:
        assert view.durable_end == 4
        for path in (tmp_path / "backup").iterdir():
            shutil.copy(path, folder / path.name)
        view.watch(called.set)
        assert view.wait_past(4, WAIT_S) is False, "it ended"
        assert called.wait(WAIT_S)
        assert view.ended
        assert isinstance(view.failure, LogFailed)
        with pytest.raises(LogFailed, match="went back from seq 4 to 3; open it again"):
            view.get(0)
        with pytest.raises(LogFailed):
            view.subscribe(4).read(0)
    with look(folder) as view:
        assert payloads(whole(view)) == numbers(0, 3)
