"""Requests on the direct path while something is waited for: the disk, the rest of a body, the end of the server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from episteme.config import ServerConfig
from episteme.server.heads import Heads
from episteme.server.protocol import PIPELINED_MAX
from tests.server.test_direct import ask, plain_post, request
from tests.support.envelopes import claim
from tests.support.faulty_files import FaultyFiles
from tests.support.guarded import Wire
from tests.support.served import Served, served

_SHORT_S: Final = 0.1


@pytest.fixture
def files() -> FaultyFiles:
    return FaultyFiles()


@pytest.fixture
def server(tmp_path: Path, files: FaultyFiles) -> Iterator[Served]:
    """On a disk that can be held, with two tenths of a second for a body."""
    with served(tmp_path, ServerConfig(body_s_max=2 * _SHORT_S), files=files) as running:
        yield running


def send_and_hold(server: Served, files: FaultyFiles, wire: Wire, subject: str) -> None:
    """Send a write, and have it wait for the disk."""
    files.hold("sync")
    wire.send(plain_post(subject))
    files.wait_held()


def in_flight(server: Served) -> int:
    count: int = server.on_loop(lambda: server.metrics.in_flight)
    return count


# For the disk


def test_write_is_not_answered_before_it_is_durable(server: Served, files: FaultyFiles) -> None:
    with server.connect() as wire:
        send_and_hold(server, files, wire, "waits")
        assert wire.quiet(_SHORT_S)
        assert in_flight(server) == 1
        files.release("sync")
        assert wire.answer().startswith(b"HTTP/1.1 202 ")
    assert in_flight(server) == 0
    assert server.direct.taken_count == 1


def test_write_whose_client_has_gone_is_written_and_counted(server: Served, files: FaultyFiles) -> None:
    with server.connect() as wire:
        send_and_hold(server, files, wire, "gone")
        wire.reset()
    while server.on_loop(lambda: server.guards.open):
        pass
    files.release("sync")
    with server.connect() as wire:
        wire.send(plain_post("gone"))
        assert wire.answer().startswith(b"HTTP/1.1 200 ")
    assert in_flight(server) == 0
    assert server.on_loop(server.counted)[("/v1/assertions", "POST", "202")] == 1


def test_failure_of_the_disk_is_told_as_on_the_long_way(tmp_path: Path) -> None:
    told = []
    for is_direct in (True, False):
        files = FaultyFiles()
        with served(tmp_path / str(is_direct), is_direct=is_direct, files=files) as server:
            files.fail("sync")
            told.append(ask(server, plain_post("lost", "/v1/assertions", b"X-Request-Id: mine")))
            assert server.direct.taken_count == is_direct
    assert told[0] == told[1]
    assert b"log-failed" in told[0]


def test_requests_sent_before_the_answer_have_theirs_in_turn_up_to_the_bound(
    server: Served, files: FaultyFiles
) -> None:
    with server.connect() as wire:
        send_and_hold(server, files, wire, "first")
        ids = [b"id-%d" % number for number in range(PIPELINED_MAX + 2)]
        wire.send(b"".join(request("GET", "/livez", b"", b"X-Request-Id: " + one) for one in ids))
        assert wire.quiet(_SHORT_S)
        files.release("sync")
        assert wire.answer().startswith(b"HTTP/1.1 202 ")
        for one in ids[:-1]:
            assert b"x-request-id: %b\r\n" % one in wire.answer()
        assert wire.is_closed()


def test_plain_requests_one_behind_the_other_are_all_answered_and_the_connection_stays(
    server: Served, files: FaultyFiles
) -> None:
    with server.connect() as wire:
        send_and_hold(server, files, wire, "first of three")
        wire.send(plain_post("second of three"))
        server.on_loop(lambda: None)
        wire.send(plain_post("third of three"))
        files.release("sync")
        assert [wire.answer()[:12] for _ in range(3)] == [b"HTTP/1.1 202"] * 3
        wire.send(plain_post("fourth"))
        assert wire.answer().startswith(b"HTTP/1.1 202 ")


# For the end of the server


def test_server_that_stops_answers_a_write_that_waits_and_closes(server: Served, files: FaultyFiles) -> None:
    with server.connect() as wire:
        send_and_hold(server, files, wire, "stops")
        server.shutdown_connections()
        assert wire.quiet(_SHORT_S)
        files.release("sync")
        answer = wire.answer()
        assert answer.startswith(b"HTTP/1.1 202 ")
        assert b"\r\nconnection: close\r\n" in answer
        assert wire.is_closed()


def test_what_came_behind_a_last_answer_is_thrown_away(server: Served, files: FaultyFiles) -> None:
    with server.connect() as wire:
        send_and_hold(server, files, wire, "last")
        wire.send(plain_post("behind the last"))
        server.on_loop(lambda: None)
        server.shutdown_connections()
        files.release("sync")
        assert wire.answer().startswith(b"HTTP/1.1 202 ")
        assert wire.is_closed()


def test_write_that_waits_longer_than_the_server_does_is_told_so_once(server: Served, files: FaultyFiles) -> None:
    with server.connect() as wire:
        send_and_hold(server, files, wire, "too long")
        server.on_loop(server.guards.give_up)
        assert wire.answer().startswith(b"HTTP/1.1 503 ")
        files.release("sync")
        assert wire.is_closed()
    with server.connect() as wire:
        wire.send(plain_post("too long"))
        assert wire.answer().startswith(b"HTTP/1.1 200 ")


def test_question_while_the_server_stops_takes_the_long_way(server: Served) -> None:
    with server.connect() as wire:
        wire.send(plain_post("late"))
        wire.answer()
        server.shutdown_connections()
        wire.send(plain_post("late"))
        assert b"\r\nconnection: close\r\n" in wire.answer()
    assert server.direct.taken_count == 1


# For the rest of a body


def send_half(server: Served, wire: Wire, data: bytes) -> bytes:
    """Send all but the end, and give that."""
    wire.send(data[:-100])
    while not server.on_loop(lambda: any(vars(one)["_held"] for one in server.guards.open)):
        pass
    return data[-100:]


def test_body_that_is_not_whole_in_time_is_refused_when_its_time_is_over(server: Served) -> None:
    with server.connect() as wire:
        began_s = server.loop.time()
        send_half(server, wire, plain_post("slow"))
        answer = wire.answer()
        assert server.loop.time() - began_s >= 2 * _SHORT_S
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the body was not whole after 0.2 s" in answer


def test_body_that_is_slow_but_in_time_is_taken(tmp_path: Path) -> None:
    with served(tmp_path, ServerConfig(header_s_max=0.04)) as server, server.connect() as wire:
        rest = send_half(server, wire, plain_post("rather slow"))
        while server.on_loop(lambda: any(vars(one)["_held"] for one in server.guards.open)):
            pass
        wire.send(rest)
        assert wire.answer().startswith(b"HTTP/1.1 202 ")
        assert server.direct.taken_count == 0


def test_end_of_the_server_does_not_lose_what_is_held(server: Served) -> None:
    with server.connect() as wire:
        rest = send_half(server, wire, plain_post("held at the end"))
        server.shutdown_connections()
        wire.send(rest)
        answer = wire.answer()
        assert answer.startswith(b"HTTP/1.1 202 ")
        assert b"\r\nconnection: close\r\n" in answer


def test_server_that_gives_up_tells_who_has_sent_half(server: Served) -> None:
    with server.connect() as wire:
        send_half(server, wire, plain_post("given up"))
        server.on_loop(server.guards.give_up)
        assert wire.answer().startswith(b"HTTP/1.1 503 ")


def test_client_that_goes_with_half_a_body_sent_is_counted_as_on_the_long_way(tmp_path: Path) -> None:
    counted = []
    for is_direct in (True, False):
        with served(tmp_path / str(is_direct), is_direct=is_direct) as server:
            with server.connect() as wire:
                wire.send(plain_post("half")[:-100])
                while not server.on_loop(lambda: server.guards.open):
                    pass
                server.on_loop(lambda: None)
                server.on_loop(lambda: None)
                wire.reset()
            while server.on_loop(lambda: server.guards.open):
                pass
            server.on_loop(lambda: None)
            counted.append(server.on_loop(server.counted))
    assert counted[0] == counted[1]
    assert counted[0][("/v1/assertions", "POST", "400")] == 1


def test_more_behind_a_held_body_is_answered_in_turn(server: Served) -> None:
    with server.connect() as wire:
        rest = send_half(server, wire, plain_post("and more"))
        wire.send(rest + request("GET", "/livez"))
        assert wire.answer().startswith(b"HTTP/1.1 202 ")
        assert wire.answer().startswith(b"HTTP/1.1 200 ")


def test_large_body_goes_the_long_way(server: Served) -> None:
    body = claim("large") + b" " * 66_000
    assert ask(server, request("POST", "/v1/assertions", body)).startswith(b"HTTP/1.1 202 ")
    assert server.direct.taken_count == 0


# What is remembered of heads


def test_heads_are_remembered_but_not_secrets_nor_what_never_comes_again() -> None:
    checked: list[bytes] = []
    heads = Heads(checked.append)
    plain = b"Host: h\r\nContent-Length: 3\r\n"
    for _ in range(2):
        assert heads.read(plain) == (3, None, None, None)
    assert checked == [b"h"]
    for passing in (b"Authorization: Bearer eps_x\r\n", b"X-Request-Id: a\r\n", b"traceparent: 00\r\n"):
        heads.read(plain + passing)
        heads.read(plain + passing)
    assert len(checked) == 7
    assert heads.read(plain + b"Cookie: c\r\nAuthorization: Bearer eps_x\r\n") is None
    assert set(vars(heads)["_known"]) == {plain}


def test_memory_for_heads_has_a_bound() -> None:
    heads = Heads(lambda _: None)
    for number in range(3000):
        heads.read(b"Host: h%d\r\n" % number)
    assert len(vars(heads)["_known"]) <= 1024
    assert heads.read(b"Host: h\r\nAccept: " + b"x" * 3000 + b"\r\n") is None


@pytest.mark.parametrize(
    "block",
    [b"", b"Host: h", b"Host: h\n", b"Host: h\r\n\r\n", b"Host: h\r\nHost: h\r\n", b"Content-Length: 3\r\n",
     b"Host: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n", b"Host: h\r\nContent-Length: +3\r\n",
     b"Host: h\r\nContent-Length: 3, 3\r\n", b"Host: h\r\nTransfer-Encoding: chunked\r\n", b"Host : h\r\n",
     b"Host: h\r\n Accept: x\r\n", b"Host: h\r\nAccept: x\x00\r\n", b"Host: h\r\nAccept: x\ry\r\n",
     b"Host: h\r\nAccept: x \r\n", b"Host: h\r\nConnection: close\r\n", b"Host: h\r\nConnection: keep-alive, x\r\n"],
)  # fmt: skip
def test_head_of_any_other_form_is_not_plain(block: bytes) -> None:
    assert Heads(lambda _: None).read(block) is None
