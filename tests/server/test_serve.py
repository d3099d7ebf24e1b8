"""The process: what it tells a service manager, what it does at signals, and what of a request is left when it dies."""

import http.client
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from episteme.config import ServerConfig
from episteme.errors import CannotOpen
from episteme.server.listen import listen
from tests.server.test_lifetime import check_kept, write_until
from tests.support.dying_server import DEADLY
from tests.support.envelopes import claim
from tests.support.guarded import Wire
from tests.support.http import call, connect, exchange, log_seq
from tests.support.servers import WAIT_S, Server
from tests.support.service_manager import Listener


def managed(data: Path, listener: Listener, *arguments: str, **environ: str) -> Server:
    """A server that has told its service manager that it is ready."""
    server = Server(data, ("--port", "0", *arguments), environ={"NOTIFY_SOCKET": listener.address, **environ})
    server.wait_listening()
    listener.wait_for("READY=1")
    return server


def test_service_manager_is_told_ready_alive_and_stopping_in_this_order(tmp_path: Path) -> None:
    with Listener() as listener, managed(tmp_path / "data", listener, WATCHDOG_USEC="100000") as server:
        status = listener.wait_for("WATCHDOG=1")[-1]
        assert status == ["WATCHDOG=1", "STATUS=log at seq 0, folded to 0"]
        server.signal(signal.SIGTERM)
        assert listener.wait_for("STOPPING=1")[-1] == ["STOPPING=1", "STATUS=finishing what is in flight"]
        assert server.wait().code == 0


