"""A disk without room under an open log: the group is refused, nothing of it is there, and the log goes on."""

import errno
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.log_histories import severities
from tests.support.logs import LOG_ID, TIME_MS, open_log, read_payloads, segment_files
from tests.wal.test_failure import fail_one_commit
from wal import DiskFull, FileLog, Interval, LogFailed, LogOptions, OutOfHandles, ReadOnlyLog, check_log, follow
from wal import open_replica as new_replica

WIDE = 2**20
REFUSALS = [
    (WIDE, "write", 1, errno.ENOSPC, 0),
    (WIDE, "write", 1, errno.ENOSPC, 50),
    (WIDE, "write", 1, errno.EDQUOT, 50),
    # A roll: the footer of the segment that ends, the header of the next, then the group itself.
    (1, "write", 1, errno.ENOSPC, 30),
    (1, "write", 2, errno.ENOSPC, 30),
    (1, "write", 3, errno.ENOSPC, 30),
    (1, "create", 1, errno.ENOSPC, 0),
    (1, "create", 1, errno.EMFILE, 0),
    (1, "rename", 1, errno.ENOSPC, 0),
    (1, "sync_folder", 1, errno.EMFILE, 0),
]
KIND = {errno.ENOSPC: DiskFull, errno.EDQUOT: DiskFull, errno.EMFILE: OutOfHandles}


def refuse_one(log: FileLog, files: FaultyFiles, payload: bytes = b"refused", **fault: int) -> None:
    files.fail("write", error=errno.ENOSPC, **fault)
    with pytest.raises(DiskFull):
        log.append(payload, 1).wait(WAIT_S)


def refusal_of(log: FileLog) -> bool:
    """Whether the log refuses work, and could go on."""
    return log.failure is not None and log.failure.resumable


@pytest.mark.parametrize(("segment_bytes", "operation", "at", "error", "written_bytes"), REFUSALS)
def test_group_without_room_is_refused_with_all_behind_it_and_the_log_goes_on_where_it_was(
    tmp_path: Path, segment_bytes: int, operation: str, at: int, error: int, written_bytes: int
) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files, segment_bytes=segment_bytes) as log:
        log.append(b"one", 1).wait(WAIT_S)
        log.append(b"two", 1).wait(WAIT_S)
        for ticket in fail_one_commit(log, files, operation, at, error, written_bytes):
            with pytest.raises(KIND[error], match="nothing of it was written"):
                ticket.wait(WAIT_S)
        assert refusal_of(log)
        assert not log.ended
        with pytest.raises(KIND[error]):
            log.append(b"before it is resumed", 1)
        with pytest.raises(KIND[error]):
            log.barrier()
        assert (log.durable_end, log.next_seq, read_payloads(log)) == (2, 2, [b"one", b"two"])
        assert severities(tmp_path) <= {"derived"}
        log.resume()
        assert not refusal_of(log)
        assert log.append(b"three", 1).wait(WAIT_S) == 2
        assert log.append_batch([(1, b"four"), (1, b"five")]).wait(WAIT_S) == 3
        assert read_payloads(log) == [b"one", b"two", b"three", b"four", b"five"]
    with open_log(tmp_path, segment_bytes=segment_bytes) as log:
        assert log.torn_tail is None
        assert read_payloads(log) == [b"one", b"two", b"three", b"four", b"five"]
    assert check_log(tmp_path, lambda _path, _offset, _frame: None).findings == ()


def test_refusals_may_follow_each_other_at_every_call_of_a_roll(tmp_path: Path) -> None:
    """As on a disk that stays full while somebody goes on trying."""
    files = FaultyFiles()
    with open_log(tmp_path, files=files, segment_bytes=1) as log:
        log.append(b"one", 1).wait(WAIT_S)
        for operation, at in [("write", 1), ("create", 1), ("write", 1), ("rename", 1), ("write", 2), ("write", 1)]:
            files.fail(operation, at=at, error=errno.ENOSPC, written_bytes=20)
            with pytest.raises(DiskFull):
                log.append(b"refused", 1).wait(WAIT_S)
            files.forgive()
            log.resume()
        assert log.append(b"two", 1).wait(WAIT_S) == 1
    with open_log(tmp_path) as log:
        assert (log.torn_tail, read_payloads(log)) == (None, [b"one", b"two"])


def test_space_ahead_and_index_and_mark_without_room_refuse_nothing(tmp_path: Path) -> None:
    files = FaultyFiles()
    options = LogOptions(segment_bytes=400, reserve_bytes=100)
    with open_log(tmp_path, files=files, options=options) as log:
        for number in range(40):
            for operation in ("reserve", "replace", "publish"):
                files.fail(operation, error=errno.ENOSPC, written_bytes=number % 30)
            log.append(b"%d" % number, 1).wait(WAIT_S)
        files.forgive()
        assert log.failure is None
    with open_log(tmp_path) as log:
        assert (log.torn_tail, len(read_payloads(log))) == (None, 40)


