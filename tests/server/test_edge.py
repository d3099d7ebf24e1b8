"""What every answer has, whoever gives it: request id, security headers, compression where it helps."""

import asyncio
import gc
import gzip
import logging
import re
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.config import ServerConfig
from episteme.node import Node
from episteme.server import edge
from episteme.server.access import token_store
from episteme.server.compression import accepted, compress, is_compressible
from episteme.server.edge import SECURITY_HEADERS, Edge
from tests.support.asgi import Edged, edged
from tests.support.envelopes import claim
from tests.support.http import Reply, call, connect, exchange
from tests.support.nodes import node_on
from tests.support.servers import Server

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LENSES = "/v1/lenses"  # an answer of some kilobytes


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edged]:
    with node_on(tmp_path_factory.mktemp("edge")) as node, edged(node) as served:
        assert served("POST", "/v1/assertions?wait=5s", claim("edge")).status == 201
        yield served


# Request ids


@pytest.mark.parametrize("name", ["a", "7f1c-22", "trace:0.1_x", "x" * 128])
def test_request_id_that_is_sent_is_kept(served: Edged, name: str) -> None:
    assert served("GET", "/livez", headers={"X-Request-Id": name}).headers["x-request-id"] == name


@pytest.mark.parametrize("name", ["", "x" * 129, "a b", "a\tb", "ü", "<script>", "a\nb", "$(reboot)", "%0a"])
def test_request_id_that_a_log_or_a_page_could_stumble_over_is_replaced(served: Edged, name: str) -> None:
    made = served("GET", "/livez", headers={"X-Request-Id": name}).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", made)


def test_requests_without_an_id_get_one_each(served: Edged) -> None:
    made = [served("GET", path).headers["x-request-id"] for path in ("/livez", "/v1/status", "/nowhere", "/livez")]
    assert len(set(made)) == 4


