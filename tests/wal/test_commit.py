import threading
from pathlib import Path

import pytest

from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.logs import ALL, open_log, read_payloads
from wal import LogError, LogFailed


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
