"""A disk that fails under an open log: nothing acknowledged is lost, nothing else is found later."""

import errno
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.crash_model import crash_images, put_image
from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.logs import open_log, read_payloads, segment_files
from wal import FileLog, Interval, LogError, LogFailed, LogOptions, Ticket, check_log

FAULTS = [
    ("write", 1, errno.EIO, 0),
    ("write", 1, errno.EIO, 5),
    ("write", 1, errno.EROFS, 0),
    ("sync", 1, errno.EIO, 0),
    ("sync", 1, errno.ENOSPC, 0),
]
ROLL_FAULTS = [
    *FAULTS,
    ("create", 1, errno.EIO, 0),
    ("rename", 1, errno.EIO, 0),
    ("sync_folder", 1, errno.EIO, 0),
    ("sync_folder", 1, errno.ENOSPC, 0),
    ("write", 2, errno.EIO, 50),  # the first is the header of the new segment
    ("sync", 2, errno.EIO, 0),
    ("sync", 2, errno.ENOSPC, 0),
]
CASES = [(2**20, *fault) for fault in FAULTS] + [(1, *fault) for fault in ROLL_FAULTS]


def fail_one_commit(
    log: FileLog, files: FaultyFiles, operation: str, at: int, error: int, written_bytes: int
) -> list[Ticket]:
    """Three appends: the first meets the fault, the others wait behind it."""
    files.fail(operation, at=at, error=error, written_bytes=written_bytes)
    files.hold(operation)
    tickets = [log.append(b"fails", 1)]
    files.wait_held()
    tickets += [log.append_batch([(1, b"waits"), (1, b"too")]), log.append(b"waits as well", 1)]
    files.release(operation)
    return tickets


@pytest.mark.parametrize(("segment_bytes", "operation", "at", "error", "written_bytes"), CASES)
def test_failure_is_told_to_all_who_wait_and_only_what_was_acknowledged_is_found_again(
    tmp_path: Path, segment_bytes: int, operation: str, at: int, error: int, written_bytes: int
) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files, segment_bytes=segment_bytes) as log:
        log.append(b"one", 1).wait(WAIT_S)
        log.append(b"two", 1).wait(WAIT_S)
        for ticket in fail_one_commit(log, files, operation, at, error, written_bytes):
            with pytest.raises(LogFailed, match="reopen the log") as caught:
                ticket.wait(WAIT_S)
            assert type(caught.value) is LogFailed
            assert ticket.done
        log.resume()  # which is for those that can go on
        with pytest.raises(LogFailed):
            log.append(b"late", 1)
        with pytest.raises(LogFailed):
            log.barrier()
        assert isinstance(log.failure, LogFailed)
        assert log.ended
        assert log.wait_past(2, WAIT_S) is False
        assert log.durable_end == 2
        assert read_payloads(log) == [b"one", b"two"]
    for _ in range(2):
        with open_log(tmp_path, files=files, segment_bytes=segment_bytes) as log:
            assert log.torn_tail is None
            assert read_payloads(log) == [b"one", b"two"]
    with open_log(tmp_path, files=files, segment_bytes=segment_bytes) as log:
        assert log.append(b"three", 1).wait(WAIT_S) == 2
        assert read_payloads(log) == [b"one", b"two", b"three"]