def test_problem_document_and_line_of_the_log_have_the_request_id(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with node_on(tmp_path) as node, edged(node) as served:
        refused = served("GET", "/nowhere", headers={"X-Request-Id": "mine-1"})
        assert refused.json()["request_id"] == "mine-1"
        monkeypatch.setattr(Node, "status", lambda _: 1 // 0)
        failed = served("GET", "/v1/status", headers={"X-Request-Id": "mine-2"})
        assert (failed.status, failed.json()["request_id"]) == (500, "mine-2")
        assert "division" not in failed.body.decode()
        (record,) = [one for one in caplog.records if one.levelno >= logging.ERROR]
        assert record.__dict__["fields"] == {"request_id": "mine-2"}
        assert record.exc_info is not None


# Security headers


def test_every_answer_has_the_security_headers(served: Edged) -> None:
    for reply in answers_of_all_kinds(served):
        for name, value in SECURITY_HEADERS.items():
            if name != b"cache-control":
                assert reply.headers[name.decode()] == value.decode(), reply
        assert reply.headers["cache-control"]
        assert "server" not in reply.headers
        assert "x-powered-by" not in reply.headers
        assert "episteme-seq" in reply.headers
        assert "x-request-id" in reply.headers


def answers_of_all_kinds(served: Edged) -> Iterator[Reply]:
    yield served("GET", "/livez")
    yield served("GET", "/v1/status")
    yield served("GET", "/metrics")
    yield served("HEAD", "/v1/status")
    yield served("OPTIONS", "/v1/status")
    yield served("GET", "/nowhere")
    yield served("PUT", "/v1/status")
    yield served("GET", "/v1/status", host="evil.example")
    yield served("GET", "/v1/status", headers={"Authorization": "Bearer x"})
    yield served("POST", "/v1/assertions", b"{}")
    yield served("POST", "/v1/assertions", claim("edge"))
    yield served("POST", "/v1/ingest", claim("edge"))
    yield served("POST", "/v1/assertions", headers={"Origin": "https://evil.example"})
    tag = served("GET", "/v1/query?subject=edge&predicate=p").headers["etag"]
    known = served("GET", "/v1/query?subject=edge&predicate=p", headers={"If-None-Match": tag})
    assert known.status == 304
    yield known


def test_what_a_handler_says_about_caching_stands(served: Edged) -> None:
    assert served("GET", "/v1/query?subject=edge&predicate=p").headers["cache-control"] == "no-cache"
    assert served("GET", "/v1/status").headers["cache-control"] == "no-store"


def test_real_server_says_them_too_also_where_no_application_answers(server: Server) -> None:
    connection = connect(server.url)
    refused = exchange(connection, "GET", "/livez", headers={"X-Long": "x" * 100_000})
    connection.close()
    assert refused.status == 431
    for reply in (
        refused,
        call(server.url, "GET", "/livez"),
        call(server.url, "GET", "/livez", headers={"Host": "x.example"}),
    ):
        assert "server" not in reply.headers
        for name in SECURITY_HEADERS:
            assert name.decode() in reply.headers
        assert reply.headers["x-request-id"]


# Compression of answers


def plain(reply: Reply) -> bytes:
    match reply.headers.get("content-encoding"):
        case "gzip":
            return gzip.decompress(reply.body)
        case "zstd":
            return bytes(zstd.decompress(reply.body))
        case None:
            return reply.body
    raise AssertionError(reply.headers)


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, None),
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.9", "gzip"),
        ("gzip;q=0.5, zstd;q=0.5", "zstd"),
        ("zstd;q=0, gzip", "gzip"),
        ("gzip;q=0", None),
        ("*", "zstd"),
        ("*;q=0", None),
        ("gzip, *;q=0", "gzip"),
        ("identity;q=1, gzip;q=0.5", None),
        ("br, deflate", None),
        ("gzip;q=nan", None),
        ("gzip;q=7", None),
        ("gzip;q=-1", None),
    ],
)
def test_answer_is_in_the_coding_that_is_liked_most(served: Edged, header: str | None, coding: str | None) -> None:
    reply = served("GET", LENSES, headers={} if header is None else {"Accept-Encoding": header})
    assert reply.headers.get("content-encoding") == coding
    assert reply.headers["vary"] == "Accept-Encoding"
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert plain(reply) == served("GET", LENSES).body
    assert coding is None or len(reply.body) < len(plain(reply))


@given(st.binary(max_size=600))
def test_no_accept_encoding_makes_a_fault(header: bytes) -> None:
    assert accepted(header) in (None, "gzip", "zstd")


def test_small_answers_and_those_that_would_not_shrink_go_out_plain(served: Edged) -> None:
    assert "content-encoding" not in served("GET", "/livez", headers={"Accept-Encoding": "gzip"}).headers
    assert "vary" not in served("GET", "/livez", headers={"Accept-Encoding": "gzip"}).headers


def test_bound_of_small_is_a_setting(tmp_path: Path) -> None:
    with node_on(tmp_path) as node, edged(node, ServerConfig(compress_bytes_min=1)) as served:
        body = b"\n".join(claim("small", timestamp=number) for number in range(30))
        assert served("POST", "/v1/ingest", body, {"Accept-Encoding": "gzip"}).headers["content-encoding"] == "gzip"
    with node_on(tmp_path) as node, edged(node, ServerConfig(compress_bytes_min=10**9)) as served:
        assert "content-encoding" not in served("GET", LENSES, headers={"Accept-Encoding": "gzip"}).headers


def test_head_says_what_get_would_have_sent(served: Edged) -> None:
    for accepts in ("gzip", "zstd", "identity"):
        got = served("GET", LENSES, headers={"Accept-Encoding": accepts})
        head = served("HEAD", LENSES, headers={"Accept-Encoding": accepts})
        for name in ("content-length", "content-encoding", "content-type", "vary", "etag"):
            assert head.headers.get(name) == got.headers.get(name)


