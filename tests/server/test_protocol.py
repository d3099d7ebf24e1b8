"""A connection takes so much and so long, and what could be read in two ways is read in none."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from math import inf
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from episteme.config import ServerConfig
from episteme.server import connections, protocol
from episteme.server.connections import site_of
from episteme.server.ending import LINGER_BYTES_MAX
from episteme.server.protocol import PIPELINED_MAX
from episteme.server.threads import GONE
from tests.support.guarded import WAIT_S, Guarded, Wire
from tests.support.malformed import BAD_CHUNKS, CHUNKED, MALFORMED, POST

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
MORE = b"GET /more HTTP/1.1\r\nHost: h\r\n\r\n"
SHORT_S = 0.1
BIG = b"x" * (8 * 1024 * 1024)


class Echo:
    """Reads the whole body and says what it got; /early answers before, /hold waits to be let go, /stream goes on."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[bytes, bytes]]] = []
        self.scopes: list[Any] = []
        self.gone = threading.Event()  # a client of /hold or /stream went away
        self.held = threading.Semaphore(0)  # one for each that waits
        self._release = asyncio.Event()

    def release(self) -> None:
        """In the event loop."""
        self._release.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append((scope["path"], dict(scope["headers"])))
        self.scopes.append(scope)
        match scope["path"]:
            case "/early":
                await answer(send, b"early")
            case "/hold":
                await self._hold(receive, send)
            case "/stream":
                await self._stream(send, receive)
            case "/big":
                await answer(send, BIG)
            case path:
                body = await read(receive)
                await answer(send, path.encode() + b" " + b"%d" % len(body) if body is not None else b"gone")

    async def _hold(self, receive: Any, send: Any) -> None:
        await receive()
        released = asyncio.ensure_future(self._release.wait())
        gone = asyncio.ensure_future(receive())
        self.held.release()
        await asyncio.wait({released, gone}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            self.gone.set()
        released.cancel()
        gone.cancel()
        await answer(send, b"held")

    async def _stream(self, send: Any, receive: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.ensure_future(receive())
        await gone
        gone = asyncio.ensure_future(receive())
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await asyncio.sleep(0)
        self.gone.set()


async def answer(send: Any, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read(receive: Any) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


@pytest.fixture
def app() -> Echo:
    return Echo()


@pytest.fixture
def patient(app: Echo) -> Iterator[Guarded]:
    """The limits of a server as it comes."""
    with Guarded(app, ServerConfig()) as running:
        yield running


@pytest.fixture
def hasty(app: Echo) -> Iterator[Guarded]:
    """A tenth of a second for everything."""
    with Guarded(
        app,
        ServerConfig(
            header_s_max=SHORT_S, idle_s_max=SHORT_S, body_s_max=SHORT_S, stream_write_s_max=SHORT_S, connections_max=3
        ),
    ) as running:
        yield running


def check_refusal(wire: Wire, status: int, code: str) -> None:
    """See that a refusal is a whole problem document, that it says what every answer says, and that it is the last."""
    reply = wire.reply()
    assert reply.status == status, reply.body
    problem = reply.json()
    assert (problem["code"], problem["status"]) == (code, status)
    assert problem["hint"]
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["connection"] == "close"
    assert reply.headers["episteme-seq"] == "7"
    assert wire.is_closed()


# Time


def test_connection_that_never_says_anything_is_closed_without_a_word(hasty: Guarded) -> None:
    with hasty.connect() as wire:
        assert wire.is_closed()
    assert hasty.guards.closed == {"idle": 1}


def test_headers_that_do_not_end_are_told_that_their_time_is_over(hasty: Guarded, app: Echo) -> None:
    with hasty.connect() as wire:
        wire.send(GET[:-2])
        check_refusal(wire, 408, "request-timeout")
    assert app.asked == []
    assert hasty.guards.refused == {"request-timeout": 1}


def test_headers_that_trickle_have_no_more_time_than_others(hasty: Guarded) -> None:
    with hasty.connect() as wire:
        wire.send(GET[:-2] + b"X: ")
        while wire.quiet(SHORT_S / 10):
            wire.send(b"y")
        check_refusal(wire, 408, "request-timeout")


def test_empty_lines_that_trickle_are_no_request(hasty: Guarded) -> None:
    with hasty.connect() as wire:
        wire.send(b"\r\n")
        while wire.quiet(SHORT_S / 10):
            wire.send(b"\r\n")
        assert wire.is_closed()


def test_connection_is_closed_when_it_is_idle_between_two_requests(hasty: Guarded) -> None:
    with hasty.connect() as wire:
        for _ in range(2):
            wire.send(GET)
            assert wire.reply().body == b"/ 0"
        assert wire.is_closed()
    assert hasty.guards.closed == {"idle": 1}


def test_second_request_has_its_own_time_for_headers(hasty: Guarded) -> None:
    with hasty.connect() as wire:
        wire.send(GET + GET[:-2])
        assert wire.reply().status == 200
        check_refusal(wire, 408, "request-timeout")


def test_request_that_the_application_works_on_has_no_time_limit_here(hasty: Guarded, app: Echo) -> None:
    with hasty.connect() as wire:
        wire.send(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
        assert wire.quiet(3 * SHORT_S)
        hasty.on_loop(app.release)
        assert wire.reply().body == b"held"


def test_reader_that_takes_nothing_is_cut_and_the_application_is_told(hasty: Guarded, app: Echo) -> None:
    with hasty.connect(receive_bytes=4096) as wire:
        wire.send(b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n")
        assert app.gone.wait(WAIT_S)
        with pytest.raises(ConnectionResetError):  # what was not sent is forgotten, by the system too
            wire.rest()
    assert hasty.guards.closed == {"stalled-reader": 1}


def test_answer_that_nobody_takes_does_not_keep_a_connection_that_is_to_be_closed(hasty: Guarded) -> None:
    with hasty.connect(receive_bytes=4096) as wire:
        wire.send(b"POST /more HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" * 10)
        for _ in range(10):
            assert wire.reply().status == 200
        assert wire.is_closed()


def read_slowly(wire: Wire, size: int) -> int:
    """Take an answer at a pace that no limit minds, for several times as long as a connection may be idle."""
    got, pieces = 0, 32
    for _ in range(pieces):
        got += len(wire.some(size // pieces))
        threading.Event().wait(SHORT_S / 10)
    return got


@pytest.mark.parametrize("closes", [False, True])
def test_reader_that_is_slow_but_reads_is_not_cut(app: Echo, closes: bool) -> None:
    limits = ServerConfig(idle_s_max=SHORT_S, stream_write_s_max=SHORT_S)
    with Guarded(app, limits) as server, server.connect(receive_bytes=4096) as wire:
        wire.send(b"GET /big HTTP/1.1\r\nHost: h\r\n" + b"Connection: close\r\n" * closes + b"\r\n")
        assert wire.head().status == 200
        assert read_slowly(wire, len(BIG)) == len(BIG)
        assert wire.is_closed()
        assert server.guards.closed == ({} if closes else {"idle": 1})


# Size


@pytest.mark.parametrize("pieces", [1, 30, 300], ids=lambda pieces: f"{pieces} pieces")
def test_300_kb_of_headers_are_refused(patient: Guarded, app: Echo, pieces: int) -> None:
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(300))
    size = len(lines) // pieces + 1
    with patient.connect() as wire:
        wire.send(GET[:-2])
        for start in range(0, len(lines), size):
            wire.send(lines[start : start + size])
        wire.send(b"\r\n")
        check_refusal(wire, 431, "headers-too-large")
    assert app.asked == []


def test_one_header_without_end_is_refused(patient: Guarded) -> None:
    with patient.connect() as wire:
        wire.send(GET[:-2] + b"X: " + b"y" * 300_000)
        check_refusal(wire, 431, "headers-too-large")


def test_target_without_end_is_refused(patient: Guarded) -> None:
    with patient.connect() as wire:
        wire.send(b"GET /" + b"y" * 300_000)
        check_refusal(wire, 431, "headers-too-large")


@pytest.mark.parametrize(("over", "status"), [(0, 200), (1, 431)])
def test_headers_of_just_the_limit_are_read(patient: Guarded, over: int, status: int) -> None:
    limit = ServerConfig().header_bytes_max
    rest = limit + over - len(b"/") - len(b"Hosth") - len(b"X") - 2 * 4
    with patient.connect() as wire:
        wire.send(GET[:-2] + b"X: " + b"y" * rest + b"\r\n\r\n")
        assert wire.reply().status == status


def test_large_body_beside_a_head_does_not_count_as_head(patient: Guarded) -> None:
    with patient.connect() as wire:
        wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(BIG) + BIG + GET)
        assert wire.reply().body == b"/ %d" % len(BIG)
        assert wire.reply().status == 200


@pytest.mark.parametrize("flood", [b"X: " + b"y" * 300_000, b"X: y\r\n" * 50_000], ids=["one", "many"])
def test_trailers_without_end_are_refused(patient: Guarded, flood: bytes) -> None:
    with patient.connect() as wire:
        wire.send(POST + CHUNKED + b"\r\n")
        wire.send(b"3\r\nabc\r\n0\r\n" + flood)
        check_refusal(wire, 431, "headers-too-large")


def test_chunk_extension_without_end_is_refused(patient: Guarded) -> None:
    with patient.connect() as wire:
        wire.send(POST + CHUNKED + b"\r\n")
        wire.send(b"3;" + b"y" * 600_000)
        check_refusal(wire, 431, "headers-too-large")


# What could be read in two ways


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
def test_malformed_request_is_refused_and_reaches_nobody(
    patient: Guarded, app: Echo, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with patient.connect() as wire:
        wire.send(sent + MORE)
        check_refusal(wire, 400, "malformed-request")
    assert app.asked == []
    assert patient.guards.refused == {"malformed-request": 1}
    assert caplog.records == []


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_bad_chunk_is_refused_and_nothing_behind_it_is_read(patient: Guarded, app: Echo, chunks: bytes) -> None:
    with patient.connect() as wire:
        wire.send(POST + CHUNKED + b"\r\n" + chunks + MORE)
        check_refusal(wire, 400, "malformed-request")
    assert [path for path, _ in app.asked] in ([], ["/"])


def test_bad_chunk_ends_a_request_that_the_application_has_begun_and_its_answer_is_dropped(
    patient: Guarded, app: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    with patient.connect() as wire:
        wire.send(b"POST /hold HTTP/1.1\r\nHost: h\r\n" + CHUNKED + b"\r\n3\r\nabc\r\n")
        assert app.held.acquire(timeout=WAIT_S)
        wire.send(b"zz\r\n")
        check_refusal(wire, 400, "malformed-request")
    assert app.gone.wait(WAIT_S)
    patient.on_loop(lambda: None)  # by then it has answered
    assert caplog.records == []


def test_refusal_waits_for_the_answers_to_requests_before_it(patient: Guarded, app: Echo) -> None:
    with patient.connect() as wire:
        wire.send(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n" + MORE + MALFORMED["no host"] + MORE)
        assert wire.quiet(SHORT_S)
        patient.on_loop(app.release)
        assert wire.reply().body == b"held"
        assert wire.reply().body == b"/more 0"
        check_refusal(wire, 400, "malformed-request")


def test_refusal_of_a_body_that_was_read_ahead_waits_as_well(patient: Guarded, app: Echo) -> None:
    with patient.connect() as wire:
        head = POST + CHUNKED + b"\r\n"
        wire.send(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n" + head + b"zz\r\n")
        assert wire.quiet(SHORT_S)
        patient.on_loop(app.release)
        assert wire.reply().body == b"held"
        check_refusal(wire, 400, "malformed-request")
    assert [path for path, _ in app.asked] == ["/hold"]


def test_bad_chunk_after_the_answer_began_adds_nothing_to_it(patient: Guarded, app: Echo) -> None:
    with patient.connect() as wire:
        wire.send(b"POST /early HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        assert wire.reply().body == b"early"
        wire.send(b"zz\r\n")
        assert wire.is_closed()


def test_trailers_are_no_headers(patient: Guarded, app: Echo) -> None:
    with patient.connect() as wire:
        head = POST + CHUNKED + b"\r\n"
        wire.send(head + b"3\r\nabc\r\n0\r\nAuthorization: evil\r\nHost: evil\r\n\r\n")
        assert wire.reply().body == b"/ 3"
        wire.send(GET)
        assert wire.reply().body == b"/ 0"
    assert app.asked[0][1] == {b"host": b"h", b"transfer-encoding": b"chunked"}


@pytest.mark.parametrize("body", [b"", b"Content-Length: 3\r\n"], ids=["none", "a body"])
def test_request_to_upgrade_is_answered_as_if_it_had_not_asked_and_is_the_last(
    patient: Guarded, app: Echo, body: bytes
) -> None:
    with patient.connect() as wire:
        head = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n" + body + b"\r\n"
        wire.send(head + (b"abc" if body else b"") + MORE)
        reply = wire.reply()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert wire.is_closed()
    assert [path for path, _ in app.asked] == ["/"]


@pytest.mark.parametrize("kept", [b"", b"Connection: keep-alive\r\n"])
def test_http_1_0_is_answered_once(patient: Guarded, app: Echo, kept: bytes) -> None:
    with patient.connect() as wire:
        wire.send(b"GET / HTTP/1.0\r\n" + kept + b"\r\n" + MORE)
        assert wire.reply().headers["connection"] == "close"
        assert wire.is_closed()
    assert [path for path, _ in app.asked] == ["/"]


def test_nothing_after_a_last_request_is_read(patient: Guarded, app: Echo) -> None:
    with patient.connect() as wire:
        wire.send(GET[:-2] + b"Connection: close\r\n\r\n" + MORE)
        assert wire.reply().status == 200
        assert wire.is_closed()
    assert [path for path, _ in app.asked] == ["/"]


@given(st.lists(st.sampled_from([GET, MORE, POST + CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\r\n"]), max_size=6), st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_how_requests_are_cut_into_pieces_changes_no_answer(
    patient: Guarded, requests: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(requests)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    with patient.connect() as wire:
        for start, end in pairwise([0, *cuts, len(whole)]):
            wire.send(whole[start:end])
        expected = {GET: b"/ 0", MORE: b"/more 0"}
        assert [wire.reply().body for _ in requests] == [expected.get(request, b"/ 3") for request in requests]


@given(st.sampled_from([GET, *MALFORMED.values()]), st.binary(max_size=12), st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_answered_or_waited_for_and_break_nothing(
    patient: Guarded, request_: bytes, noise: bytes, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(request_)))
    with patient.connect() as wire:
        wire.send(request_[:place] + noise + request_[place + data.draw(st.integers(0, 4)) :])
    with patient.connect() as wire:
        wire.send(GET)
        assert wire.reply().body == b"/ 0"


# Pipelining


def test_pipelined_requests_are_answered_in_order(patient: Guarded) -> None:
    with patient.connect() as wire:
        wire.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(10)))
        assert [wire.reply().body for _ in range(10)] == [b"/%d 0" % number for number in range(10)]
        wire.send(GET)
        assert wire.reply().status == 200


def test_flood_of_pipelined_requests_is_answered_up_to_the_bound_then_the_connection_is_closed(
    patient: Guarded, app: Echo
) -> None:
    with patient.connect() as wire:
        wire.send(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n" + MORE * 5_000)
        assert app.held.acquire(timeout=WAIT_S)
        patient.on_loop(app.release)
        assert wire.reply().body == b"held"
        replies = [wire.reply() for _ in range(PIPELINED_MAX)]
        assert [reply.headers.get("connection") for reply in replies] == [None] * (PIPELINED_MAX - 1) + ["close"]
        assert wire.is_closed()
    assert len(app.asked) == PIPELINED_MAX + 1


def test_application_hears_that_a_client_is_gone_that_had_asked_for_more_behind_it(patient: Guarded, app: Echo) -> None:
    with patient.connect() as wire:
        wire.send(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n" + MORE)
        assert app.held.acquire(timeout=WAIT_S)
        wire.reset()
        assert app.gone.wait(WAIT_S)
    assert [path for path, _ in app.asked] == ["/hold"]


# Answers before the body is read


def test_client_that_sends_all_before_it_reads_gets_the_answer_to_a_body_that_nobody_read(patient: Guarded) -> None:
    with patient.connect() as wire:
        wire.send(b"POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(BIG))
        reply = wire.reply()  # it is there although nothing of the body is
        wire.send(BIG)
        assert (reply.body, reply.headers["connection"]) == (b"early", "close")
        assert wire.is_closed()
    with patient.connect() as wire:
        wire.send(b"POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(BIG) + BIG)
        assert wire.reply().body == b"early"
        assert wire.is_closed()


def test_body_that_came_with_its_head_costs_no_connection_though_nobody_reads_it(patient: Guarded) -> None:
    with patient.connect() as wire:
        for _ in range(2):
            wire.send(b"POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
            assert "connection" not in wire.reply().headers


def test_body_without_end_after_its_answer_is_cut(patient: Guarded) -> None:
    with patient.connect() as wire:
        wire.send(b"POST /early HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert wire.reply().body == b"early"
        with pytest.raises(OSError):
            wire.send(bytes(4 * LINGER_BYTES_MAX))
    assert patient.guards.closed == {"too-much": 1}


def test_client_that_keeps_its_end_open_after_the_last_answer_is_cut(hasty: Guarded) -> None:
    with hasty.connect() as wire:
        wire.send(b"POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
        assert wire.reply().body == b"early"
        with pytest.raises(OSError):
            wire.send_until_refused()
    assert hasty.guards.closed == {"lingered": 1}


def test_client_is_told_to_go_on_only_when_its_body_is_read(patient: Guarded) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    with patient.connect() as wire:
        wire.send(head % b"/")
        assert wire.head().status == 100
        wire.send(b"abc")
        assert wire.reply().body == b"/ 3"
        wire.send(head % b"/early")
        assert wire.reply().body == b"early"
        assert wire.is_closed()


# How many


def hold(server: Guarded, app: Echo) -> Wire:
    wire = server.connect()
    wire.send(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
    assert app.held.acquire(timeout=WAIT_S)
    return wire


def test_connection_for_which_there_is_no_room_is_told_so_before_it_says_anything(hasty: Guarded, app: Echo) -> None:
    held = [hold(hasty, app) for _ in range(3)]
    with hasty.connect() as wire:
        reply = wire.reply()
        assert (reply.status, reply.json()["code"], reply.headers["retry-after"]) == (503, "overloaded", "1")
        assert wire.is_closed()
    assert hasty.guards.refused == {"overloaded": 1}
    held.pop().reset()
    assert app.gone.wait(WAIT_S)
    with hasty.connect() as wire:
        wire.send(GET)
        assert wire.reply().status == 200
    for wire in held:
        wire.reset()


def test_longest_idle_connection_makes_room_and_busy_ones_do_not(app: Echo) -> None:
    config = ServerConfig(connections_max=3, stream_write_s_max=0.04)  # which makes a tick of 10 ms
    with Guarded(app, config) as server, hold(server, app) as busy, server.connect() as older:
        older.send(GET)
        older.reply()
        assert older.quiet(0.01)
        with server.connect() as younger:
            younger.send(GET)
            younger.reply()
            assert younger.quiet(SHORT_S)
            with server.connect() as newcomer:
                newcomer.send(GET)
                assert newcomer.reply().status == 200
                assert older.is_closed()
                younger.send(GET)
                assert younger.reply().status == 200
                server.on_loop(app.release)
                assert busy.reply().body == b"held"
        assert server.guards.closed["no-room"] == 1


def test_one_address_has_no_more_connections_than_it_may(app: Echo) -> None:
    with Guarded(app, ServerConfig(connections_per_address_max=2)) as server:
        with hold(server, app), hold(server, app), server.connect() as third:
            assert third.reply().json()["code"] == "overloaded"
        assert app.gone.wait(WAIT_S)
        with hold(server, app):
            pass


def test_all_connections_of_one_site_of_ipv6_are_of_one_address() -> None:
    assert site_of("2001:db8::1") == site_of("2001:db8::ffff:ffff:ffff:1") == "2001:db8::"
    assert site_of("2001:db8:0:1::1") != site_of("2001:db8::1")
    assert site_of("192.0.2.1") != site_of("192.0.2.2")
    assert site_of("fe80::1%eth0") == "fe80::"
    assert site_of("::ffff:192.0.2.1") == "192.0.2.1"  # as a listener of both versions has it


def test_flood_of_connections_is_told_up_to_a_bound_then_cut(app: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "TURNED_AWAY_MAX", 4)
    with Guarded(app, ServerConfig(connections_max=1)) as server, hold(server, app):
        with server.paused():
            wires = [server.connect() for _ in range(10)]
        told = 0
        for wire in wires:
            with suppress(ConnectionError, AssertionError):
                told += wire.reply().status == 503
        assert told == 4
        assert server.guards.closed["no-room"] == 6
        for wire in wires:
            wire.reset()


# The end


def test_server_that_stops_answers_what_it_took_and_closes(patient: Guarded, app: Echo) -> None:
    with hold(patient, app) as busy, patient.connect() as idle:
        idle.send(GET)
        idle.reply()
        patient.shutdown_connections()
        assert idle.is_closed()
        patient.on_loop(app.release)
        reply = busy.reply()
        assert (reply.body, reply.headers["connection"]) == (b"held", "close")
        assert busy.is_closed()


def test_request_that_crosses_with_the_news_that_the_server_stops_is_answered(patient: Guarded) -> None:
    with patient.connect() as wire:
        wire.send(GET)
        wire.reply()
        patient.shutdown_connections()
        wire.send(MORE)
        reply = wire.reply()
        assert (reply.body, reply.headers["connection"]) == (b"/more 0", "close")
        assert wire.is_closed()


def test_pipelined_requests_that_were_taken_are_all_answered_before_the_stop(patient: Guarded, app: Echo) -> None:
    with patient.connect() as wire:
        wire.send(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n" + MORE * 3)
        assert app.held.acquire(timeout=WAIT_S)
        patient.shutdown_connections()
        patient.on_loop(app.release)
        assert [wire.reply().body for _ in range(4)] == [b"held"] + [b"/more 0"] * 3
        assert wire.is_closed()


@pytest.mark.parametrize("closes", [False, True])
def test_answer_that_is_on_its_way_when_the_server_stops_arrives_whole(
    app: Echo, closes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "DRAIN_GRACE_S", 0.01)
    monkeypatch.setattr(protocol, "DRAIN_HEAD_S", 0.01)
    with Guarded(app, ServerConfig(header_s_max=SHORT_S)) as server, server.connect(receive_bytes=4096) as wire:
        wire.send(b"GET /big HTTP/1.1\r\nHost: h\r\n" + b"Connection: close\r\n" * closes + b"\r\n")
        assert wire.head().status == 200
        server.shutdown_connections()
        assert read_slowly(wire, len(BIG)) == len(BIG)
        assert wire.is_closed()
        assert server.guards.closed == {}


def test_connection_that_cannot_be_looked_at_does_not_end_the_looking_at_others(
    hasty: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def look(self, now_s: float) -> None:
            raise OSError("no such file")

        def idle_since(self) -> float:
            return inf

        def give_way(self) -> None:
            raise AssertionError

        def give_up(self) -> None:
            raise AssertionError

    broken = Broken()
    hasty.on_loop(lambda: hasty.guards.open.add(broken))
    try:
        with hasty.connect() as wire:
            assert wire.is_closed()  # as it says nothing
    finally:
        hasty.on_loop(lambda: hasty.guards.open.discard(broken))
    assert "no such file" in caplog.text


def test_who_leaves_is_known_to_be_gone_by_whoever_works_for_it(patient: Guarded, app: Echo) -> None:
    with patient.connect() as wire:
        wire.send(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
        assert app.held.acquire(timeout=WAIT_S)
        assert not app.scopes[-1].get(GONE, False)
        wire.reset()
        assert app.gone.wait(WAIT_S)
    assert app.scopes[-1][GONE] is True
