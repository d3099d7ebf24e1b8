"""A server with workers answers as one process does: status, headers and body, over a list of requests of all kinds."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.crews import ARGUMENTS
from tests.support.envelopes import BAD_ENVELOPES, claim, vote_on
from tests.support.events import HASH_1
from tests.support.guarded import Wire
from tests.support.http import call
from tests.support.servers import Server

# What is of the process, the database or the moment, and not of the answer.
_OWN: Final = (
    rb"\r\nx-request-id: [^\r]*",
    rb"\r\netag: [^\r]*",
    rb'"(?:time|time_ms|chain)":(?:"[^"]*"|[0-9]+)',
    rb"this database is '[0-9a-f]{32}'",
    rb'"(?:database|log_id)":"[0-9a-f]{32}"',
)
_LARGE: Final = b" " * 300_000


def request(method: str, target: str, body: bytes | None = None, *headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "X-Request-Id: told", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def chunked(method: str, target: str, *pieces: bytes) -> bytes:
    head = request(method, target, None, "Transfer-Encoding: chunked")
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


_PAIR: Final = "subject=told&predicate=causes_muscle_loss"
WRITES: Final = (
    request("POST", "/v1/assertions", claim("told")),
    request("POST", "/v1/assertions", claim("told")),
    request("POST", "/v1/assertions?wait=10s", claim("told", confidence="0.25")),
    request("POST", "/v1/assertions?wait=10s", claim("told", confidence="0.25")),
    request("POST", "/v1/assert", claim("told", confidence="0.35"), "Origin: http://localhost"),
    request("POST", "/v1/assertions", claim("told", confidence="0.45"), "Origin: http://evil.example"),
    request("POST", "/v1/assertions", claim("told", confidence="0.55"), "Content-Encoding: br"),
    request("POST", "/v1/assertions", claim("told", confidence="0.55"), "Authorization: Bearer nothing"),
    chunked("POST", "/v1/assertions", claim("told", confidence="0.65")[:100], claim("told", confidence="0.65")[100:]),
    request("POST", "/v1/events", vote_on("told", HASH_1)),
    request("POST", "/v1/votes", claim("told", confidence="0.75")),
    request("POST", "/v1/assertions", _LARGE),
    request("POST", "/v1/assertions?min_seq=3", claim("told")),
    request("POST", "/v1/assertions?wait=forever", claim("told")),
    request("POST", "/v1/assertions", claim("told", audience="elsewhere")),
    request("POST", "/v1/ingest", b"\n".join([claim("told", confidence="0.85"), b"", b"{}", claim("told")])),
    request("POST", "/v1/ingest", b""),
    *(request("POST", "/v1/assertions", bad.body) for bad in BAD_ENVELOPES),
)
READS: Final = (
    request("GET", f"/v1/query?{_PAIR}&min_seq=5&wait=10s"),
    request("GET", f"/v1/query?{_PAIR}&lens=trust&explain=true"),
    request("GET", f"/v1/query?{_PAIR}&max_age=0s"),
    request("GET", f"/v1/query?{_PAIR}&as_of=2"),
    request("GET", f"/v1/query?{_PAIR}", None, "Accept-Encoding: gzip"),
    request("GET", f"/v1/query?{_PAIR}", None, "Origin: http://evil.example"),
    request("GET", f"/v1/query?{_PAIR}&as_of=99999"),
    request("GET", f"/v1/query?{_PAIR}&lens=nonsense"),
    request("GET", f"/v1/query?{_PAIR}&subjct=x"),
    request("GET", f"/v1/query?{_PAIR}&subject=twice"),
    request("GET", "/v1/query?predicate=p"),
    request("GET", f"/v1/query?{_PAIR}&min_seq=99999&wait=1ms"),
    request("HEAD", f"/v1/query?{_PAIR}"),
    request("GET", f"/v1/skeptic?{_PAIR}"),
    request("GET", f"/v1/layered?{_PAIR}"),
    request("GET", "/v1/constraints?subject=told"),
    request("GET", f"/v1/compare?{_PAIR}"),
    request("GET", "/v1/subjects/told/history?predicate=causes_muscle_loss"),
    request("GET", "/v1/assertions?subject=told"),
    request("GET", f"/v1/assertions/{HASH_1}"),
    request("GET", "/v1/lenses"),
    request("GET", "/v1/log?after=99999"),
    request("GET", "/openapi.json"),
    request("GET", "/docs"),
    request("GET", "/livez"),
    request("HEAD", "/livez"),
    request("GET", "/readyz"),
    request("OPTIONS", "/v1/query"),
    request("OPTIONS", "/v1/assertions", None, "Origin: http://a.example", "Access-Control-Request-Method: POST"),
    request("DELETE", "/v1/assertions"),
    request("PUT", "/v1/query"),
    request("GET", "/nothing/there"),
    request("GET", "/v1/subjects/%FF/history?predicate=p"),
    request("GET", "/v1/admin/tokens"),
    request("POST", "/v1/admin/tokens", b"{}"),
    request("POST", "/v1/admin/tokens", b" " * 3000),
    request("GET", "/livez", None, "Host: second.example"),
    request("GET", "/livez").replace(b"localhost", b"evil.example"),
    request("GET", f"/v1/lenses?{'x' * 40_000}"),
    request("GET", "/v1/lenses", b"a body that nobody reads"),
    b"GET /v1/lenses HTTP/1.0\r\n\r\n",
    b"GET /livez HTTP/1.0\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"POST /v1/assertions HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
)


@pytest.fixture(scope="module", name="servers")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """One that is one process and one with workers, of the same history."""
    folder = tmp_path_factory.mktemp("answers")
    environ = {"EPISTEME_CORS_ORIGINS": "http://a.example"}
    with (
        Server(folder / "single" / "data", ("--port", "0", "--no-audit"), environ=environ) as single,
        Server(folder / "crew" / "data", (*ARGUMENTS, "--no-audit"), environ=environ) as crew,
    ):
        for server in (single, crew):
            server.wait_listening()
            for sent in WRITES[:3]:
                answer_of(server, sent)
        yield single, crew
        assert (single.stop().code, crew.stop().code) == (0, 0)


def answer_of(server: Server, sent: bytes) -> bytes:
    """All that the server says to one request, but for what is its own, and an order of headers that means nothing."""
    with Wire(server.port) as wire:
        wire.send(sent)
        head = wire.head()
        is_bodiless = sent.startswith(b"HEAD") or head.status == 204
        if is_bodiless:
            body = b""
        elif head.headers.get("transfer-encoding") == "chunked":
            body = wire._chunks()
        else:
            body = wire.some(int(head.headers["content-length"]))
        if head.headers.get("connection") == "close":
            assert wire.is_closed()
    lines = sorted(f"{name}: {value}" for name, value in head.headers.items())
    said = "\r\n".join([str(head.status), *lines, "", ""]).encode() + body
    for own in _OWN:
        said = re.sub(own, b"", said)
    return said


@pytest.mark.parametrize("sent", WRITES, ids=range(len(WRITES)))
def test_write_is_answered_as_by_one_process(servers: tuple[Server, Server], sent: bytes) -> None:
    single, crew = (answer_of(server, sent) for server in servers)
    assert crew == single


@pytest.mark.parametrize("sent", READS, ids=range(len(READS)))
def test_read_is_answered_as_by_one_process(servers: tuple[Server, Server], sent: bytes) -> None:
    for server in servers:
        end = call(server.url, "GET", "/livez").log_seq
        assert call(server.url, "GET", f"/v1/lenses?min_seq={end}").status in (200, 422)
        assert call(server.url, "GET", f"/v1/query?{_PAIR}&min_seq={end}&wait=10s").status == 200
    single, crew = (answer_of(server, sent) for server in servers)
    assert crew == single


def test_early_refusal_comes_through_before_the_body_and_without_100_continue(servers: tuple[Server, Server]) -> None:
    for server in servers:
        with Wire(server.port) as wire:
            body = b'{"any": 1}'
            wire.send(request("POST", "/v1/admin/tokens", body, "Expect: 100-continue").removesuffix(body))
            assert wire.head().status == 401


def test_body_that_waits_for_100_continue_is_asked_for_and_passed_on(servers: tuple[Server, Server]) -> None:
    body = claim("told", confidence="0.95")
    for server in servers:
        with Wire(server.port) as wire:
            wire.send(request("POST", "/v1/assertions", body, "Expect: 100-continue").removesuffix(body))
            assert wire.head().status == 100
            wire.send(body)
            assert wire.reply().status == 202


def test_answer_that_was_asked_for_with_its_tag_is_not_sent_again(servers: tuple[Server, Server]) -> None:
    for server in servers:
        for target in (f"/v1/query?{_PAIR}", f"/v1/compare?{_PAIR}"):
            tag = call(server.url, "GET", target).headers["etag"]
            again = call(server.url, "GET", target, headers={"If-None-Match": tag})
            assert (again.status, again.body) == (304, b"")


def test_connection_is_kept_over_answers_of_both_processes(servers: tuple[Server, Server]) -> None:
    with Wire(servers[1].port) as wire:
        for _ in range(3):
            for target, status in (("/livez", 200), ("/v1/lenses", 200), ("/v1/nothing", 404), ("/readyz", 200)):
                wire.send(request("GET", target))
                assert wire.reply().status == status


def test_pipelined_requests_are_answered_in_their_order_whoever_answers(servers: tuple[Server, Server]) -> None:
    targets = ["/livez", "/v1/lenses", "/v1/nothing", "/livez", "/readyz"]
    with Wire(servers[1].port) as wire:
        wire.send(b"".join(request("GET", target) for target in targets))
        assert [wire.reply().status for _ in targets] == [200, 200, 404, 200, 200]


def test_quota_of_a_signer_is_told_as_by_one_process(tmp_path: Path) -> None:
    said = []
    for kind, arguments in (("single", ("--port", "0")), ("crew", ARGUMENTS)):
        limits = ("--quotas", "--quota-tokens-per-hour", "40")
        with Server.start(tmp_path / kind / "data", (*arguments, *limits)) as server:
            replies = [
                call(server.url, "POST", "/v1/assertions", claim("paid", confidence=f"0.1{turn}")) for turn in range(5)
            ]
            names = ("ratelimit-limit", "ratelimit-remaining")
            said.append([(reply.status, *(reply.headers.get(name) for name in names)) for reply in replies])
            server.stop()
    assert said[0] == said[1]
    assert said[0][-1][0] == 429
