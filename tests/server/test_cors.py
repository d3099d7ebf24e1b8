"""Web pages of other origins: what a browser is told, and what it cannot be made to do."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from episteme.config import ServerConfig
from tests.support.asgi import edged
from tests.support.envelopes import claim
from tests.support.nodes import node_on

PAGE = "https://console.example"
EVIL = "https://evil.example"
ASKING = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
ONE = ServerConfig(cors_origins=(PAGE,))
ANY = ServerConfig(cors_origins=("*",))


def access(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("origin", [EVIL, PAGE, "null"])
def test_without_the_setting_no_page_is_told_anything(tmp_path: Path, origin: str) -> None:
    with node_on(tmp_path) as node, edged(node) as served:
        for method, more in (("GET", {}), ("OPTIONS", ASKING)):
            reply = served(method, "/v1/status", headers={"Origin": origin, **more})
            assert access(reply.headers) == {}
            assert "Origin" not in reply.headers.get("vary", "")


def test_listed_page_reads_answers_refusals_and_their_headers(tmp_path: Path) -> None:
    with node_on(tmp_path) as node, edged(node, ONE) as served:
        for path in ("/v1/status", "/nowhere", "/v1/admin/tokens", "/livez"):
            reply = served("GET", path, headers={"Origin": PAGE})
            assert reply.headers["access-control-allow-origin"] == PAGE
            assert reply.headers["vary"].endswith("Origin")
            exposed = reply.headers["access-control-expose-headers"].split(", ")
            for name in ("Episteme-Seq", "Episteme-Applied", "ETag", "Retry-After", "RateLimit-Limit", "X-Request-Id"):
                assert name in exposed
        other = served("GET", "/v1/status", headers={"Origin": EVIL})
        assert (other.status, access(other.headers)) == (200, {})
        assert "Origin" in other.headers["vary"]


def test_preflight_is_answered_without_a_token_and_lets_the_page_send_one(tmp_path: Path) -> None:
    config = ServerConfig(cors_origins=(PAGE,), tokens_required=True)
    with node_on(tmp_path) as node, edged(node, config) as served:
        reply = served("OPTIONS", "/v1/assertions", headers={"Origin": PAGE, **ASKING})
        assert (reply.status, reply.body) == (204, b"")
        told = access(reply.headers)
        assert told["access-control-allow-origin"] == PAGE
        assert {"GET", "POST"} <= set(told["access-control-allow-methods"].split(", "))
        allowed = {name.lower() for name in told["access-control-allow-headers"].split(", ")}
        assert {"authorization", "content-type", "content-encoding", "if-none-match", "last-event-id"} <= allowed
        assert int(told["access-control-max-age"]) <= 3600
        refused = served("OPTIONS", "/v1/assertions", headers={"Origin": EVIL, **ASKING})
        assert access(refused.headers) == {}


@pytest.mark.parametrize("config", [ONE, ANY])
def test_credentials_are_never_allowed(tmp_path: Path, config: ServerConfig) -> None:
    """A browser's cookies and stored passwords prove nothing here."""
    with node_on(tmp_path) as node, edged(node, config) as served:
        for method, more in (("GET", {}), ("OPTIONS", ASKING)):
            reply = served(method, "/v1/status", headers={"Origin": PAGE, **more})
            assert "access-control-allow-credentials" not in reply.headers


def test_any_page_reads_where_that_is_said(tmp_path: Path) -> None:
    with node_on(tmp_path) as node, edged(node, ANY) as served:
        for origin in (EVIL, PAGE, "null"):
            reply = served("GET", "/v1/status", headers={"Origin": origin})
            assert reply.headers["access-control-allow-origin"] == "*"
        assert served("OPTIONS", "/v1/ingest", headers={"Origin": EVIL, **ASKING}).status == 204
        assert served("POST", "/v1/assertions", claim("from any page"), {"Origin": EVIL}).status == 202


@pytest.mark.parametrize("config", [ServerConfig(), ONE])
@pytest.mark.parametrize(
    "origin", [EVIL, "null", "https://console.example.evil.example", "http://console.example", "", "x" * 9000]
)
def test_page_of_a_stranger_cannot_make_a_browser_write(tmp_path: Path, config: ServerConfig, origin: str) -> None:
    """Such a request needs no preflight, as a form could send it; what the page cannot read, it must not do."""
    with node_on(tmp_path) as node, edged(node, config) as served:
        for path in ("/v1/assertions", "/v1/ingest", "/v1/admin/tokens"):
            reply = served("POST", path, claim("forged"), {"Origin": origin, "Content-Type": "text/plain"})
            assert (reply.status, reply.json()["code"]) == (403, "wrong-origin")
            assert access(reply.headers) == {}
        assert node.end_seq == -1


def test_pages_of_the_server_and_listed_ones_write(tmp_path: Path) -> None:
    with node_on(tmp_path) as node, edged(node, ONE) as served:
        for number, (origin, host) in enumerate(
            [(PAGE, "localhost"), ("http://localhost:18180", "localhost:18180"), ("http://[::1]:1", "[::1]:1")]
        ):
            reply = served("POST", "/v1/assertions", claim(f"page {number}"), {"Origin": origin}, host=host)
            assert reply.status == 202


def test_origins_are_compared_as_browsers_spell_them(tmp_path: Path) -> None:
    config = ServerConfig(cors_origins=("HTTPS://Console.Example/",))
    with node_on(tmp_path) as node, edged(node, config) as served:
        assert served("GET", "/livez", headers={"Origin": PAGE}).headers["access-control-allow-origin"] == PAGE