def test_tag_of_an_answer_that_may_come_compressed_is_weak_and_the_same_in_its_304(tmp_path: Path) -> None:
    with node_on(tmp_path) as node, edged(node) as served:
        digest = served("POST", "/v1/assertions?wait=5s", claim("edge", narrative="x" * 2000)).json()["hash"]
        for path in (f"/v1/assertions/{digest}", "/v1/query?subject=edge&predicate=p"):
            for accepts in ("gzip", "zstd"):
                got = served("GET", path, headers={"Accept-Encoding": accepts})
                assert got.headers["etag"].startswith('W/"')
                known = served("GET", path, headers={"Accept-Encoding": accepts, "If-None-Match": got.headers["etag"]})
                assert (known.status, known.body, known.headers["etag"]) == (304, b"", got.headers["etag"])
                assert "Accept-Encoding" in known.headers["vary"]
            without = served("GET", path)
            mixed = served("GET", path, headers={"Accept-Encoding": "gzip", "If-None-Match": without.headers["etag"]})
            assert mixed.status == 304


def test_problem_documents_and_lines_are_compressed_as_well(served: Edged) -> None:
    refused = served("GET", "/v1/query?" + "x" * 2000 + "=1", headers={"Accept-Encoding": "gzip"})
    lines = b"\n".join(claim("edge", timestamp=number) for number in range(50))
    ingested = served("POST", "/v1/ingest", lines, {"Accept-Encoding": "zstd"})
    assert ingested.headers["content-encoding"] == "zstd"
    assert plain(ingested).count(b"\n") >= 50
    assert refused.status == 400


@pytest.mark.parametrize(
    ("kind", "compressible"),
    [
        (b"application/json", True),
        (b"application/x-ndjson", True),
        (b"application/problem+json", True),
        (b"text/html; charset=utf-8", True),
        (b"TEXT/CSS", True),
        (b"text/event-stream", False),
        (b"image/png", False),
        (b"application/zstd", False),
        (b"font/woff2", False),
        (b"", False),
        (b"\xff", False),
    ],
)
def test_only_types_that_shrink_and_are_no_streams_are_compressed(kind: bytes, compressible: bool) -> None:
    assert is_compressible(kind) is compressible


class Stub:
    """Counts nothing, and is the application besides."""

    in_flight = 0
    sse_clients = 0

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = messages
        self.seen: list[tuple[int, int]] = []

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        pass

    def refused(self, code: str) -> None:
        pass

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        for message in self.messages:
            await send(dict(message))
            self.seen.append((self.in_flight, self.sse_clients))


def sent_through(tmp_path: Path, stub: Stub) -> list[dict[str, Any]]:
    """What an edge makes of the messages of an application, for one who takes everything."""
    edge = Edge(stub, ServerConfig(), "127.0.0.1", tokens=token_store(tmp_path), observer=stub, positions=lambda _: {})
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"accept-encoding", b"gzip, zstd")]}
        await edge(scope, None, send)  # type: ignore[arg-type]

    asyncio.run(run())
    edge.close()
    return sent