def test_sync_without_room_ends_the_log_for_good(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log:
        files.fail("sync", error=errno.ENOSPC)
        with pytest.raises(LogFailed, match="reopen the log") as caught:
            log.append(b"x", 1).wait(WAIT_S)
        assert not caught.value.resumable
        log.resume()
        assert log.ended


@pytest.mark.parametrize("operation", ["truncate", "sync"])
def test_refusal_that_cannot_be_cut_back_ends_the_log_for_good(tmp_path: Path, operation: str) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log:
        files.fail("write", error=errno.ENOSPC, written_bytes=20)
        files.fail(operation)
        with pytest.raises(LogFailed, match="reopen the log") as caught:
            log.append(b"x", 1).wait(WAIT_S)
        assert type(caught.value) is LogFailed
        assert "could not be cut" in caught.value.__notes__[0]
        log.resume()
        with pytest.raises(LogFailed):
            log.append(b"y", 1)


def test_first_frame_after_a_refused_roll_is_later_than_its_segment_though_the_clock_stepped_back(
    tmp_path: Path,
) -> None:
    """The new segment was begun for a frame that never came: its header bears that frame's time."""
    files, now_ms = FaultyFiles(), TIME_MS
    with open_log(tmp_path, files=files, segment_bytes=1, clock_ms=lambda: now_ms) as log:
        log.append(b"one", 1).wait(WAIT_S)
        now_ms += 3_600_000
        refuse_one(log, files, at=3)
        now_ms -= 7_200_000
        log.resume()
        log.append(b"two", 1).wait(WAIT_S)
    assert len(segment_files(tmp_path)) == 2
    with open_log(tmp_path) as log:
        assert (log.torn_tail, read_payloads(log)) == (None, [b"one", b"two"])
    assert check_log(tmp_path, lambda _path, _offset, _frame: None).findings == ()


def test_log_that_is_refused_closes_well_and_opens_again(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files, options=LogOptions(reserve_bytes=4096)) as log:
        log.append(b"one", 1).wait(WAIT_S)
        refuse_one(log, files, written_bytes=20)
    (segment,) = segment_files(tmp_path)
    assert segment.read_bytes().rstrip(b"\0").endswith(b"one"), "space ahead was given back"
    with open_log(tmp_path) as log:
        assert (log.torn_tail, read_payloads(log)) == (None, [b"one"])


def test_interval_log_keeps_and_shows_what_was_written_before_the_refusal(tmp_path: Path) -> None:
    files = FaultyFiles()
    options = LogOptions(reserve_bytes=0, durability=Interval(3_600_000))
    with open_log(tmp_path, files=files, options=options) as log:
        log.append(b"one", 1).wait(WAIT_S)
        assert log.durable_end == 0
        refuse_one(log, files, written_bytes=40)
        assert log.durable_end == 1
        log.resume()
        log.append(b"two", 1, durability="durable").wait(WAIT_S)
        assert read_payloads(log) == [b"one", b"two"]


def test_append_that_waits_for_room_in_the_queue_is_told_and_a_barrier_too(tmp_path: Path) -> None:
    files = FaultyFiles()
    options = LogOptions(pending_bytes_max=40, reserve_bytes=0, when_full="block", full_wait_s=WAIT_S)
    with open_log(tmp_path, files=files, options=options) as log, ThreadPoolExecutor(1) as thread:
        files.fail("write", error=errno.ENOSPC)
        files.hold("write")
        log.append(b"held", 1)
        files.wait_held()
        log.append(b"waits", 1)
        barrier = log.barrier()
        blocked = thread.submit(lambda: log.append(b"blocked", 1).wait(WAIT_S))
        files.release("write")
        with pytest.raises(DiskFull):
            blocked.result(WAIT_S)
        with pytest.raises(DiskFull):
            barrier.wait(WAIT_S)


def test_readers_in_this_process_and_beside_it_see_no_end_and_go_on(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log, ReadOnlyLog.open(tmp_path) as beside:
        waiting = log.subscribe(0)
        log.append(b"one", 1).wait(WAIT_S)
        refuse_one(log, files, written_bytes=20)
        assert [frame.payload for frame in waiting.read(0)] == [b"one"]
        assert not waiting.read(0)
        log.resume()
        log.append(b"two", 1).wait(WAIT_S)
        assert [frame.payload for frame in waiting.read(WAIT_S)] == [b"two"]
        assert beside.wait_past(1, WAIT_S)
        assert [frame.payload for frame in beside.read_from(0, count_max=9, bytes_max=999)] == [b"one", b"two"]


def test_replica_that_was_refused_room_copies_on(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path / "source") as source:
        source.append_many([(1, b"one"), (1, b"two")]).wait(WAIT_S)
        with new_replica(source, tmp_path / "copy", owner="source", clock_ms=lambda: TIME_MS, files=files) as replica:
            follower = follow(source, replica)
            files.fail("write", error=errno.ENOSPC, written_bytes=20)
            with pytest.raises(DiskFull):
                follower.catch_up()
            replica.resume()
            assert follower.catch_up() == 2
            assert (read_payloads(replica), replica.log_id) == ([b"one", b"two"], LOG_ID)


def test_writers_that_resume_as_they_are_refused_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """What was acknowledged is there, once, at the seq that was told; what was refused is not."""
    files, lock = FaultyFiles(), threading.Lock()
    acknowledged: dict[int, bytes] = {}
    asked: set[bytes] = set()

    def write(writer: int) -> None:
        for number in range(60):
            payload = b"%d:%d" % (writer, number)
            with lock:
                asked.add(payload)
                if number % 7 == writer:
                    files.fail("write", at=2, error=errno.ENOSPC, written_bytes=number)
            try:
                seq = log.append(payload, 1).wait()
            except DiskFull:
                log.resume()
            else:
                with lock:
                    assert seq not in acknowledged
                    acknowledged[seq] = payload

    with open_log(tmp_path, files=files, segment_bytes=2000) as log, ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(write, writer) for writer in range(4)]:
            done.result(WAIT_S)
        assert dict(enumerate(read_payloads(log))) == acknowledged
    assert len(acknowledged) < len(asked)
    with open_log(tmp_path) as log:
        assert dict(enumerate(read_payloads(log))) == acknowledged
