"""A connection takes so much and so long."""

import pytest

from episteme.config import ServerConfig
from tests.support.echo import BIG, GET, SHORT_S, Echo, check_refusal, read_slowly
from tests.support.guarded import WAIT_S, Guarded
from tests.support.malformed import CHUNKED, POST

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
