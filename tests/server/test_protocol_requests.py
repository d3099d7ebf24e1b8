"""Requests of one connection: what could be read in two ways is read in none, and each has its answer in turn."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from episteme.server.ending import LINGER_BYTES_MAX
from episteme.server.protocol import PIPELINED_MAX
from tests.support.echo import BIG, GET, MORE, SHORT_S, Echo, check_refusal
from tests.support.guarded import WAIT_S, Guarded
from tests.support.malformed import BAD_CHUNKS, CHUNKED, MALFORMED, POST

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