def test_commits_before_the_failed_one_stand(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log:
        files.fail("write", at=2)
        files.hold("sync")
        first = log.append(b"one", 1)
        files.wait_held()
        second = log.append(b"two", 1)
        files.release("sync")
        assert first.wait(WAIT_S) == 0
        with pytest.raises(LogFailed):
            second.wait(WAIT_S)
    with open_log(tmp_path) as log:
        assert read_payloads(log) == [b"one"]


def test_tail_that_cannot_be_cut_after_a_failure_is_told(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log:
        files.fail("sync")
        files.fail("truncate")
        with pytest.raises(LogFailed) as caught:
            log.append(b"x", 1).wait(WAIT_S)
        assert "could not be cut" in caught.value.__notes__[0]


def test_failure_names_the_file_and_the_cause(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log:
        files.fail("write")
        with pytest.raises(LogFailed, match=r"0\.redex: Input/output error") as caught:
            log.append(b"x", 1).wait(WAIT_S)
        assert isinstance(caught.value.__cause__, OSError)
        with pytest.raises(LogFailed) as later:
            log.append(b"y", 1)
        assert isinstance(later.value.__cause__, OSError)


@pytest.mark.parametrize(
    "operation", ["create", "open_write", "open_or_create", "read", "write", "publish", "sync", "rename", "sync_folder"]
)
def test_failed_opening_gives_the_lock_back_and_loses_nothing(tmp_path: Path, operation: str) -> None:
    for folder, payloads in ((tmp_path / "new", []), (tmp_path / "old", [b"one", b"two"])):
        if payloads:
            with open_log(folder) as log:
                log.append_many([(1, payload) for payload in payloads]).wait(WAIT_S)
        at, failed = 1, True
        while failed:
            files = FaultyFiles()
            files.fail(operation, at=at)
            try:
                open_log(folder, files=files).close()
            except (OSError, LogError):
                at += 1
            else:
                failed = False
            with open_log(folder) as log:
                assert read_payloads(log) == payloads
                assert log.torn_tail is None


def test_failed_opening_closes_its_handles(tmp_path: Path) -> None:
    with open_log(tmp_path, segment_bytes=1) as log:
        for _ in range(3):
            log.append(b"x", 1).wait(WAIT_S)
    files = FaultyFiles()
    open_log(tmp_path, files=files).close()
    for at in range(1, files.calls["read"] + 1):
        files = FaultyFiles()
        files.fail("read", at=at)
        before = open_handle_count()
        with suppress(OSError):  # an index that cannot be read is made anew
            open_log(tmp_path, files=files).close()
        assert open_handle_count() == before, f"after the failure of read {at}"


def test_wait_past_wakes_and_is_false_when_the_log_fails(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log, ThreadPoolExecutor(1) as thread:
        files.fail("sync")
        files.hold("sync")
        log.append(b"x", 1)
        files.wait_held()
        waiting = thread.submit(log.wait_past, 0, WAIT_S)
        assert not wait([waiting], timeout=0.05).done
        files.release("sync")
        assert waiting.result(WAIT_S / 2) is False


def test_frames_that_a_writer_left_unsynced_are_durable_once_they_show(tmp_path: Path) -> None:
    """As after a kill between write and fsync: the page cache has the frames, the disk has not."""
    files = FaultyFiles()
    folder = tmp_path / "log"
    with open_log(folder, files=files) as log:
        files.fail("sync")
        files.fail("truncate")
        with pytest.raises(LogFailed):
            log.append(b"left", 1).wait(WAIT_S)
    with open_log(folder, files=files) as log:
        assert read_payloads(log) == [b"left"]
        shown = len(files.operations)
    check_images_from(shown, files, tmp_path / "after", [b"left"])


def test_segment_that_a_failed_roll_left_is_durable_once_the_log_reopened(tmp_path: Path) -> None:
    """The name was given but not synced; what is appended after the reopening must not vanish with it."""
    files = FaultyFiles()
    folder = tmp_path / "log"
    with open_log(folder, files=files, segment_bytes=1) as log:
        log.append(b"one", 1).wait(WAIT_S)
        files.fail("sync_folder")
        with pytest.raises(LogFailed):
            log.append(b"two", 1).wait(WAIT_S)
    assert len(segment_files(folder)) == 2
    with open_log(folder, files=files) as log:
        log.append(b"three", 1).wait(WAIT_S)
        acknowledged = len(files.operations)
    check_images_from(acknowledged, files, tmp_path / "after", [b"one", b"three"])


def test_interval_log_opens_after_a_roll_whose_folder_sync_failed(tmp_path: Path) -> None:
    """The old segment was sealed and synced by then: cutting it back would leave a gap before the new one."""
    files = FaultyFiles()
    options = LogOptions(segment_bytes=1, reserve_bytes=0, durability=Interval(3_600_000))
    with open_log(tmp_path, files=files, options=options) as log:
        log.append(b"one", 1).wait(WAIT_S)
        files.fail("sync_folder")
        with pytest.raises(LogFailed):
            log.append(b"two", 1).wait(WAIT_S)
    with open_log(tmp_path) as log:
        assert read_payloads(log) == [b"one"]


def test_failed_roll_leaves_the_footer_of_the_sealed_segment(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files, segment_bytes=1) as log:
        log.append(b"one", 1).wait(WAIT_S)
        files.fail("sync_folder")
        with pytest.raises(LogFailed):
            log.append(b"two", 1).wait(WAIT_S)
    with open_log(tmp_path) as log:
        assert read_payloads(log) == [b"one"]
    assert check_log(tmp_path, lambda _path, _offset, _frame: None).findings == ()


def test_log_whose_mark_cannot_be_made_does_not_open(tmp_path: Path) -> None:
    """Without a mark, a first write that the disk tore out of order could not be told from rot."""
    files = FaultyFiles()
    files.fail("publish")
    with pytest.raises(OSError, match="Input/output"):
        open_log(tmp_path, files=files)
    with open_log(tmp_path, files=files) as log:
        assert log.append(b"one", 1).wait(WAIT_S) == 0


def check_images_from(first: int, files: FaultyFiles, folder: Path, payloads: list[bytes]) -> None:
    """After a power cut at any operation from first on, a log holds the payloads."""
    images = [image for count, image in crash_images(files, lambda _: []) if count >= first]
    assert images
    for image in images:
        put_image(folder, image)
        with open_log(folder) as log:
            assert read_payloads(log) == payloads


def open_handle_count() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
