"""A log seen from outside its writer: the folder as it is found, changed by others, never by the reader."""

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import google_crc32c
import pytest

from tests.support.faulty_files import WAIT_S, UnsyncedFiles
from tests.support.log_writers import POLL_S, MakeWriter, Writer, contents_of, look, numbers, payloads, whole
from tests.support.logs import ALL, TIME_MS, flip_bit, open_log, segment_files, write_log
from wal import (
    Corrupt,
    FileLog,
    Files,
    LogLocked,
    Truncated,
    UnknownLog,
    UnsupportedFormat,
)
from wal.format import HEADER_BYTES
from wal.mark import NAME as MARK

FIRST = f"{0:020d}.redex"


# Retention


def test_position_that_retention_overtook_is_truncated_and_names_the_floor(
    folder: Path, make_writer: MakeWriter
) -> None:
    writer = make_writer(segment_bytes=200, kept_min=5)
    writer.ask("append 4")
    with look(folder) as view:
        first = view.get(0)
        assert first.payload == b"0"
        subscription = view.subscribe(0, timeout_s=WAIT_S)
        writer.ask("append 20")
        floor = int(segment_files(folder)[0].stem)
        assert floor > 4
        assert view.first_seq == floor
        for refused in (lambda: view.get(0), lambda: view.read_back(floor - 1, count_max=1, bytes_max=1)):
            with pytest.raises(Truncated) as caught:
                refused()
            assert caught.value.floor == floor
        with pytest.raises(Truncated):
            next(iter(subscription))
        assert view.read_back(floor, count_max=1, bytes_max=1) == []
        assert payloads(whole(view)) == numbers(floor, 24)
        assert view.seek_time(0) == floor


def test_segment_that_was_listed_and_then_removed_is_truncated(folder: Path) -> None:
    """The removal comes after the mark: a reader may list a segment just before it goes."""
    writer = Writer(folder, segment_bytes=1, kept_min=2)
    writer.append(3)
    writer.files.hold("remove")
    assert writer.log.append(b"3", 1).wait(WAIT_S) == 3
    writer.files.wait_held()
    with look(folder) as view:
        assert (view.first_seq, view.durable_end) == (0, 4)
        writer.files.release("remove")
        writer.log.barrier().wait(WAIT_S)
        writer.close()
        assert segment_files(folder)[0].stem == f"{1:020d}"
        with pytest.raises(Truncated) as caught:
            view.get(0)
        assert caught.value.floor == 1
        assert view.first_seq == 1
        assert payloads(whole(view)) == numbers(1, 4)
        assert view.seek_time(0) == 1


class RemovedAsItIsOpened(UnsyncedFiles):
    """Retention is quicker than a reader that has just chosen its segment."""

    def __init__(self) -> None:
        self.first: Path | None = None

    def open_read(self, path: Path) -> int:
        if path == self.first:
            self.first = None
            path.unlink()
        return super().open_read(path)


def test_search_by_time_that_retention_overtakes_gives_the_floor(folder: Path) -> None:
    write_log(folder, numbers(0, 12), segment_bytes=200)
    files = RemovedAsItIsOpened()
    with look(folder, files) as view:
        files.first = folder / FIRST
        assert view.seek_time(0) == int(segment_files(folder)[0].stem)


def test_read_that_retention_overtakes_is_truncated(folder: Path) -> None:
    write_log(folder, numbers(0, 12), segment_bytes=200)
    files = RemovedAsItIsOpened()
    with look(folder, files) as view:
        files.first = folder / FIRST
        with pytest.raises(Truncated) as caught:
            view.read_from(0, count_max=ALL, bytes_max=ALL)
        assert caught.value.floor == int(segment_files(folder)[0].stem)


def test_old_mark_below_the_floor_says_nothing(folder: Path) -> None:
    """A power cut may bring back an older mark: it is not synced."""
    writer = Writer(folder, segment_bytes=200, kept_min=5)
    writer.append(1)
    old = (folder / MARK).read_bytes()
    writer.append(20)
    writer.close()
    (folder / MARK).write_bytes(old)
    with look(folder) as view:
        floor = int(segment_files(folder)[0].stem)
        assert (view.first_seq, view.durable_end) == (floor, 21)
        assert payloads(whole(view)) == numbers(floor, 21)
        again = Writer(folder)
        again.append(3)
        assert payloads(whole(view)) == numbers(floor, 24)
        again.close()


# The folder is left alone


def test_reader_and_writer_open_beside_each_other(folder: Path) -> None:
    with open_log(folder) as log:
        log.append(b"0", 1).wait(WAIT_S)
        with look(folder) as view, pytest.raises(LogLocked):
            open_log(folder)
        assert log.append(b"1", 1).wait(WAIT_S) == 1
    with look(folder) as view, look(folder) as second:
        with open_log(folder) as log:
            log.append(b"2", 1).wait(WAIT_S)
            assert view.durable_end == second.durable_end == 3
        assert payloads(whole(view)) == payloads(whole(second)) == numbers(0, 3)


