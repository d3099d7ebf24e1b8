"""The direct path answers as the long way does, byte for byte, and whatever it cannot answer takes the long way."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from episteme.config import NodeConfig, ServerConfig
from episteme.gate import QuotaOptions
from episteme.server.journal import ACCESS
from tests.support.envelopes import BAD_ENVELOPES, claim, vote_on
from tests.support.events import HASH_1, KEY_A, KEY_B
from tests.support.guarded import Wire
from tests.support.served import Served, served

_PAYS: Final = NodeConfig(quota=QuotaOptions(enabled=True, tokens_per_hour=150))
# Settings of the server and of its node.
WAYS: Final = {
    "as it comes": (ServerConfig(), NodeConfig()),
    "tokens": (ServerConfig(tokens_required=True), NodeConfig()),
    "quotas": (ServerConfig(), _PAYS),
    "all compressed": (ServerConfig(compress_bytes_min=0, access_log=True), NodeConfig()),
    "small bodies": (ServerConfig(), NodeConfig(envelope_bytes_max=700)),
}
_VARYING: Final = re.compile(
    rb'(?<=x-request-id: )[0-9a-f]{12}-[0-9a-f]+|(?<="request_id":")[0-9a-f]{12}-[0-9a-f]+|(?<="audit_id":")[0-9a-f]+'
)


class Asked(NamedTuple):
    """One request: its bytes, where they are cut into packets, and whether its answer has a body."""

    data: bytes
    cuts: tuple[int, ...] = ()
    has_body: bool = True

    def __repr__(self) -> str:
        return f"Asked({self.data[:1500]!r}, {self.cuts}, {self.has_body})"


@pytest.fixture(scope="module", params=WAYS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    """Two servers that answer alike, one without the direct path."""
    config, node_config = WAYS[request.param]
    folder = tmp_path_factory.mktemp("direct")
    with (
        served(folder / "short", config, node_config=node_config) as short,
        served(folder / "long", config, node_config=node_config, is_direct=False) as long,
    ):
        yield short, long


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("direct")) as running:
        yield running


def request(
    method: str, target: str, body: bytes = b"", *headers: bytes, version: str = "1.1", host: bytes = b"Host: localhost"
) -> bytes:
    """A request as a plain client sends it."""
    length = [b"Content-Length: %d" % len(body)] if body else []
    first = f"{method} {target} HTTP/{version}".encode("latin-1")
    return b"\r\n".join([first, *([host] if host else []), *headers, *length, b"", body])


def plain(answer: bytes) -> bytes:
    """An answer without what differs from one time to the next, and with its compressed body unpacked."""
    head, mark, body = answer.partition(b"\r\n\r\n")
    if b"content-encoding: gzip" in head:
        body = gzip.decompress(body)
    if b"gzip" in head or b'"request_id"' in body:  # ids pack to more or fewer bytes, and grow
        head = re.sub(rb"content-length: [0-9]+", b"", head)
    return _VARYING.sub(b"ID", head + mark + body)


def answers(server: Served, asked: list[Asked], *, at_once: bool) -> list[bytes]:
    """What one connection is told, until it is closed."""
    told: list[bytes] = []
    with server.connect() as wire:
        if at_once:
            wire.send(b"".join(one.data for one in asked))
        for one in asked:
            if not at_once:
                send_cut(server, wire, one)
            answer = wire.answer(has_body=one.has_body)
            while answer.startswith(b"HTTP/1.1 100"):
                answer = wire.answer(has_body=one.has_body)
            told.append(plain(answer))
            if one.cuts and not at_once:
                # Whether a refusal came before the last packet, and so is the last answer, is a matter of chance.
                told[-1] = told[-1].replace(b"connection: close\r\n", b"")
                break
            if b"connection: close" in answer or not answer:
                told.append(plain(wire.rest()))
                break
            _settle(server)
    _settle(server)
    return told


def _settle(server: Served) -> None:
    """Wait until all is folded that was written."""
    assert server.node.wait_applied(server.node.end_seq, 10.0)


def send_cut(server: Served, wire: Wire, one: Asked) -> None:
    start = 0
    for cut in sorted({*(cut % len(one.data) for cut in one.cuts), len(one.data)}):
        try:
            wire.send(one.data[start:cut])
        except OSError:  # it was refused before it was whole
            return
        server.on_loop(lambda: None)
        start = cut


_SUBJECTS: Final = st.sampled_from(["one", "two", "drei é"])
_BODIES: Final = st.one_of(
    st.builds(
        lambda subject, key, number: claim(subject, key, timestamp=number),
        _SUBJECTS,
        st.sampled_from([KEY_A, KEY_B]),
        st.integers(0, 9),
    ),
    st.builds(lambda subject: vote_on(subject, HASH_1), _SUBJECTS),
    st.sampled_from([bad.body for bad in BAD_ENVELOPES]),
    st.sampled_from([b"", b"x" * 70_000, b" " * 300_000, claim("padded") + b" " * 66_000]),
)
_HEADERS: Final = st.sampled_from(
    [
        b"User-Agent: a client",
        b"accept: */*",
        b"Accept-Encoding: gzip",
        b"Accept-Encoding: identity",
        b"Accept-Encoding: gzip;q=0",
        b"ACCEPT-ENCODING:gzip, deflate",
        b"Authorization: Bearer nothing",
        b"Authorization: reader",
        b"Authorization: writer",
        b"Authorization: agent",
        b"Connection: close",
        b"Connection: Keep-Alive",
        b"Connection: upgrade",
        b"Content-Encoding: gzip",
        b"Content-Encoding: identity",
        b"Content-Length: 0",
        b"Content-Type: text/plain",
        b"Expect: 100-continue",
        b"Host: localhost",
        b"If-None-Match: *",
        b"Origin: http://elsewhere.example",
        b"Origin: http://localhost",
        b"Transfer-Encoding: chunked",
        b"Upgrade: h2c",
        b"X-Odd: \xe9",
        b"X-Request-Id: mine-1",
        b"X-Request-Id: not mine",
        b"traceparent:  00-1",
        b"X: ",
        b"X : y",
    ]
)
_QUERIES: Final = st.sampled_from(
    [
        "?subject=one&predicate=causes_muscle_loss",
        "?subject=two&predicate=causes_muscle_loss&lens=recency&explain=1",
        "?subject=drei+%C3%A9&predicate=causes_muscle_loss&min_seq=0",
        "?subject=one&predicate=causes_muscle_loss&min_seq=0&wait=1s",
        "?subject=one&predicate=causes_muscle_loss&wait=forever",
        "?subject=one&predicate=causes_muscle_loss&max_age=0",
        "?subject=one&predicate=causes_muscle_loss&as_of=seq:0",
        "?subject=one&&predicate=causes_muscle_loss&",
        "?subject=one",
        "?subject=one&subject=two",
        "?subject=%FF&predicate=a",
        "?wait=1s",
        "?odd=1",
        "?",
        "",
        "?subject=o|e&predicate=a",
    ]
)
_PATHS: Final = st.sampled_from(
    [*(f"/v1/{name}" for name in ("assertions", "assert", "votes", "events", "epoch", "query", "skeptic")), "/v1/none"]
)


@st.composite
def _asked(draw: st.DrawFn) -> Asked:
    """Most are plain; of the others each is odd in one way or two."""
    method, path, body = draw(
        st.one_of(
            st.tuples(st.just("POST"), st.sampled_from(["/v1/assertions", "/v1/events"]), _BODIES),
            st.tuples(st.just("GET"), st.builds("/v1/query{}".format, _QUERIES), st.just(b"")),
            st.tuples(st.sampled_from(["GET", "POST", "HEAD", "DELETE"]), st.builds("{}{}".format, _PATHS, _QUERIES),
                      _BODIES),
        )
    )  # fmt: skip
    headers = draw(st.lists(_HEADERS, max_size=2))
    if not body:  # else its end would be waited for
        headers = [one for one in headers if not one.startswith(b"Transfer")]
    host = draw(st.sampled_from([b"Host: localhost"] * 6 + [b"host:127.0.0.1:80", b"Host: evil.example", b""]))
    version = draw(st.sampled_from(["1.1"] * 8 + ["1.0", "1.2"]))
    cuts = draw(st.lists(st.integers(0, 2000), max_size=3))
    return Asked(request(method, path, body, *headers, version=version, host=host), tuple(cuts), method != "HEAD")


@given(asked=st.lists(_asked(), min_size=1, max_size=6), at_once=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_ways_tell_the_same_and_count_the_same(
    pair: tuple[Served, Served], asked: list[Asked], at_once: bool
) -> None:
    short, long = pair
    if at_once:  # in one packet; what a read shows would hang on how far the fold is
        asked = [one for one in asked if one.data.startswith(b"POST") and len(one.data) < 4000]
    for name, token in short.tokens.items():
        sent = f"Authorization: {name}\r\n".encode(), f"Authorization: Bearer {token}\r\n".encode()
        asked = [one._replace(data=one.data.replace(*sent)) for one in asked]
    assert answers(short, asked, at_once=at_once) == answers(long, asked, at_once=at_once)
    assert short.on_loop(short.counted) == long.on_loop(long.counted)
    assert long.direct.taken_count == 0


# What goes which way


def plain_post(subject: str, path: str = "/v1/assertions", *headers: bytes) -> bytes:
    body = vote_on(subject, HASH_1) if path.startswith("/v1/vote") else claim(subject)
    return request("POST", path, body, *headers)


def ask(server: Served, data: bytes) -> bytes:
    with server.connect() as wire:
        wire.send(data)
        return wire.answer()


def took(server: Served, data: bytes) -> tuple[int, int]:
    """The status of the answer, and how many requests went the direct way for it."""
    before = server.direct.taken_count
    answer = ask(server, data)
    _settle(server)
    return int(answer.split(b" ")[1]), server.direct.taken_count - before


@pytest.mark.parametrize("path", ["/v1/assertions", "/v1/assert", "/v1/votes", "/v1/vote", "/v1/events"])
def test_plain_write_is_answered_directly_and_again_as_a_duplicate(server: Served, path: str) -> None:
    data = plain_post(f"plain {path}", path, b"User-Agent: a client", b"Accept-Encoding: gzip", b"X-Request-Id: mine")
    assert took(server, data) == (202, 1)
    assert took(server, data) == (200, 1)
    assert b"x-request-id: mine\r\n" in ask(server, data)


def test_signature_that_does_not_verify_is_refused_directly(server: Served) -> None:
    body = claim("forged", confidence="0.4").replace(b"0.4", b"0.5")
    assert took(server, request("POST", "/v1/assertions", body)) == (422, 1)


@pytest.mark.parametrize("more", [b"", b"&lens=consensus", b"&min_seq=0&wait=2s"])
def test_question_that_a_view_answers_is_answered_directly(server: Served, more: bytes) -> None:
    took(server, plain_post("asked about"))
    data = request("GET", "/v1/query?subject=asked+about&predicate=causes_muscle_loss" + more.decode())
    assert took(server, data) == (200, 1)


@pytest.mark.parametrize(
    "header",
    [b"Origin: http://localhost", b"Expect: 100-continue", b"Connection: close", b"If-None-Match: *", b"X-Odd: 1",
     b"Content-Encoding: identity", b"Accept: \xe9", b"Accept : x", b"Accept:  x"],
)  # fmt: skip
def test_head_that_is_not_plain_takes_the_long_way(server: Served, header: bytes) -> None:
    assert took(server, plain_post("not plain", "/v1/assertions", header))[1] == 0


@pytest.mark.parametrize(
    "target", ["/v1/query?subject=a", "/v1/query?odd=1", "/v1/query?subject=a&predicate=a&explain=1"]
)
def test_question_that_is_refused_or_takes_a_full_read_takes_the_long_way(server: Served, target: str) -> None:
    assert took(server, request("GET", target))[1] == 0


def test_request_cut_in_two_anywhere_is_answered_the_same_and_held_only_if_its_head_is_whole(server: Served) -> None:
    data = plain_post("cut in two", "/v1/assertions", b"X-Request-Id: mine")
    body_at = data.index(b"\r\n\r\n") + 4
    ask(server, data)
    whole, before = ask(server, data), server.direct.taken_count
    cuts = [*range(1, body_at + 9), *range(body_at + 9, len(data), 25), len(data) - 1]
    for cut in cuts:
        with server.connect() as wire:
            wire.send(data[:cut])
            server.on_loop(lambda: None)
            wire.send(data[cut:])
            assert wire.answer() == whole
    assert server.direct.taken_count - before <= len(cuts)
    assert server.direct.taken_count > before


def test_request_that_comes_byte_by_byte_is_answered(server: Served) -> None:
    data = plain_post("byte by byte")
    with server.connect() as wire:
        for byte in data:
            wire.send(bytes([byte]))
            server.on_loop(lambda: None)
        assert wire.answer().startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize(("name", "status", "direct"), [("writer", 202, 1), ("reader", 403, 0), (None, 401, 0)])
def test_token_is_asked_for_on_the_direct_way_as_well(
    tmp_path: Path, name: str | None, status: int, direct: int
) -> None:
    with served(tmp_path, ServerConfig(tokens_required=True)) as server:
        headers = [] if name is None else [b"Authorization: Bearer " + server.tokens[name].encode()]
        assert took(server, plain_post("by token", "/v1/assertions", *headers)) == (status, direct)


def test_question_that_somebody_pays_for_takes_the_long_way_and_costs_once(tmp_path: Path) -> None:
    with served(tmp_path, node_config=_PAYS) as server:
        took(server, plain_post("paid for"))
        token = b"Authorization: Bearer " + server.tokens["agent"].encode()
        data = request("GET", "/v1/query?subject=paid+for&predicate=causes_muscle_loss", b"", token)
        assert took(server, data) == (200, 0)


def test_line_for_a_request_is_the_same_both_ways(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", ACCESS)
    said = []
    for is_direct in (True, False):
        with served(tmp_path / str(is_direct), ServerConfig(access_log=True), is_direct=is_direct) as server:
            for data in (
                plain_post("said", "/v1/assertions", b"X-Request-Id: one"),
                request("POST", "/v1/assertions", claim("said").replace(b"0.85", b"0.84"), b"X-Request-Id: two"),
                request("GET", "/v1/query?subject=said&predicate=causes_muscle_loss", b"", b"X-Request-Id: three"),
            ):
                ask(server, data)
                _settle(server)
            server.on_loop(lambda: None)
            assert server.direct.taken_count == (3 if is_direct else 0)
        lines = [vars(record)["fields"] for record in caplog.records if record.name == ACCESS]
        said.append([{**line, "ms": None} for line in lines])
        caplog.clear()
    assert said[0] == said[1]
    assert [line["status"] for line in said[0]] == [202, 422, 200]