def start(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": 200, "headers": list(headers)}


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def test_stream_of_events_passes_piece_by_piece_as_it_is_and_is_counted_while_it_lasts(tmp_path: Path) -> None:
    """Pitfall 35: what is held back until there is enough to compress comes too late."""
    stub = Stub(start((b"content-type", b"text/event-stream")), body(b"x" * 5000, more=True), body(b"y" * 5000))
    sent = sent_through(tmp_path, stub)
    assert [message["type"] for message in sent] == ["http.response.start"] + ["http.response.body"] * 2
    assert b"".join(message.get("body", b"") for message in sent) == b"x" * 5000 + b"y" * 5000
    assert b"content-encoding" not in dict(sent[0]["headers"])
    assert stub.seen == [(1, 1)] * 3
    assert (stub.in_flight, stub.sse_clients) == (0, 0)


def test_start_of_an_answer_without_a_length_is_not_held_back(tmp_path: Path) -> None:
    stub = Stub(start((b"content-type", b"application/json")), body(b"x" * 5000, more=True), body(b""))
    assert [len(message.get("body", b"")) for message in sent_through(tmp_path, stub)] == [0, 5000, 0]


def test_body_in_pieces_is_never_compressed_though_its_length_is_known(tmp_path: Path) -> None:
    head = start((b"content-type", b"application/json"), (b"content-length", b"10000"))
    sent = sent_through(tmp_path, Stub(head, body(b"x" * 5000, more=True), body(b"x" * 5000)))
    assert dict(sent[0]["headers"])[b"content-length"] == b"10000"
    assert b"".join(message.get("body", b"") for message in sent) == b"x" * 10_000


def test_body_that_is_compressed_already_is_left_alone(tmp_path: Path) -> None:
    data = compress(bytes(range(256)) * 200, "gzip")
    head = start(
        (b"content-type", b"application/json"),
        (b"content-length", str(len(data)).encode()),
        (b"content-encoding", b"gzip"),
    )
    sent = sent_through(tmp_path, Stub(head, body(data)))
    assert sent[1]["body"] == data
    assert [value for name, value in sent[0]["headers"] if name == b"content-encoding"] == [b"gzip"]


@pytest.mark.parametrize("size", [1024, 16 * 1024, 16 * 1024 + 1, 1_000_000])
def test_large_bodies_are_compressed_whole_on_a_thread_as_small_ones_are_in_place(tmp_path: Path, size: int) -> None:
    head = start((b"content-type", b"application/json"), (b"content-length", str(size).encode()))
    sent = sent_through(tmp_path, Stub(head, body(b"x" * size)))
    headers = dict(sent[0]["headers"])
    assert (headers[b"content-encoding"], headers[b"content-length"]) == (b"zstd", str(len(sent[1]["body"])).encode())
    assert zstd.decompress(sent[1]["body"]) == b"x" * size


def test_large_bodies_beyond_those_that_wait_to_be_compressed_go_out_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "_COMPRESSED_MAX", 0)
    head = start((b"content-type", b"application/json"), (b"content-length", b"1000000"))
    sent = sent_through(tmp_path, Stub(head, body(b"x" * 1_000_000)))
    assert sent[1]["body"] == b"x" * 1_000_000
    assert b"content-encoding" not in dict(sent[0]["headers"])


def test_headers_that_an_application_keeps_for_its_next_answer_are_not_changed(tmp_path: Path) -> None:
    head = start((b"content-type", b"application/json"), (b"content-length", b"2"))
    sent_through(tmp_path, Stub(head, body(b"{}")))
    assert head["headers"] == [(b"content-type", b"application/json"), (b"content-length", b"2")]


@pytest.mark.parametrize("host", [b"localhost", b"evil.example"])
def test_request_that_is_over_is_gone_without_a_collection_of_garbage(tmp_path: Path, host: bytes) -> None:
    """A ring of references a request is what a server under load would pay most for."""

    class Cycle:
        """As uvicorn's: it has the scope, and is what is sent with."""

        def __init__(self, scope: dict[str, Any]) -> None:
            self.scope = scope

        async def send(self, message: Any) -> None:
            pass

    async def run(edge: Edge) -> "weakref.ref[Cycle]":
        scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "headers": [(b"host", host)]}
        cycle = Cycle(scope)
        await edge(scope, None, cycle.send)  # type: ignore[arg-type]
        return weakref.ref(cycle)

    stub = Stub(start((b"content-type", b"application/json")), body(b"{}"))
    edge = Edge(stub, ServerConfig(), "127.0.0.1", tokens=token_store(tmp_path), observer=stub, positions=lambda _: {})
    gc.disable()
    try:
        gone = asyncio.run(run(edge))
        assert gone() is None
    finally:
        gc.enable()
        edge.close()
