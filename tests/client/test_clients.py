"""Both clients against servers that break, stall, lie and refuse: each act is a connection's."""

import gzip
import time
from collections.abc import Callable, Iterator
from itertools import islice
from threading import Semaphore, active_count
from typing import Any

import msgspec
import pytest

from episteme import Client
from episteme.client import awaiting, blocking
from episteme.client.ingesting import zstd
from episteme.errors import (
    Internal,
    InvalidParameter,
    Overloaded,
    QuotaExceeded,
    TokenRequired,
    TooLarge,
    Unreachable,
    VerificationFailed,
)
from episteme.loglines import LogLine, encode_line
from model import SignedEvent, sign_bundle, to_envelope
from tests.client.test_tailing import caught_up, event
from tests.support.awaited import Awaited
from tests.support.events import HASH_1, KEY_A, NOW_MS, make_assertion, signed
from tests.support.scripted import Act, Talk, reply, scripted

Open = Callable[..., Any]

STATUS = b'{"hash": "00", "seq": 1, "status": "accepted"}'
ACCEPTED = reply(202, STATUS)
LINE = signed(make_assertion())
RESULT = b'{"line": 1, "status": "accepted", "hash": "00", "seq": 1}\n'
SUMMARY = b'{"summary": {"lines": 1, "accepted": 1, "duplicate": 0, "refused": 0}}\n'
SOON_S = 5.0  # what none of these takes, however loaded the machine