def test_draining_server_is_not_ready_ends_who_waits_and_answers_a_request_that_was_on_its_way(tmp_path: Path) -> None:
    with Listener() as listener, managed(tmp_path / "data", listener) as server:
        with Wire(server.port) as asker, Wire(server.port) as tail, Wire(server.port) as waiting:
            tail.send(b"GET /v1/log/tail HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert tail.head().status == 200
            waiting.send(b"GET /v1/log?after=0&wait=30s HTTP/1.1\r\nHost: localhost\r\n\r\n")
            asker.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /readyz HTTP/1.1\r\nHost: ")
            assert asker.reply().status == 200
            server.signal(signal.SIGTERM)
            listener.wait_for("STOPPING=1")
            asker.send(b"localhost\r\n\r\n")
            reply = asker.reply()
            assert (reply.status, reply.headers["connection"]) == (503, "close")
            assert any("draining" in reason for reason in reply.json()["reasons"]), reply.body
            assert asker.is_closed()
            assert tail.rest().endswith(b"0\r\n\r\n")
            assert waiting.reply().status == 200
        with pytest.raises(ConnectionRefusedError):
            Wire(server.port)
        assert server.wait().code == 0


def test_every_line_of_a_server_that_logs_json_is_json_from_the_first_to_the_last(tmp_path: Path) -> None:
    with Listener() as listener:
        environ = {"NOTIFY_SOCKET": listener.address, "EPISTEME_LOG_FORMAT": "json"}
        with Server(tmp_path / "data", environ=environ) as server:
            listener.wait_for("READY=1")
            output = server.stop().output
    lines = [json.loads(line) for line in output.splitlines()]
    assert {(line["level"], line["logger"]) for line in lines} == {("info", "episteme.serve")}
    assert any(line["message"].startswith("listening on http://127.0.0.1:") for line in lines)
    assert lines[-1]["message"].startswith("stopped")


def test_server_that_logs_json_says_as_json_why_it_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    ended = Server(tmp_path / "data", environ={"EPISTEME_LOG_FORMAT": "json"}).wait()
    line = json.loads(ended.output)
    assert (ended.code, line["level"], line["logger"]) == (1, "error", "episteme.serve")
    assert "is a file" in line["message"]
    assert "cannot-open" in line["message"]


def test_stop_cuts_no_request_that_was_taken(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as server:
        writers = write_until(server, lambda: server.signal(signal.SIGTERM))
        assert server.wait().code == 0
    with Server.start(tmp_path / "data") as again:
        check_kept(again, writers)
        # check_kept has sent them again: what had no answer was not in the log, and stands behind all that was.
        last = max(seq for _, seq in writers.acknowledged.values())
        for body in writers.unanswered:
            assert call(again.url, "POST", "/v1/assertions", body).json()["seq"] > last


def test_second_signal_hurries_a_stop_and_who_waits_is_told(tmp_path: Path) -> None:
    with Listener() as listener, managed(tmp_path / "data", listener, EPISTEME_DRAIN_S="600") as server:
        with Wire(server.port) as waiting:
            waiting.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            waiting.reply()
            waiting.send(b"GET /v1/query?subject=s&predicate=p&min_seq=99&wait=30s HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert waiting.quiet(0.1)
            server.signal(signal.SIGTERM)
            listener.wait_for("STOPPING=1")
            server.signal(signal.SIGTERM)
            reply = waiting.reply()
            assert (reply.status, reply.json()["code"]) == (503, "not-ready")
        ended = server.wait()
    assert ended.code == 0
    assert "Traceback" not in ended.output, ended.output


def test_request_that_outlasts_the_drain_is_told_and_what_it_wrote_is_kept(tmp_path: Path) -> None:
    with Listener() as listener, managed(tmp_path / "data", listener, EPISTEME_DRAIN_S="0") as server:
        with Wire(server.port) as waiting:
            waiting.send(b"GET /v1/query?subject=s&predicate=p&min_seq=99&wait=30s HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert waiting.quiet(0.1)
            server.signal(signal.SIGTERM)
            assert waiting.reply().json()["code"] == "not-ready"
        ended = server.wait()
    assert ended.code == 0
    assert "Traceback" not in ended.output, ended.output


def test_hangup_is_said_and_does_no_harm(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as server:
        server.signal(signal.SIGHUP)
        assert call(server.url, "GET", "/livez").status == 200
        ended = server.stop()
    assert ended.code == 0
    assert "SIGHUP" in ended.output


EARLY = """
import signal, sys
from pathlib import Path
from episteme.config import NodeConfig, ServerConfig
from episteme.server import serve

def configure():
    signal.raise_signal(signal.SIGHUP)
    return NodeConfig()

class Stopped(serve.Server):
    def run(self, sockets):
        signal.raise_signal(signal.SIGTERM)
        super().run(sockets)

serve.Server = Stopped
serve.serve(Path(sys.argv[1]), configure, ServerConfig(port=0), lambda node, url: print("listening"))
"""


def test_signals_before_the_server_takes_connections_are_heeded_as_afterwards(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", EARLY, str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (ended.returncode, "SIGHUP" in ended.stderr) == (0, True), ended.stderr


def test_kill_between_the_fsync_and_the_answer_then_a_retry_finds_the_same_hash_and_position(tmp_path: Path) -> None:
    deadly = claim(DEADLY)
    with Server.start(tmp_path / "data", module="tests.support.dying_server") as server:
        before = call(server.url, "POST", "/v1/assertions", claim("before")).json()
        connection = connect(server.url)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            exchange(connection, "POST", "/v1/assertions", deadly)
        connection.close()
        assert server.wait().code == -signal.SIGKILL
    with Server.start(tmp_path / "data") as again:
        assert log_seq(again.url) == before["seq"] + 1  # it was on the disk
        first = call(again.url, "POST", "/v1/assertions", deadly)
        assert (first.status, first.json()["status"]) == (200, "duplicate")
        assert first.json()["seq"] == before["seq"] + 1
        assert call(again.url, "POST", "/v1/assertions", deadly).json() == first.json()
        assert log_seq(again.url) == before["seq"] + 1
        stored = call(again.url, "GET", f"/v1/assertions/{first.json()['hash']}?min_seq={first.json()['seq']}&wait=10s")
        assert stored.json()["seq"] == first.json()["seq"]


@pytest.mark.parametrize(
    ("host", "port", "why"),
    [
        ("256.1.1.1", 0, "cannot listen on 256.1.1.1 port 0: "),
        ("no-such-host.invalid", 0, "cannot listen on no-such-host.invalid port 0: "),
        ("x" * 300, 0, "is not a name"),
        ("127.0.0.1", None, "stop that, or take another port with --port"),
        ("0.0.0.0", 0, "is not a loopback address"),
        ("::", 0, "is not a loopback address"),
    ],
)
def test_address_that_cannot_be_had_is_told_with_its_reason(
    tmp_path: Path, host: str, port: int | None, why: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = ServerConfig(host=host, port=taken.getsockname()[1] if port is None else port)
        with pytest.raises(CannotOpen, match=why):
            listen(config, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_system_keeps_little_for_a_reader_who_reads_nothing(tmp_path: Path) -> None:
    (listening,) = listen(ServerConfig(port=0), tmp_path / "data")
    with listening as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 128 * 1024


def test_address_of_another_machine_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotOpen, match="this machine has no such address"):
        listen(ServerConfig(host="192.0.2.1", port=0, public=True), tmp_path / "data")


def test_limits_of_connections_are_held_by_the_server_as_it_is_started(tmp_path: Path) -> None:
    environ = {"EPISTEME_HEADER_S_MAX": "0.1", "EPISTEME_BODY_S_MAX": "0.1", "EPISTEME_HEADER_BYTES_MAX": "2048"}
    with Server(tmp_path / "data", environ=environ) as server:
        server.wait_listening()
        port = urlsplit(server.url).port
        assert port is not None
        with Wire(port) as slow_head:
            slow_head.send(b"GET /livez HTTP/1.1\r\n")
            assert slow_head.reply().json()["code"] == "request-timeout"
            assert slow_head.is_closed()
        with Wire(port) as slow_body:
            slow_body.send(b"POST /v1/assertions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
            reply = slow_body.reply()
            assert (reply.status, reply.headers["connection"]) == (408, "close")
            slow_body.send(b"12345678")
            assert slow_body.is_closed()
        with Wire(port) as large:
            large.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 2048 + b"\r\n\r\n")
            reply = large.reply()
            assert (reply.status, reply.headers["x-content-type-options"]) == (431, "nosniff")
        metrics = call(server.url, "GET", "/metrics").body.decode()
        assert 'code="headers-too-large"' in metrics
        assert server.stop().code == 0
