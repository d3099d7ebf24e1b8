"""What a ticket means at each level, what shows when, and how often the disk is asked to sync."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.logs import ALL, open_log, read_all, read_payloads, segment_files
from wal import (
    Durability,
    Fenced,
    FileLog,
    Interval,
    LogBusy,
    LogClosed,
    LogFailed,
    LogOptions,
    Ticket,
)
from wal.commit import Rest

SOON: Final = Interval(20)
NEVER: Final = Interval(3_600_000)
DURABLE: Final = LogOptions(reserve_bytes=0)
OS: Final = LogOptions(reserve_bytes=0, durability="os")


@pytest.fixture
def files() -> FaultyFiles:
    return FaultyFiles()


def unseen(log: FileLog, seq: int) -> bool:
    return log.durable_end <= seq and log.read_from(seq, count_max=ALL, bytes_max=ALL) == []


def resolved(ticket: Ticket) -> threading.Event:
    event = threading.Event()
    ticket.on_done(lambda _: event.set())
    return event


# A durable log


def test_durable_frame_is_in_the_file_and_unseen_until_the_sync_returns(tmp_path: Path, files: FaultyFiles) -> None:
    with open_log(tmp_path, files=files, options=DURABLE) as log:
        files.hold("sync")
        ticket = log.append(b"in the file", 1)
        files.wait_held()
        assert b"in the file" in segment_files(tmp_path)[0].read_bytes()
        assert not ticket.done
        assert unseen(log, 0)
        files.release("sync")
        assert ticket.wait(WAIT_S) == 0
        assert read_payloads(log) == [b"in the file"]


@pytest.mark.parametrize("level", ["os", SOON, NEVER])
def test_lesser_ticket_of_a_durable_log_resolves_before_the_sync_and_shows_after_it(
    tmp_path: Path, files: FaultyFiles, level: Durability
) -> None:
    with open_log(tmp_path, files=files, options=DURABLE) as log:
        files.hold("sync")
        ticket = log.append(b"x", 1, durability=level)
        assert ticket.wait(WAIT_S) == 0
        files.wait_held()
        assert unseen(log, 0)
        files.release("sync")
        assert log.wait_past(0, WAIT_S)


def test_every_group_of_a_durable_log_is_synced_once(tmp_path: Path, files: FaultyFiles) -> None:
    with open_log(tmp_path, files=files, options=DURABLE) as log:
        before = files.calls["sync"]
        for _ in range(10):
            log.append(b"x", 1).wait(WAIT_S)
        log.barrier().wait(WAIT_S)
        assert files.calls["sync"] == before + 10


# A log opened with "os"


def test_frame_of_an_os_log_shows_after_the_write_and_is_not_synced(tmp_path: Path, files: FaultyFiles) -> None:
    with open_log(tmp_path, files=files, options=OS) as log:
        before = files.calls["sync"]
        for seq in range(20):
            assert log.append(b"%d" % seq, 1).wait(WAIT_S) == seq
            assert log.durable_end == seq + 1
        assert files.calls["sync"] == before
        assert len(read_all(log)) == 20
        log.barrier().wait(WAIT_S)
        assert files.calls["sync"] == before, "a barrier of an os log asks for no more"


def test_durable_barrier_of_an_os_log_syncs_once(tmp_path: Path, files: FaultyFiles) -> None:
    with open_log(tmp_path, files=files, options=OS) as log:
        log.append_many([(1, b"x")] * 5).wait(WAIT_S)
        before = files.calls["sync"]
        files.hold("sync")
        barrier = log.barrier(durability="durable")
        files.wait_held()
        assert not barrier.done
        assert log.durable_end == 5, "what is visible does not wait for it"
        files.release("sync")
        barrier.wait(WAIT_S)
        assert barrier.first_seq == barrier.last_seq + 1 == 5
        assert files.calls["sync"] == before + 1
        assert log.barrier(durability="durable").done, "nothing came since"


def test_durable_append_to_an_os_log_forces_one_sync(tmp_path: Path, files: FaultyFiles) -> None:
    with open_log(tmp_path, files=files, options=OS) as log:
        log.append(b"0", 1).wait(WAIT_S)
        before = files.calls["sync"]
        files.hold("sync")
        ticket = log.append(b"1", 1, durability="durable")
        files.wait_held()
        assert not ticket.done
        assert log.durable_end == 2
        files.release("sync")
        ticket.wait(WAIT_S)
        log.append(b"2", 1).wait(WAIT_S)
        assert files.calls["sync"] == before + 1


def test_os_log_is_synced_when_it_closes(tmp_path: Path, files: FaultyFiles) -> None:
    log = open_log(tmp_path, files=files, options=OS)
    log.append(b"x", 1).wait(WAIT_S)
    before = files.calls["sync"]
    log.close()
    assert files.calls["sync"] > before


def test_failed_sync_of_an_os_log_fails_the_ticket_that_asked_and_the_log(tmp_path: Path, files: FaultyFiles) -> None:
    with open_log(tmp_path, files=files, options=OS) as log:
        assert log.append(b"x", 1).wait(WAIT_S) == 0
        files.fail("sync")
        with pytest.raises(LogFailed):
            log.barrier(durability="durable").wait(WAIT_S)
        assert isinstance(log.failure, LogFailed)


# Interval


def test_interval_log_shows_within_the_interval_though_nobody_asks(tmp_path: Path, files: FaultyFiles) -> None:
    with open_log(tmp_path, files=files, options=LogOptions(durability=SOON, reserve_bytes=0)) as log:
        for seq in range(5):
            assert log.append(b"x", 1).wait(WAIT_S) == seq
            assert log.wait_past(seq, WAIT_S), "the log's own thread synced it"


def test_interval_log_gathers_writes_for_one_sync(tmp_path: Path, files: FaultyFiles) -> None:
    with open_log(tmp_path, files=files, options=LogOptions(durability=NEVER, reserve_bytes=0)) as log:
        before = files.calls["sync"]
        for seq in range(50):
            assert log.append(b"x", 1).wait(WAIT_S) == seq
        assert files.calls["sync"] == before
        assert unseen(log, 0)
        log.barrier(durability="durable").wait(WAIT_S)
        assert files.calls["sync"] == before + 1
        assert log.durable_end == 50


def test_nearer_interval_of_one_append_counts(tmp_path: Path, files: FaultyFiles) -> None:
    with open_log(tmp_path, files=files, options=LogOptions(durability=NEVER, reserve_bytes=0)) as log:
        log.append(b"0", 1).wait(WAIT_S)
        assert log.append(b"1", 1, durability=SOON).wait(WAIT_S) == 1
        assert log.wait_past(1, WAIT_S)


@pytest.mark.parametrize("durability", [NEVER, "os"])
def test_all_is_synced_and_there_after_a_close(tmp_path: Path, files: FaultyFiles, durability: Durability) -> None:
    log = open_log(tmp_path, files=files, options=LogOptions(durability=durability, reserve_bytes=0))
    log.append_many([(1, b"a"), (1, b"b")]).wait(WAIT_S)
    before = files.calls["sync"]
    log.close()
    assert files.calls["sync"] > before
    with open_log(tmp_path) as again:
        assert read_payloads(again) == [b"a", b"b"]
        assert again.torn_tail is None


def test_sync_that_fails_when_it_is_due_fails_the_log(tmp_path: Path, files: FaultyFiles) -> None:
    with open_log(tmp_path, files=files, options=LogOptions(durability=SOON, reserve_bytes=0)) as log:
        files.fail("sync")
        log.append(b"x", 1).wait(WAIT_S)
        assert log.wait_past(0, WAIT_S) is False
        assert isinstance(log.failure, LogFailed)
        assert log.durable_end == 0
    with open_log(tmp_path) as log:
        assert read_payloads(log) == []


@pytest.mark.parametrize("level", ["sometimes", Interval(0), Interval(-1)])
def test_level_that_is_none_is_refused(tmp_path: Path, level: Durability) -> None:
    with open_log(tmp_path) as log:
        for refused in (
            lambda: log.append(b"x", 1, durability=level),
            lambda: log.barrier(durability=level),
            lambda: open_log(tmp_path / "other", options=LogOptions(durability=level)),
        ):
            with pytest.raises(ValueError, match="may be"):
                refused()
        assert log.next_seq == 0


# Back-pressure


def full_log(tmp_path: Path, files: FaultyFiles, options: LogOptions) -> FileLog:
    """A log whose disk is held and whose bound is reached."""
    log = open_log(tmp_path, files=files, options=options._replace(pending_bytes_max=1000, reserve_bytes=0))
    files.hold("sync")
    log.append(b"in the sync", 1)
    files.wait_held()
    log.append(bytes(900), 1)
    return log


def test_full_log_raises_at_once(tmp_path: Path, files: FaultyFiles) -> None:
    with full_log(tmp_path, files, LogOptions()) as log:
        with pytest.raises(LogBusy):
            log.append(bytes(200), 1)
        assert log.next_seq == 2
        files.release("sync")


def test_full_log_that_blocks_without_patience_raises_at_once(tmp_path: Path, files: FaultyFiles) -> None:
    with full_log(tmp_path, files, LogOptions(when_full="block", full_wait_s=0)) as log:
        with pytest.raises(LogBusy):
            log.append(bytes(200), 1)
        assert log.next_seq == 2
        files.release("sync")


def blocked(log: FileLog, threads: ThreadPoolExecutor, count: int) -> list[Future[Ticket]]:
    """So many appends that wait for room; on return all of them do."""
    appends = [threads.submit(log.append, bytes(200), 1) for _ in range(count)]
    while len(log._committer._head[0].written._waiters) < count:
        threading.Event().wait(0.001)
    return appends


def test_blocked_appends_go_on_when_there_is_room(tmp_path: Path, files: FaultyFiles) -> None:
    options = LogOptions(when_full="block", full_wait_s=WAIT_S)
    with ThreadPoolExecutor(8) as threads, full_log(tmp_path, files, options) as log:
        appends = blocked(log, threads, 8)
        assert log.next_seq == 2
        files.release("sync")
        seqs = sorted(append.result(WAIT_S).wait(WAIT_S) for append in appends)
        assert seqs == list(range(2, 10))


def test_failure_ends_blocked_appends(tmp_path: Path, files: FaultyFiles) -> None:
    options = LogOptions(when_full="block", full_wait_s=WAIT_S)
    with ThreadPoolExecutor(4) as threads, full_log(tmp_path, files, options) as log:
        files.fail("sync", at=0)
        appends = blocked(log, threads, 4)
        files.release("sync")
        for append in appends:
            with pytest.raises(LogFailed):
                append.result(WAIT_S)
        assert log.durable_end == 0


def test_close_ends_blocked_appends(tmp_path: Path, files: FaultyFiles) -> None:
    options = LogOptions(when_full="block", full_wait_s=WAIT_S)
    log = full_log(tmp_path, files, options)
    with ThreadPoolExecutor(5) as threads:
        appends = blocked(log, threads, 4)
        closing = threads.submit(log.close)
        for append in appends:
            with pytest.raises(LogClosed):
                append.result(WAIT_S)
        files.release("sync")
        closing.result(WAIT_S)
    with open_log(tmp_path) as again:
        assert again.next_seq == 2


# Fencing


@pytest.mark.parametrize("how", ["removed", "replaced", "folder renamed"])
@pytest.mark.parametrize("options", [DURABLE, OS])
def test_writer_whose_lock_is_gone_writes_nothing(
    tmp_path: Path, files: FaultyFiles, how: str, options: LogOptions
) -> None:
    folder = tmp_path / "log"
    with open_log(folder, files=files, options=options) as log:
        log.append(b"0", 1).wait(WAIT_S)
        if how == "folder renamed":
            folder.rename(tmp_path / "elsewhere")
        else:
            (folder / "LOCK").unlink()
        if how == "replaced":
            (folder / "LOCK").write_bytes(b"")
        there = tmp_path / "elsewhere" if how == "folder renamed" else folder
        before = segment_files(there)[0].read_bytes()
        writes = files.calls["write"]
        with pytest.raises(Fenced, match="another writer may have the log"):
            log.append(b"1", 1).wait(WAIT_S)
        with pytest.raises(Fenced):
            log.append(b"2", 1)
        assert files.calls["write"] == writes
        assert segment_files(there)[0].read_bytes() == before
        assert read_payloads(log) == [b"0"] if how != "folder renamed" else log.durable_end == 1


@pytest.mark.parametrize("last_act", ["append", "close"])
def test_second_writer_that_took_the_folder_is_not_harmed(tmp_path: Path, last_act: str) -> None:
    """The first one must not cut back what the second has appended."""
    with open_log(tmp_path, reserve_bytes=1000) as first:
        first.append(b"0", 1).wait(WAIT_S)
        (tmp_path / "LOCK").unlink()
        with open_log(tmp_path) as second:
            second.append(b"1", 1).wait(WAIT_S)
            if last_act == "append":
                with pytest.raises(Fenced):
                    first.append(b"lost", 1).wait(WAIT_S)
            first.close()
            assert read_payloads(second) == [b"0", b"1"]
    with open_log(tmp_path) as log:
        assert read_payloads(log) == [b"0", b"1"]
        assert log.torn_tail is None


# Who commits


def test_thread_that_waits_commits_though_the_log_s_own_thread_sleeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_log(tmp_path, options=DURABLE) as log, ThreadPoolExecutor(1) as thread:
        log.append(b"0", 1).wait(WAIT_S)
        with monkeypatch.context() as patched:
            patched.setattr(Rest, "wake", lambda _: None)
            writing = thread.submit(lambda: [log.append(b"x", 1).wait() for _ in range(200)])
            assert writing.result(WAIT_S) == list(range(1, 201))
        assert log.durable_end == 201


def test_wait_with_a_timeout_is_kept_though_the_disk_does_not_come_back(tmp_path: Path, files: FaultyFiles) -> None:
    with open_log(tmp_path, files=files, options=DURABLE) as log:
        files.hold("sync")
        ticket = log.append(b"x", 1)
        for timeout_s in (0, 0.001, -1):
            with pytest.raises(TimeoutError, match="seq 0 is not durable"):
                ticket.wait(timeout_s)
        files.release("sync")
        assert ticket.wait(WAIT_S) == 0


@pytest.mark.parametrize("durability", ["durable", "os", SOON])
def test_no_wake_up_is_lost_among_many_threads_of_which_some_give_up(
    tmp_path: Path, files: FaultyFiles, durability: Durability
) -> None:
    options = LogOptions(segment_bytes=4000, reserve_bytes=0, durability=durability)
    barrier = threading.Barrier(32)
    with open_log(tmp_path, files=files, options=options) as log:

        def write(number: int) -> list[int]:
            barrier.wait(WAIT_S)
            seqs = []
            for turn in range(60):
                level: Durability | None = "durable" if (number + turn) % 5 == 0 else None
                ticket = log.append(b"%d %d" % (number, turn), 1, durability=level)
                try:
                    seqs.append(ticket.wait([None, WAIT_S, 0.0, 0.0005][(number + turn) % 4]))
                except TimeoutError:
                    seqs.append(ticket.wait(None if turn % 2 else WAIT_S))
            return seqs

        with ThreadPoolExecutor(32) as threads:
            writing = [threads.submit(write, number) for number in range(32)]
            told = sorted(seq for seqs in writing for seq in seqs.result(3 * WAIT_S))
        log.barrier(durability="durable").wait(WAIT_S)
        assert told == list(range(32 * 60))
        assert len(read_all(log)) == 32 * 60


def test_waiters_on_one_ticket_all_wake_though_some_give_up(tmp_path: Path, files: FaultyFiles) -> None:
    with open_log(tmp_path, files=files, options=DURABLE) as log, ThreadPoolExecutor(32) as threads:
        for _ in range(5):
            files.hold("sync")
            ticket = log.append(b"x", 1)
            files.wait_held()
            waiting = [threads.submit(ticket.wait, [None, WAIT_S, 0.001, 0.01][number % 4]) for number in range(32)]
            for number, wait in enumerate(waiting):
                if number % 4 >= 2:
                    with pytest.raises(TimeoutError):
                        wait.result(WAIT_S)
            files.release("sync")
            for number, wait in enumerate(waiting):
                if number % 4 < 2:
                    assert wait.result(WAIT_S) == ticket.first_seq