@pytest.mark.parametrize("without", ["nothing", "mark", "indexes", "lock"])
def test_reading_changes_no_byte_in_the_folder(folder: Path, without: str) -> None:
    write_log(folder, numbers(0, 12), segment_bytes=200)
    removed = {"nothing": "nothing", "mark": MARK, "indexes": "*.index", "lock": "LOCK"}[without]
    for path in list(folder.glob(removed)):
        path.unlink()
    before = contents_of(folder)
    with look(folder) as view:
        assert payloads(whole(view)) == numbers(0, 12)
        assert len(view.read_back(12, count_max=ALL, bytes_max=ALL)) == 12
        assert view.seek_time(0) == 0
        assert not view.wait_past(12, 0)
        view.watch(lambda: None)
    assert contents_of(folder) == before


class UnwritableFiles(Files):
    """A disk that is mounted for reading only."""

    def refuse(self, *_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    make_folder = create = open_write = open_or_create = lock = write = reserve = refuse  # type: ignore[assignment]
    publish = replace = truncate = rename = remove = remove_if_there = refuse  # type: ignore[assignment]


@pytest.mark.parametrize("with_mark", [True, False])
def test_folder_that_may_only_be_read_is_read(folder: Path, with_mark: bool) -> None:
    write_log(folder, numbers(0, 12), segment_bytes=200)
    if not with_mark:
        (folder / MARK).unlink()
    for path in folder.iterdir():
        path.chmod(0o400)
    folder.chmod(0o500)
    try:
        with look(folder, UnwritableFiles()) as view:
            assert payloads(whole(view)) == numbers(0, 12)
            assert view.seek_time(TIME_MS + 1) == 12
            assert not view.wait_past(12, 2 * POLL_S)
    finally:
        folder.chmod(0o700)


# What cannot be opened


@pytest.mark.parametrize("make", ["nothing", "folder", "file", "lock"])
def test_folder_without_a_log_is_unknown(tmp_path: Path, make: str) -> None:
    folder = tmp_path / "nowhere"
    if make == "file":
        folder.write_bytes(b"")
    elif make != "nothing":
        folder.mkdir()
    if make == "lock":
        (folder / "LOCK").write_bytes(b"")
    with pytest.raises(UnknownLog, match="nowhere holds no log"):
        look(folder)
    assert folder.exists() is (make != "nothing"), "reading makes nothing"


def test_log_that_was_removed_ends_its_readers(folder: Path) -> None:
    write_log(folder, numbers(0, 12), segment_bytes=200)
    with look(folder) as view, ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(view.wait_past, 12, WAIT_S)
        view.watch(lambda: None)
        shutil.rmtree(folder)
        assert waiting.result(WAIT_S) is False
        assert isinstance(view.failure, UnknownLog)
        with pytest.raises(UnknownLog):
            view.get(0)


def test_frames_of_another_log_in_the_same_place_are_never_given_out(folder: Path) -> None:
    write_log(folder, numbers(0, 3))
    with look(folder) as view:
        shutil.rmtree(folder)
        with FileLog.open(folder, clock_ms=lambda: 0, new_log_id=lambda: bytes(16)) as other:
            other.append_many([(1, b"other")] * 5).wait(WAIT_S)
            with pytest.raises(UnknownLog, match="holds another log now"):
                view.get(0)


def test_newer_version_is_unsupported_and_damage_is_named(folder: Path) -> None:
    (path, *_) = write_log(folder, numbers(0, 12), segment_bytes=200)
    content = path.read_bytes()
    path.write_bytes(b"redexLOG" + content[8:])
    with pytest.raises(Corrupt) as caught:
        look(folder)
    assert (caught.value.path, caught.value.offset) == (path, 0)
    body = content[:8] + b"\x03" + content[9:60]
    path.write_bytes(body + google_crc32c.value(body).to_bytes(4, "little") + content[64:])
    with pytest.raises(UnsupportedFormat, match="a newer program wrote it"):
        look(folder)


def test_segment_that_is_missing_for_good_is_damage(folder: Path) -> None:
    paths = write_log(folder, numbers(0, 12), segment_bytes=200)
    paths[1].unlink()
    with pytest.raises(Corrupt) as caught:
        look(folder)
    assert (caught.value.path, caught.value.offset) == (paths[2], 40)


def test_damaged_frame_fails_the_reads_that_meet_it_and_no_others(folder: Path) -> None:
    paths = write_log(folder, numbers(0, 12), segment_bytes=200)
    flip_bit(paths[1], 8 * (HEADER_BYTES + 33) + 5)
    damaged = int(paths[1].stem) + 1
    with look(folder) as view:
        for seq in range(12):
            if damaged <= seq < int(paths[2].stem):
                with pytest.raises(Corrupt) as caught:
                    view.get(seq)
                assert caught.value.path == paths[1]
            else:
                assert view.get(seq).payload == b"%d" % seq
