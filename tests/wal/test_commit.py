import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.logs import ALL, open_log, read_payloads
from wal import LogError, LogFailed, Ticket
from wal.commit import Rest


def test_nothing_shows_before_its_fsync_returns(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log:
        log.append(b"old", 1).wait(WAIT_S)
        files.hold("sync")
        ticket = log.append(b"new", 1)
        told: list[LogError | None] = []
        ticket.on_done(told.append)
        files.wait_held()
        assert (ticket.done, told) == (False, [])
        assert log.durable_end == 1
        assert log.read_from(1, count_max=ALL, bytes_max=ALL) == []
        assert read_payloads(log) == [b"old"]
        assert not log.wait_past(1, 0)
        with pytest.raises(TimeoutError):
            ticket.wait(0)
        files.release("sync")
        assert ticket.wait(WAIT_S) == 1
        assert ticket.done
        assert log.durable_end == 2
        assert read_payloads(log) == [b"old", b"new"]
    assert told == [None]


def test_appends_made_during_an_fsync_share_the_next_one(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log:
        before = files.calls.copy()
        files.hold("sync")
        first = log.append(b"first", 1)
        files.wait_held()
        others = [log.append(b"%d" % index, 1) for index in range(50)]
        files.release("sync")
        assert [ticket.wait(WAIT_S) for ticket in [first, *others]] == list(range(51))
        assert files.calls["sync"] - before["sync"] == 2
        assert files.calls["write"] - before["write"] == 2


def test_frame_is_visible_when_its_ticket_resolves(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        for seq in range(200):
            assert log.append(b"x", 1).wait(WAIT_S) == seq
            assert log.durable_end == seq + 1


def test_ticket_names_its_first_and_last_seq(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.append(b"x", 1)
        ticket = log.append_many([(1, b"a"), (1, b"b"), (1, b"c")])
        assert (ticket.first_seq, ticket.last_seq) == (1, 3)
        assert ticket.wait(WAIT_S) == 1
        assert ticket.wait(WAIT_S) == 1


def test_callback_on_a_done_ticket_runs_at_once(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        ticket = log.append(b"x", 1)
        ticket.wait(WAIT_S)
        told: list[LogError | None] = []
        ticket.on_done(told.append)
        assert told == [None]


def test_callback_gets_the_error(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log:
        files.fail("sync")
        files.hold("sync")
        told: list[LogError | None] = []
        log.append(b"x", 1).on_done(told.append)
        files.wait_held()
        log.append(b"y", 1).on_done(told.append)
        files.release("sync")
    assert [type(error) for error in told] == [LogFailed, LogFailed]


def test_raising_callback_stops_neither_the_others_nor_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def raise_error(_: LogError | None) -> None:
        raise RuntimeError("a bug in the layer above")

    files = FaultyFiles()
    log = open_log(tmp_path, files=files)
    files.hold("sync")
    ticket = log.append(b"x", 1)
    files.wait_held()
    told: list[LogError | None] = []
    ticket.on_done(raise_error)
    ticket.on_done(told.append)
    files.release("sync")
    assert ticket.wait(WAIT_S) == 0
    try:
        assert log.append(b"y", 1).wait(1.0) == 1
    finally:
        log.close()
    assert told == [None]


def test_barrier_resolves_with_all_that_was_appended_before_it(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log:
        assert log.barrier().done
        files.hold("sync")
        log.append(b"in the fsync", 1)
        files.wait_held()
        committing = log.barrier()
        log.append(b"behind it", 1)
        pending = log.barrier()
        empty = log.append_many([])
        assert not committing.done
        assert not pending.done
        assert not empty.done
        files.release("sync")
        committing.wait(WAIT_S)
        assert log.durable_end >= 1
        pending.wait(WAIT_S)
        assert log.durable_end == 2
        empty.wait(WAIT_S)
        assert log.barrier().done


def test_close_commits_what_is_pending(tmp_path: Path) -> None:
    files = FaultyFiles()
    log = open_log(tmp_path, files=files)
    files.hold("sync")
    tickets = [log.append(b"first", 1)]
    files.wait_held()
    tickets.append(log.append(b"second", 1))
    files.release("sync")
    log.close()
    assert [ticket.wait(0) for ticket in tickets] == [0, 1]
    with open_log(tmp_path) as log:
        assert read_payloads(log) == [b"first", b"second"]


# The caller commits


def in_thread(call: Callable[[], Ticket]) -> Ticket:
    """What call gives in a thread that is not the main one, where nobody commits."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(call).result(WAIT_S)


def test_caller_who_commits_wakes_no_other_thread_and_his_frames_wait_until_he_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_log(tmp_path) as log:
        log.append(b"old", 1).wait(WAIT_S)
        woken: list[str] = []
        with monkeypatch.context() as patched:
            patched.setattr(Rest, "wake", lambda _: woken.append("woken"))
            ticket = in_thread(lambda: log.append_many([(1, b"a"), (1, b"b")], caller_commits=True))
            assert (ticket.done, log.durable_end) == (False, 1)
            with ThreadPoolExecutor(1) as threads:
                threads.submit(ticket.commit).result(WAIT_S)
            assert (ticket.done, log.durable_end, woken) == (True, 3, [])


def test_frames_whose_caller_never_commits_go_with_the_next_commit_or_the_close(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.append(b"old", 1).wait(WAIT_S)
        left = in_thread(lambda: log.append_many([(1, b"left")], caller_commits=True))
        log.append(b"next", 1).wait(WAIT_S)
        assert left.done
        in_thread(lambda: log.append_many([(1, b"last")], caller_commits=True))
    with open_log(tmp_path) as log:
        assert read_payloads(log) == [b"old", b"left", b"next", b"last"]


def test_caller_in_the_main_thread_leaves_the_commit_to_the_log(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        for seq in range(20):
            ticket = log.append_many([(1, b"x")], caller_commits=True)
            ticket.commit()
            assert ticket.wait(WAIT_S) == seq


def test_caller_who_finds_somebody_at_it_goes_on_and_his_frames_are_committed_next(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log, ThreadPoolExecutor(2) as threads:

        def write(payload: bytes) -> Ticket:
            ticket = log.append_many([(1, payload)], caller_commits=True)
            ticket.commit()
            return ticket

        files.hold("sync")
        leading = threads.submit(write, b"first")
        files.wait_held()
        following = [threads.submit(write, b"%d" % number).result(WAIT_S) for number in range(10)]
        assert not leading.done()
        assert [ticket.done for ticket in following] == [False] * 10
        before = files.calls["sync"]
        files.release("sync")
        assert leading.result(WAIT_S).done
        assert [ticket.wait(WAIT_S) for ticket in following] == list(range(1, 11))
        assert files.calls["sync"] - before == 1


def test_no_commit_is_forgotten_among_threads_that_commit_wait_or_only_append(tmp_path: Path) -> None:
    with open_log(tmp_path) as log, ThreadPoolExecutor(16) as threads:
        barrier = threading.Barrier(16)

        def write(number: int) -> list[Ticket]:
            barrier.wait(WAIT_S)
            tickets = []
            for turn in range(60):
                if (number + turn) % 3 == 0:
                    tickets.append(log.append(b"left to the log", 1))
                elif (number + turn) % 3 == 1:
                    tickets.append(log.append(b"waited for", 1))
                    tickets[-1].wait()
                else:
                    tickets.append(log.append_many([(1, b"committed")], caller_commits=True))
                    tickets[-1].commit()
            return tickets

        writing = [threads.submit(write, number) for number in range(16)]
        tickets = [ticket for written in writing for ticket in written.result(WAIT_S)]
        assert sorted(ticket.wait(WAIT_S) for ticket in tickets) == list(range(16 * 60))
        assert log.durable_end == 16 * 60


def test_whoever_waits_for_his_frame_is_told_before_those_who_watch_the_log_grow(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log:
        told: list[tuple[str, int]] = []
        files.hold("sync")
        log.append(b"x", 1).on_done(lambda _: told.append(("done", log.durable_end)))
        files.wait_held()
        grown = threading.Event()

        def note() -> None:
            told.append(("grown", log.durable_end))
            grown.set()

        log.watch(note)
        files.release("sync")
        assert grown.wait(WAIT_S)
        assert told == [("done", 1), ("grown", 1)]


def test_failed_sync_is_told_to_all_whoever_was_to_commit_them(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log, ThreadPoolExecutor(1) as threads:
        files.fail("sync")
        files.hold("sync")
        told: list[LogError | None] = []

        def write() -> None:
            ticket = log.append_many([(1, b"x")], caller_commits=True)
            ticket.on_done(told.append)
            ticket.commit()

        leading = threads.submit(write)
        files.wait_held()
        log.append(b"y", 1).on_done(told.append)
        files.release("sync")
        leading.result(WAIT_S)
        assert [type(error) for error in told] == [LogFailed, LogFailed]
        with pytest.raises(LogFailed):
            log.append_many([(1, b"z")], caller_commits=True)
