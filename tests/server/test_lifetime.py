"""Starting and stopping: nothing acknowledged is lost, a retry finds its position, a second server does no harm."""

import http.client
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from tests.support.command import Command
from tests.support.envelopes import claim
from tests.support.http import call, connect, exchange, log_seq
from tests.support.servers import WAIT_S, Server

WRITERS = 8


class Writers:
    """Threads that post claims of their own, one after the other, until the server is gone."""

    def __init__(self, url: str, enough: int) -> None:
        """enough: how many acknowledged writes each_has_written waits for."""
        self.acknowledged: dict[bytes, tuple[str, int]] = {}  # envelope -> hash and seq
        self.unanswered: list[bytes] = []
        self._url = url
        self._left = threading.Semaphore(0)
        self._enough = enough
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]

    def start(self) -> None:
        """Start, and return once enough was acknowledged."""
        for thread in self._threads:
            thread.start()
        for _ in range(self._enough):
            assert self._left.acquire(timeout=WAIT_S), "the writers make no progress"

    def join(self) -> None:
        """Return once all have met the end of the server."""
        for thread in self._threads:
            thread.join(WAIT_S)
            assert not thread.is_alive(), "a writer still waits for an answer"

    def _write(self, number: int) -> None:
        connection = connect(self._url)
        for turn in range(1_000_000):
            body = claim(f"writer {number}", timestamp=turn)
            try:
                reply = exchange(connection, "POST", "/v1/assertions", body)
            except (OSError, http.client.HTTPException):
                self.unanswered.append(body)
                break
            if reply.status != 202:
                assert reply.status == 503, reply.body
                break
            receipt = reply.json()
            self.acknowledged[body] = (receipt["hash"], receipt["seq"])
            self._left.release()
        connection.close()


def write_until(server: Server, end: Callable[[], object]) -> Writers:
    """Writers at work while the server is made to end."""
    writers = Writers(server.url, enough=100)
    writers.start()
    end()
    writers.join()
    return writers


def check_kept(server: Server, writers: Writers) -> None:
    """See that all that was acknowledged is there, and that sending anything again finds its first position."""
    connection = connect(server.url)
    for body, (digest, seq) in writers.acknowledged.items():
        reply = exchange(connection, "POST", "/v1/assertions", body)
        assert (reply.status, reply.json()) == (200, {"hash": digest, "seq": seq, "status": "duplicate"})
    end_seq = log_seq(server.url)
    for body in writers.unanswered:
        first = exchange(connection, "POST", "/v1/assertions", body)
        assert first.status in (200, 202)  # it was durable already, or it is now
        assert (first.status == 200) == (first.json()["seq"] <= end_seq)
        again = exchange(connection, "POST", "/v1/assertions", body)
        assert again.json() == first.json() | {"status": "duplicate"}
    some = next(iter(writers.acknowledged.values()))
    read = exchange(connection, "GET", f"/v1/assertions/{some[0]}?min_seq={log_seq(server.url)}&wait=10s")
    assert read.json()["seq"] == some[1]
    connection.close()


def test_stop_with_requests_in_flight_loses_nothing_and_ends_well(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as server:
        writers = write_until(server, lambda: server.signal(signal.SIGTERM))
        ended = server.wait()
    assert ended.code == 0, ended.output
    assert "Traceback" not in ended.output, ended.output
    assert "stopped" in ended.output
    with Server.start(tmp_path / "data") as again:
        check_kept(again, writers)
        assert again.stop().code == 0


def test_kill_with_requests_in_flight_loses_nothing_and_a_retry_finds_its_first_position(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as server:
        writers = write_until(server, server.kill)
    with Server.start(tmp_path / "data") as again:
        check_kept(again, writers)


def test_stop_as_soon_as_the_address_is_printed_is_heeded(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        server.wait_listening()
        ended = server.stop()
    assert ended.code == 0, ended.output


def test_interrupt_ends_as_well_as_a_stop(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as server:
        server.signal(signal.SIGINT)
        ended = server.wait()
    assert ended.code == 0, ended.output
    assert "Traceback" not in ended.output


def test_idle_connection_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as server:
        connection = connect(server.url)
        exchange(connection, "GET", "/livez")
        assert server.stop().code == 0
        connection.close()


def test_request_that_waits_for_a_far_position_is_answered_or_cut_but_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as server:
        connection = connect(server.url)
        connection.request("GET", "/v1/query?subject=s&predicate=p&min_seq=99&wait=500ms")
        ended = server.stop()
        assert ended.code == 0, ended.output
        connection.close()


def test_second_server_on_a_folder_is_refused_and_the_first_is_unharmed(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as first:
        assert call(first.url, "POST", "/v1/assertions?wait=5s", claim("before the second")).status == 201
        with Server(tmp_path / "data") as second:
            ended = second.wait()
        assert ended.code == 1
        assert "code: cannot-open" in ended.output
        assert str(tmp_path / "data") in ended.output
        assert "hint:" in ended.output
        assert "Traceback" not in ended.output
        assert call(first.url, "POST", "/v1/assertions?wait=5s", claim("after the second")).status == 201
        assert log_seq(first.url) == 2  # the rules of the database are at 0
        assert first.stop().code == 0


def test_port_in_use_is_told_before_the_data_folder_is_touched(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as first:
        with Server(tmp_path / "other", ["--port", str(first.port)]) as second:
            ended = second.wait()
        assert ended.code == 1
        assert f"cannot listen on 127.0.0.1 port {first.port}" in ended.output
        assert "hint:" in ended.output
        assert "Traceback" not in ended.output
        assert not (tmp_path / "other").exists()


def test_host_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with Server(tmp_path / "data", ["--host", "256.1.1.1", "--port", "0"]) as server:
        ended = server.wait()
    assert ended.code == 1
    assert "cannot listen on 256.1.1.1" in ended.output
    assert "Traceback" not in ended.output


def test_restart_takes_up_at_the_same_database_and_position(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as first:
        receipt = call(first.url, "POST", "/v1/assertions", claim("before the restart")).json()
        before = call(first.url, "GET", "/v1/status").json()
        first.stop()
    with Server.start(tmp_path / "data") as second:
        path = f"/v1/assertions/{receipt['hash']}?min_seq={receipt['seq']}&wait=10s"
        assert call(second.url, "GET", path).json()["seq"] == receipt["seq"]
        after = call(second.url, "GET", "/v1/status").json()
    assert after["database"] == before["database"]
    assert after["log"]["seq"] == before["log"]["seq"]
    assert after["log"]["epoch"] == before["log"]["epoch"] + 1


def test_address_that_others_reach_is_refused_unless_it_is_said_to_be_public(tmp_path: Path) -> None:
    command = Command(tmp_path)
    refused = command("serve", "--data", str(tmp_path / "data"), "--host", "0.0.0.0", "--port", "0")
    assert (refused.code, refused.stdout) == (1, "")
    assert "--public" in refused.stderr
    assert "code: cannot-open" in refused.stderr
