"""Connections beside each other: how many there may be, which makes room, and how they end with the server."""

from contextlib import suppress
from math import inf

import pytest

from episteme.config import ServerConfig
from episteme.server import connections, protocol
from episteme.server.connections import site_of
from episteme.server.threads import GONE
from tests.support.echo import BIG, GET, MORE, SHORT_S, Echo, hold, read_slowly
from tests.support.guarded import WAIT_S, Guarded

# How many


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
