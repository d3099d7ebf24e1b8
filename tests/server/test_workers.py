"""Several processes on one address: one server to whoever asks, whatever becomes of one of them."""

import http.client
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from episteme.server.workers.page import Page
from tests.server.test_lifetime import check_kept, write_until
from tests.support.crews import (
    ARGUMENTS,
    COUNT,
    another_worker,
    connections,
    end,
    metric,
    stopped,
    wait_ended,
    wait_for_workers,
    watched,
    worker_pids,
)
from tests.support.dying_server import DEADLY
from tests.support.envelopes import claim
from tests.support.guarded import Wire
from tests.support.http import call, connect, exchange, log_seq
from tests.support.servers import WAIT_S, Server
from tests.support.service_manager import Listener
from tests.support.strict_owner import SILENCE_S_MAX

WRITERS = 6
ENOUGH = 40  # writes of each writer
STRICT = "tests.support.strict_owner"


@pytest.fixture(scope="module", name="crew")
def _crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Running, and shared by tests that do no harm."""
    with Server.start(tmp_path_factory.mktemp("crew") / "data", ARGUMENTS) as server:
        yield server
        ended = server.stop()
    assert ended.code == 0, ended.output
    assert "Traceback" not in ended.output, ended.output


@pytest.fixture(name="pair")
def _pair(crew: Server) -> Iterator[list[HTTPConnection]]:
    """A connection to each of two workers."""
    opened = connections(crew)
    yield opened
    for connection in opened:
        connection.close()


class Stubborn:
    """Threads that post claims of their own, and post again what had no answer, until each has written enough."""

    def __init__(self, server: Server, enough: int = ENOUGH) -> None:
        self.receipts: dict[bytes, tuple[str, int]] = {}
        self.failures = 0  # connections that ended before the answer
        self.under_way = threading.Semaphore(0)
        self._server = server
        self._enough = enough
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(2 * WAIT_S)
            assert not thread.is_alive(), "a writer makes no progress"
        assert len(self.receipts) == WRITERS * self._enough

    def _write(self, number: int) -> None:
        connection = connect(self._server.url)
        for turn in range(self._enough):
            body = claim(f"stubborn {number}", timestamp=turn)
            while True:
                try:
                    reply = exchange(connection, "POST", "/v1/assertions", body)
                except (OSError, http.client.HTTPException):
                    self.failures += 1
                    connection.close()
                    continue
                if reply.status != 503:
                    break
            assert reply.status in (200, 202), reply.body
            self.receipts[body] = (reply.json()["hash"], reply.json()["seq"])
            self.under_way.release()
        connection.close()


def check_written(server: Server, writers: Stubborn, before: int) -> None:
    """Each claim is in the log once, where its receipt says, and nothing else is behind position before."""
    assert sorted(seq for _, seq in writers.receipts.values()) == list(range(before + 1, log_seq(server.url) + 1))
    connection = connect(server.url)
    for body, (digest, seq) in writers.receipts.items():
        again = exchange(connection, "POST", "/v1/assertions", body)
        assert (again.status, again.json()) == (200, {"hash": digest, "seq": seq, "status": "duplicate"})
    connection.close()


def test_write_through_one_worker_is_read_through_another_once_its_position_is_asked_for(
    pair: list[HTTPConnection],
) -> None:
    for turn in range(20):
        writer, reader = pair[turn % 2], pair[1 - turn % 2]
        receipt = exchange(writer, "POST", "/v1/assertions", claim("across", confidence=f"0.{turn + 10}")).json()
        asked = f"/v1/query?subject=across&predicate=causes_muscle_loss&min_seq={receipt['seq']}&wait=10s"
        answer = exchange(reader, "GET", asked)
        assert answer.status == 200, answer.body
        assert answer.json()["candidates_count"] == turn + 1
        assert answer.log_seq >= receipt["seq"]
        assert int(answer.headers["episteme-applied"]) >= receipt["seq"]


def test_position_of_a_receipt_shows_at_once_in_every_worker(pair: list[HTTPConnection]) -> None:
    for turn in range(20):
        reply = exchange(pair[turn % 2], "POST", "/v1/assertions", claim("shows", timestamp=turn))
        assert reply.log_seq >= reply.json()["seq"]
        assert exchange(pair[1 - turn % 2], "GET", "/livez").log_seq >= reply.json()["seq"]


def test_write_that_waits_is_readable_through_another_worker_on_return(pair: list[HTTPConnection]) -> None:
    written = exchange(pair[0], "POST", "/v1/assertions?wait=10s", claim("waited for"))
    assert (written.status, written.json()["status"]) == (201, "applied")
    answer = exchange(pair[1], "GET", "/v1/query?subject=waited%20for&predicate=causes_muscle_loss")
    assert answer.json()["winner"]["hash"] == written.json()["hash"]


def test_position_that_never_comes_is_not_applied_in_the_time_asked_for(pair: list[HTTPConnection]) -> None:
    reply = exchange(pair[0], "GET", "/v1/query?subject=s&predicate=causes_muscle_loss&min_seq=999999&wait=1ms")
    assert (reply.status, reply.json()["code"]) == (503, "not-applied")


def test_same_claim_through_both_workers_at_once_is_one_event(crew: Server, pair: list[HTTPConnection]) -> None:
    before = log_seq(crew.url)
    bodies = [claim("twice", timestamp=turn) for turn in range(30)]
    replies: list[list[tuple[int, str]]] = [[], []]

    def write(side: int) -> None:
        for body in bodies:
            reply = exchange(pair[side], "POST", "/v1/assertions", body).json()
            replies[side].append((reply["seq"], reply["status"]))

    threads = [threading.Thread(target=write, args=(side,)) for side in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert log_seq(crew.url) == before + len(bodies)
    for one, other in zip(*replies, strict=True):
        assert one[0] == other[0]
        assert {one[1], other[1]} == {"accepted", "duplicate"}


def test_ingest_through_a_worker_keeps_the_order_and_refuses_a_bad_line_alone(pair: list[HTTPConnection]) -> None:
    lines = [claim("many", timestamp=turn) for turn in range(1500)]
    lines[700] = lines[700].replace(b'"signature":"', b'"signature":"00', 1)
    lines[701] = claim("many", timestamp=701).replace(b"causes_muscle_loss", b"causes_weight_loss", 1)
    lines[702] = lines[3]
    results = exchange(pair[0], "POST", "/v1/ingest", b"\n".join(lines)).lines
    assert results[-1] == {"summary": {"lines": 1500, "accepted": 1497, "duplicate": 1, "refused": 2}}
    assert [results[place]["code"] for place in (700, 701)] == ["invalid-field", "invalid-signature"]
    assert results[702]["seq"] == results[3]["seq"]
    seqs = [result["seq"] for result in results[:-1] if result["status"] == "accepted"]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    last = exchange(pair[1], "GET", f"/v1/assertions/{results[-2]['hash']}?min_seq={seqs[-1]}&wait=10s")
    assert last.json()["seq"] == seqs[-1]


def test_tail_and_long_poll_through_a_worker_tell_what_comes_through_another(
    crew: Server, pair: list[HTTPConnection]
) -> None:
    after = log_seq(crew.url)
    with Wire(crew.port) as tail, Wire(crew.port) as poll:
        tail.send(b"GET /v1/log/tail?after=%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % after)
        assert tail.head().headers["content-type"].startswith("text/event-stream")
        poll.send(b"GET /v1/log?after=%d&wait=10s HTTP/1.1\r\nHost: localhost\r\n\r\n" % after)
        receipt = exchange(pair[0], "POST", "/v1/assertions", claim("tailed")).json()
        assert poll.reply().lines[0]["hash"] == receipt["hash"]
        told = b""
        while receipt["hash"].encode() not in told:
            told += tail.some(1)


def test_connection_of_the_owner_ends_with_the_client_that_it_was_for(crew: Server) -> None:
    with Wire(crew.port) as tail:
        tail.send(b"GET /v1/log/tail HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert tail.head().status == 200
        assert metric(crew, "episteme_sse_clients") == 1
    until_s = time.monotonic() + WAIT_S
    while metric(crew, "episteme_sse_clients"):
        assert time.monotonic() < until_s


def test_audit_of_an_answer_of_one_worker_is_found_through_another_at_once(pair: list[HTTPConnection]) -> None:
    written = exchange(pair[0], "POST", "/v1/assertions?wait=10s", claim("audited"))
    assert written.status == 201
    for turn in range(10):
        answer = exchange(pair[turn % 2], "GET", "/v1/query?subject=audited&predicate=causes_muscle_loss").json()
        found = exchange(pair[1 - turn % 2], "GET", f"/v1/audit/queries/{answer['audit_id']}")
        assert found.status == 200, found.body
        assert found.json()["subject"] == "audited"


def test_counters_are_the_sum_of_all_processes(crew: Server, pair: list[HTTPConnection]) -> None:
    name = 'episteme_http_request_seconds_count{code="422",method="POST",route="/v1/votes"}'

    def refused() -> tuple[float, float]:
        lines = call(crew.url, "GET", "/metrics").body.decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return float(values.get(name, 0)), float(values.get('episteme_signatures_verified_total{result="bad"}', 0))

    before = refused()
    bad = claim("not a vote").replace(b"causes_muscle_loss", b"causes_weight_loss", 1)
    for connection in pair:
        assert exchange(connection, "POST", "/v1/votes", b"{}").status == 422
        assert exchange(connection, "POST", "/v1/assertions", bad).status == 422
    until_s = time.monotonic() + WAIT_S
    while (now := refused())[0] < before[0] + 2 or now[1] < before[1] + 2:  # workers tell every half second
        assert time.monotonic() < until_s
    assert now[0] == before[0] + 2


def test_killed_worker_loses_nothing_acknowledged_and_another_takes_its_place(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data", ARGUMENTS) as server:
        before = log_seq(server.url)
        writers = Stubborn(server)
        for pid in worker_pids(server):
            for _ in range(WRITERS):
                assert writers.under_way.acquire(timeout=WAIT_S)
            end(pid)
        writers.join()
        check_written(server, writers, before)
        wait_for_workers(server, 2 * COUNT)
        ended = server.stop()
    assert ended.code == 0, ended.output
    assert ended.output.count("ended by signal 9") == COUNT, ended.output
    assert writers.failures, "no writer met the end of a worker"


def test_worker_that_is_told_to_stop_drains_while_another_takes_its_place(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data", ARGUMENTS) as server:
        before = log_seq(server.url)
        writers = Stubborn(server)
        for pid in worker_pids(server):
            assert writers.under_way.acquire(timeout=WAIT_S)
            end(pid, signal.SIGTERM)
        writers.join()
        assert writers.failures == 0
        check_written(server, writers, before)
        wait_for_workers(server, 2 * COUNT)
        ended = server.stop()
    assert (ended.code, "WARNING" in ended.output) == (0, False), ended.output


def test_worker_that_hangs_before_it_takes_connections_is_ended_and_another_takes_its_place(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data", ARGUMENTS, module=STRICT) as server:
        first = worker_pids(server)
        end(first[0])
        second = another_worker(server, first)
        with stopped(second) as file:
            wait_ended([file])
        wait_for_workers(server, COUNT + 2)
        ended = server.stop()
    assert ended.code == 0, ended.output
    assert f"(process {second}) is stuck; it is ended" in ended.output


def test_worker_whose_owner_has_ended_before_it_began_ends_without_a_word() -> None:
    end, theirs = socket.socketpair()
    end.close()
    with theirs, socket.socket() as unused:
        files = (theirs.fileno(), unused.fileno(), unused.fileno(), Page.make().file)
        command = [sys.executable, "-m", "episteme.server.workers.process", *map(str, files)]
        ended = subprocess.run(command, pass_fds=set(files), capture_output=True, timeout=3 * WAIT_S, check=False)
    assert (ended.returncode, ended.stderr) == (3, b"")


def test_owner_that_stood_still_itself_takes_no_worker_for_stuck(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data", ARGUMENTS, module=STRICT) as server:
        with watched(worker_pids(server)) as files:
            server.signal(signal.SIGSTOP)
            assert select.select(files, [], [], 1.25 * SILENCE_S_MAX)[0] == []
            server.signal(signal.SIGCONT)
            for connection in connections(server):
                assert exchange(connection, "GET", "/readyz").status == 200
                connection.close()
        assert metric(server, "episteme_workers_started_total") == COUNT
        ended = server.stop()
    assert (ended.code, "stuck" in ended.output) == (0, False), ended.output


@pytest.mark.parametrize("signals", [1, 2])
def test_stop_ends_a_worker_that_is_stuck(tmp_path: Path, signals: int) -> None:
    arguments = (*ARGUMENTS, "--drain-s", "1s" if signals == 1 else "1h")
    with Server.start(tmp_path / "data", arguments, module=STRICT) as server, stopped(worker_pids(server)[0]) as file:
        for _ in range(signals):
            server.signal(signal.SIGTERM)
        ended = server.wait()
        wait_ended([file])
    assert (ended.code, "Traceback" in ended.output) == (0, False), ended.output


def test_workers_end_with_a_killed_owner_and_a_new_server_finds_all_that_was_acknowledged(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data", ARGUMENTS) as server, watched(worker_pids(server)) as files:
        assert len(files) == COUNT
        writers = write_until(server, server.kill)
        wait_ended(files)
    with Server.start(tmp_path / "data") as again:
        check_kept(again, writers)


def test_stop_with_requests_in_flight_loses_nothing_and_ends_all_processes(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data", ARGUMENTS) as server, watched(worker_pids(server)) as files:
        writers = write_until(server, lambda: server.signal(signal.SIGTERM))
        ended = server.wait()
        wait_ended(files)
    assert ended.code == 0, ended.output
    assert "Traceback" not in ended.output, ended.output
    with Server.start(tmp_path / "data") as again:
        check_kept(again, writers)


def test_stop_answers_who_waits_and_a_second_signal_hurries(tmp_path: Path) -> None:
    with Listener() as listener:
        environ = {"NOTIFY_SOCKET": listener.address, "EPISTEME_DRAIN_S": "600"}
        with Server(tmp_path / "data", ARGUMENTS, environ=environ) as server:
            listener.wait_for("READY=1")
            server.wait_listening()
            with Wire(server.port) as tail, Wire(server.port) as waiting:
                tail.send(b"GET /v1/log/tail HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert tail.head().status == 200
                waiting.send(
                    b"GET /v1/query?subject=s&predicate=p&min_seq=99&wait=30s HTTP/1.1\r\nHost: localhost\r\n\r\n"
                )
                assert waiting.quiet(0.1)
                server.signal(signal.SIGTERM)
                listener.wait_for("STOPPING=1")
                assert tail.rest().endswith(b"0\r\n\r\n")
                server.signal(signal.SIGTERM)
                reply = waiting.reply()
                assert (reply.status, reply.json()["code"]) == (503, "not-ready")
            ended = server.wait()
    assert ended.code == 0
    assert "Traceback" not in ended.output, ended.output


def test_kill_between_the_fsync_and_the_answer_then_a_retry_finds_the_same_hash_and_position(tmp_path: Path) -> None:
    deadly = claim(DEADLY)
    with Server.start(tmp_path / "data", ARGUMENTS, module="tests.support.dying_server") as server:
        before = call(server.url, "POST", "/v1/assertions", claim("before")).json()
        reply = call(server.url, "POST", "/v1/assertions", deadly)
        assert (reply.status, reply.json()["code"]) == (503, "not-ready")
        assert server.wait().code == -signal.SIGKILL
    with Server.start(tmp_path / "data", ARGUMENTS) as again:
        first = call(again.url, "POST", "/v1/assertions", deadly)
        assert (first.status, first.json()["status"], first.json()["seq"]) == (200, "duplicate", before["seq"] + 1)


@pytest.mark.parametrize("second", [(), ("--workers", "2")], ids=["single", "workers"])
def test_address_of_a_server_with_workers_is_refused_to_a_second_server(
    crew: Server, tmp_path: Path, second: tuple[str, ...]
) -> None:
    ended = Server(tmp_path / "other", ("--port", str(crew.port), *second)).wait()
    assert ended.code == 1
    assert f"cannot listen on 127.0.0.1 port {crew.port}" in ended.output
    assert not (tmp_path / "other").exists()


def test_server_whose_workers_do_not_start_says_so_and_ends(tmp_path: Path) -> None:
    ended = Server(tmp_path / "data", ARGUMENTS, module="tests.support.unable_workers").wait()
    assert ended.code == 1
    assert "a worker ended with code 1 before it took connections" in ended.output
    assert "code: cannot-open" in ended.output
    assert "listening on" not in ended.output