@pytest.fixture(params=[Client, Awaited], ids=["sync", "async"])
def client(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Makes a client of an address; all are closed at the end."""
    made: list[Any] = []

    def make(url: str, **options: Any) -> Any:
        made.append(request.param(url, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def silence(talk: Talk) -> None:
    talk.hold()


def hang_up(_: Talk) -> None:
    pass


def drip(talk: Talk) -> None:
    """A body a byte at a time, for longer than anybody waits."""
    talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(300):
        if talk.hold(0.02):
            talk.say(b" ")


def problem(status: int, code: str, *headers: str) -> Act:
    return reply(status, msgspec.json.encode({"code": code, "detail": "told"}), *headers)


def stream(*pieces: bytes, then: Act = hang_up) -> Act:
    def act(talk: Talk) -> None:
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for piece in pieces:
            talk.say(piece)
        then(talk)

    return act


@pytest.mark.parametrize(
    "hiccup",
    [
        hang_up,
        reply(202, STATUS[:10], size=len(STATUS)),
        problem(503, "not-ready"),
        reply(502, b"<html>"),
        lambda talk: talk.say(b"not http\r\n\r\n"),
        reply(200, b"not gzip", "Content-Encoding: gzip"),
    ],
    ids=["hangs up", "truncated", "not ready", "bad gateway", "no http", "broken gzip"],
)
def test_write_is_sent_again_until_it_is_answered(client: Open, hiccup: Act) -> None:
    with scripted(hiccup, ACCEPTED) as server:
        assert client(server.url).submit(LINE).seq == 1
        assert len(server.talks) == 2
        assert server.talks[0].body == server.talks[1].body


def test_server_that_is_not_there_is_told_with_its_address_and_cause(client: Open) -> None:
    with scripted(hang_up) as server:
        url = server.url
    with pytest.raises(Unreachable, match=url) as caught:
        client(url, attempts=2).status()
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("slow", [silence, drip], ids=["silence", "drip"])
def test_call_is_over_when_its_time_is(client: Open, slow: Act) -> None:
    with scripted(slow) as server:
        started_s = time.monotonic()
        with pytest.raises(Unreachable, match="in time"):
            client(server.url, timeout_s=0.3).status()
        assert 0.2 < time.monotonic() - started_s < SOON_S


def test_silent_server_is_asked_again_before_the_time_is_over(client: Open) -> None:
    with scripted(silence, ACCEPTED) as server:
        assert client(server.url, read_timeout_s=0.2).submit(LINE).seq == 1


def test_retry_after_is_waited_for(client: Open) -> None:
    with scripted(problem(503, "overloaded", "Retry-After: 1"), ACCEPTED) as server:
        started_s = time.monotonic()
        assert client(server.url).submit(LINE).seq == 1
        assert time.monotonic() - started_s >= 1
    with scripted(problem(503, "overloaded", "Retry-After: 90")) as server, pytest.raises(Overloaded) as caught:
        client(server.url).submit(LINE)
    assert caught.value.retry_after_s == 90
    limited = problem(429, "quota-exceeded", "Retry-After: 90", "RateLimit-Limit: 10", "RateLimit-Remaining: 3")
    with scripted(limited) as server, pytest.raises(QuotaExceeded) as quota:
        client(server.url).submit(LINE)
    assert (quota.value.limit, quota.value.remaining, quota.value.hint != "") == (10, 3, True)


def test_redirection_is_not_followed_and_its_target_sees_no_token(client: Open) -> None:
    with scripted(ACCEPTED) as other, scripted(reply(307, b"", f"Location: {other.url}/v1/assertions")) as server:
        with pytest.raises(Unreachable, match="leads elsewhere"):
            client(server.url, token="secret").submit(LINE)
        assert server.talks[0].headers["authorization"] == "Bearer secret"
        assert other.talks == []


def test_error_has_the_request_id_and_never_the_token(client: Open) -> None:
    refused = problem(401, "token-required", "X-Request-Id: r-17")
    with scripted(refused) as server, pytest.raises(TokenRequired) as caught:
        client(server.url, token="s3cret").status()
    assert caught.value.request_id == "r-17"
    assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_answer_that_would_fill_the_memory_is_refused(client: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (blocking, awaiting):
        monkeypatch.setattr(module, "ANSWER_BYTES_MAX", 1 << 20)
    bomb = gzip.compress(b" " * (64 << 20))
    with scripted(reply(200, bomb, "Content-Encoding: gzip")) as server:
        with pytest.raises(Internal, match="more than 1048576 bytes"):
            client(server.url).status()
        assert len(server.talks) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b'{"hash": 1}'])
def test_answer_of_another_shape_is_an_error(client: Open, body: bytes) -> None:
    with scripted(reply(200, body)) as server, pytest.raises(Internal, match="Receipt"):
        client(server.url).submit(LINE)


# Many at once


def test_batch_goes_compressed_where_it_pays_and_plain_once_the_server_refuses_that(client: Open) -> None:
    events = [LINE] * 100
    results = b"".join(RESULT.replace(b'"line": 1', b'"line": %d' % n) for n in range(1, 101))
    taken = reply(200, results + SUMMARY.replace(b"1", b"100"))
    with scripted(taken, problem(415, "unsupported-media"), taken) as server:
        db = client(server.url, compress=True)
        assert len(list(db.ingest(events))) == 100
        assert server.talks[0].headers["content-encoding"] == "zstd"
        assert zstd.decompress(server.talks[0].body).count(b"\n") == 99
        for _ in range(2):
            assert len(list(db.ingest(events))) == 100
        assert ["content-encoding" in talk.headers for talk in server.talks] == [True, True, False, False]
    with scripted(taken) as server:
        assert len(list(client(server.url).ingest(events))) == 100
        assert "content-encoding" not in server.talks[0].headers  # on this machine there is no line to save
        assert server.talks[0].headers["accept-encoding"] == "identity"


def test_batch_whose_answer_was_lost_is_sent_again_and_reported_as_it_was_answered(client: Open) -> None:
    again = RESULT.replace(b"accepted", b"duplicate") + SUMMARY.replace(
        b'"accepted": 1, "duplicate": 0', b'"accepted": 0, "duplicate": 1'
    )
    with scripted(reply(200, RESULT), reply(200, again)) as server:
        (result,) = client(server.url).ingest([LINE])
        assert (result.status, result.seq, len(server.talks)) == ("duplicate", 1, 2)


def test_after_an_error_nothing_more_is_sent_and_the_log_has_no_hole(client: Open) -> None:
    with scripted(answer_all, problem(413, "too-large"), answer_all) as server:
        results = client(server.url).ingest(iter_lines(6000))
        assert [next(results).seq for _ in range(1000)] == list(range(1000))
        with pytest.raises(TooLarge):
            next(results)
        assert len(server.talks) == 2
    with scripted(reply(200, RESULT + SUMMARY)) as server, pytest.raises(Internal, match="1 results for 1000 lines"):
        list(client(server.url).ingest(iter_lines(1000)))


def iter_lines(count: int) -> Iterator[bytes]:
    yield from (b'{"n": %d}' % number for number in range(count))


def answer_all(talk: Talk) -> None:
    lines = talk.body.splitlines()
    results = [
        b'{"line": %d, "status": "accepted", "hash": "00", "seq": %s}' % (n, line[6:-1])
        for n, line in enumerate(lines, 1)
    ]
    summary = b'{"summary": {"lines": %d, "accepted": 0, "duplicate": 0, "refused": 0}}' % len(lines)
    reply(200, b"\n".join([*results, summary]))(talk)


@pytest.mark.parametrize("ordered", [True, False])
def test_results_come_in_the_order_of_the_iterable_and_no_more_of_it_is_held_than_is_in_flight(
    client: Open, ordered: bool
) -> None:
    read = 0

    def events() -> Iterator[bytes]:
        nonlocal read
        for line in iter_lines(9_500):
            read += 1
            yield line

    with scripted(answer_all) as server:
        results = client(server.url).ingest(events(), ordered=ordered, in_flight=3)
        assert next(results).seq == 0
        assert read <= 4000
        assert [result.seq for result in results] == list(range(1, 9_500))
        assert read == 9_500
        seen = [int(talk.body.splitlines()[0][6:-1]) for talk in server.talks]
        assert sorted(seen) == list(range(0, 9_500, 1000))
        assert not ordered or seen == sorted(seen)


def test_ingest_that_is_left_early_leaves_nothing_running(client: Open) -> None:
    with scripted(answer_all) as server:
        db = client(server.url)
        before = active_count()
        results = db.ingest(iter_lines(50_000), ordered=False)
        assert len(list(islice(results, 10))) == 10
        results.close()
        assert active_count() <= before + len(server.talks)  # the scripted server's own
        assert len(server.talks) < 10


def test_batches_that_were_not_on_their_way_when_an_ingest_is_left_stay_unsent(client: Open) -> None:
    asked = Semaphore(0)

    def answer_late(talk: Talk) -> None:
        asked.release()
        talk.hold(0.3)
        answer_all(talk)

    with scripted(answer_all, answer_late) as server:
        results = client(server.url).ingest(iter_lines(10_000), in_flight=4)
        assert next(results).seq == 0
        assert asked.acquire(timeout=SOON_S)  # the second batch is on its way; two more are ready
        results.close()
        assert len(server.talks) == 2


def test_number_in_flight_is_bounded(client: Open) -> None:
    for number in (0, 17):
        with pytest.raises(InvalidParameter, match="in_flight"):
            client("http://127.0.0.1:1").ingest([], in_flight=number)


# The tail


def test_tail_goes_on_over_broken_stalled_and_restarted_connections(client: Open) -> None:
    acts = (
        stream(b"retry: 1\n\n", event(0) + event(1)[:20]),
        problem(503, "not-ready"),
        hang_up,
        stream(event(1), event(2), then=silence),
        reply(502, b""),
        stream(event(3), caught_up(3), event(4), then=silence),
    )
    with scripted(*acts) as server:
        lines = client(server.url).tail(stall_s=0.3)
        assert [next(lines).seq for _ in range(5)] == [0, 1, 2, 3, 4]
        lines.close()
        asked = [talk.path for talk in server.talks]
        assert asked == [f"/v1/log/tail?after={seq}" for seq in (-1, 0, 0, 0, 2, 2)]


def test_tail_that_is_verified_refuses_a_changed_line(client: Open) -> None:
    envelope = to_envelope(LINE.event, LINE.signatures)
    good = LogLine(seq=0, time_ms=1, hash=LINE.hash_hex, event=envelope.event, signatures=tuple(envelope.signatures))
    changed = msgspec.structs.replace(good, seq=1, event=make_assertion(subject="Changed"))
    data = b"".join(b"id: %d\ndata: %b\n\n" % (one.seq, encode_line(one)) for one in (good, changed))
    with scripted(stream(data)) as server:
        lines = client(server.url, verify=True).tail()
        with pytest.raises(VerificationFailed):
            list(lines)
        assert [one.seq for one in islice(client(server.url).tail(), 2)] == [0, 1]


def test_verified_answer_is_checked_and_an_unverified_one_is_not(client: Open) -> None:
    envelope = msgspec.to_builtins({"event": LINE.event})
    stored = {"hash": LINE.hash_hex, "seq": 1, "time_ms": 1, **envelope, "signatures": []}
    with scripted(reply(200, msgspec.json.encode(stored))) as server:
        assert client(server.url).get(LINE.hash_hex).signatures == []
        with pytest.raises(VerificationFailed):
            client(server.url, verify=True).get(LINE.hash_hex)
        with pytest.raises(VerificationFailed, match="asked for"):
            client(server.url, verify=True).get(HASH_1)


BUNDLE, (BUNDLED, _) = sign_bundle([make_assertion(subject=name) for name in ("first", "second")], KEY_A, NOW_MS)
OTHER, _ = sign_bundle([make_assertion(subject="other")], KEY_A, NOW_MS)


def shown(signed_event: SignedEvent, **changes: Any) -> Act:
    """An event or a bundle, as a server shows it."""
    envelope = to_envelope(signed_event.event, signed_event.signatures)
    told = {"hash": signed_event.hash_hex, "seq": 1, "time_ms": 1, "agents": [], **msgspec.to_builtins(envelope)}
    return reply(200, msgspec.json.encode(told | changes))


def test_what_is_signed_by_bundle_is_checked_by_the_bundle_which_is_asked_for_once(client: Open) -> None:
    with scripted(shown(BUNDLED), shown(BUNDLE), shown(BUNDLED)) as server:
        db = client(server.url, verify=True)
        for _ in range(2):
            assert db.get(BUNDLED.hash_hex).hash == BUNDLED.hash_hex
        paths = [talk.path for talk in server.talks]
    event, bundle = f"/v1/assertions/{BUNDLED.hash_hex}", f"/v1/bundles/{BUNDLE.hash_hex}"
    assert paths == [event, bundle, event]


BY_BUNDLE = {"agent": KEY_A.agent_hex, "bundle": OTHER.hash_hex}
NOT_FOUND = reply(404, b'{"code": "not-found", "detail": "no such bundle"}')


@pytest.mark.parametrize(
    ("event", "bundle"),
    [
        pytest.param(shown(BUNDLED), NOT_FOUND, id="there is no bundle"),
        pytest.param(shown(BUNDLED), shown(OTHER), id="another bundle comes"),
        pytest.param(shown(BUNDLED, signatures=[BY_BUNDLE]), shown(OTHER), id="the bundle does not list it"),
        pytest.param(shown(BUNDLED), shown(BUNDLE, signatures=[BY_BUNDLE]), id="the bundle is signed by a bundle"),
        pytest.param(shown(BUNDLED), shown(BUNDLE, signatures=[]), id="nobody has signed the bundle"),
        pytest.param(
            shown(BUNDLED),
            shown(BUNDLE, signatures=[{"agent": KEY_A.agent_hex, "signature": "0" * 128}]),
            id="the bundle is forged",
        ),
    ],
)
def test_what_its_bundle_does_not_vouch_for_is_refused_by_who_verifies(client: Open, event: Act, bundle: Act) -> None:
    with scripted(event, bundle) as server:
        with pytest.raises(VerificationFailed):
            client(server.url, verify=True, attempts=1).get(BUNDLED.hash_hex)
        assert len(server.talks) == 2  # nothing else is asked for, whatever a bundle names
