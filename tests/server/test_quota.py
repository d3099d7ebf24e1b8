"""Quotas and revoked keys over HTTP: what a writer is told, and who is believed about who it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from episteme.config import NodeConfig, ServerConfig
from episteme.gate import QuotaOptions
from episteme.node import Node
from model import KeyRevocation, SigningKey, encode_envelope
from tests.support.asgi import call_node
from tests.support.envelopes import claim, vote_on
from tests.support.events import HASH_1, KEY_A, KEY_B, NOW_MS, signed
from tests.support.faulty_files import WAIT_S
from tests.support.http import Reply, call
from tests.support.nodes import node_on
from tests.support.servers import Server

COST = 11


@contextmanager
def paying(folder: Path, tokens_per_hour: int = 100) -> Iterator[Node]:
    config = NodeConfig(quota=QuotaOptions(enabled=True, tokens_per_hour=tokens_per_hour))
    with node_on(folder, config=config, clock_ms=lambda: NOW_MS + 1_800_000) as node:
        yield node


def post(node: Node, path: str, body: bytes, headers: dict[str, str] | None = None) -> Reply:
    return call_node(node, "POST", path, body, headers=headers)


def rate_limit(reply: Reply) -> tuple[str | None, ...]:
    return tuple(reply.headers.get(f"ratelimit-{name}") for name in ("limit", "remaining", "reset"))


def test_every_write_says_what_is_left_to_its_signer_and_until_when(tmp_path: Path) -> None:
    with paying(tmp_path) as node:
        assert rate_limit(post(node, "/v1/assertions", claim("one"))) == ("100", "89", "1800")
        assert rate_limit(post(node, "/v1/assertions?wait=5s", claim("two"))) == ("100", "78", "1800")
        again = post(node, "/v1/assertions", claim("two"))
        assert (again.status, rate_limit(again)) == (200, ("100", "78", "1800"))
        vote = post(node, "/v1/votes", vote_on("one", HASH_1))
        assert (vote.status, rate_limit(vote)) == (202, ("100", "76", "1800"))
        assert rate_limit(post(node, "/v1/assertions", claim("one", KEY_B))) == ("100", "89", "1800")


def test_write_that_cannot_be_paid_is_429_with_when_to_come_back(tmp_path: Path) -> None:
    with paying(tmp_path, tokens_per_hour=COST + 1) as node:
        post(node, "/v1/assertions", claim("one"))
        reply = post(node, "/v1/assertions", claim("two"))
        assert (reply.status, reply.json()["code"]) == (429, "quota-exceeded")
        assert reply.headers["content-type"] == "application/problem+json"
        assert (reply.headers["retry-after"], rate_limit(reply)) == ("1800", ("12", "1", "1800"))
        assert KEY_A.agent_hex in reply.json()["detail"]
        assert node.end_seq == 0


@pytest.mark.parametrize("name", ["X-Agent", "Agent", "Authorization", "Episteme-Agent", "X-Forwarded-For", "From"])
def test_pitfall_28_identity_from_a_header_has_no_effect(tmp_path: Path, name: str) -> None:
    """Neither spends another's tokens, nor are they spent for one who names another."""
    with paying(tmp_path) as node:
        for number in range(9):
            post(node, "/v1/assertions", claim(f"claim {number}", KEY_B), {name: KEY_A.agent_hex})
        assert rate_limit(post(node, "/v1/votes", vote_on("one", HASH_1)))[1] == "98"
        refused = post(node, "/v1/assertions", claim("one more", KEY_B), {name: KEY_A.agent_hex})
        assert refused.status == 429


@pytest.mark.parametrize(
    "body", [b"{}", b"x" * 50_000, claim("forged", KEY_A).replace(b'"signature":"', b'"signature":"0')]
)
def test_what_is_refused_before_its_signer_is_known_costs_nothing_and_says_nothing_of_tokens(
    tmp_path: Path, body: bytes
) -> None:
    with paying(tmp_path) as node:
        reply = post(node, "/v1/assertions", body)
        assert reply.status in (400, 422)
        assert rate_limit(reply) == (None, None, None)
        assert rate_limit(post(node, "/v1/assertions", claim("one")))[1] == "89"


def test_lines_that_cannot_be_paid_are_refused_one_by_one(tmp_path: Path) -> None:
    lines = [claim(f"line {number}") for number in range(4)] + [claim("line", KEY_B)]
    with paying(tmp_path, tokens_per_hour=30) as node:
        reply = post(node, "/v1/ingest", b"\n".join(lines))
        assert reply.status == 200
        *results, summary = reply.lines
        assert [one.get("code") for one in results] == [None, None, "quota-exceeded", "quota-exceeded", None]
        assert summary["summary"]["refused"] == 2


def test_revoked_key_is_403(tmp_path: Path) -> None:
    event = KeyRevocation(v=2, agent=KEY_B.agent_hex, timestamp=NOW_MS, revoked=KEY_B.agent_hex, reason="lost")
    with node_on(tmp_path) as node:
        node.submit(signed(event, KEY_B), wait_s=WAIT_S)
        reply = post(node, "/v1/assertions", claim("late", KEY_A, KEY_B))
        assert (reply.status, reply.json()["code"]) == (403, "key-revoked")
        assert [problem["pointer"] for problem in reply.json()["errors"]] == ["/signatures/1/agent"]
        assert KEY_B.agent_hex in reply.json()["detail"]


def test_without_quotas_nothing_is_said_of_them(tmp_path: Path) -> None:
    with node_on(tmp_path) as node:
        assert rate_limit(post(node, "/v1/assertions", claim("free"))) == (None, None, None)


# The server decides by its address.


def has_quotas(folder: Path, *arguments: str) -> bool:
    server = Server.start(folder / "data", ("--port", "0", *arguments))
    try:
        reply = call(server.url, "POST", "/v1/assertions", claim("about quotas", SigningKey(b"q" * 32)))
        assert reply.status == 202
        return "ratelimit-limit" in reply.headers
    finally:
        server.stop()


def test_quotas_are_off_on_a_loopback_address_unless_they_are_asked_for(tmp_path: Path) -> None:
    assert not has_quotas(tmp_path / "default")
    assert has_quotas(tmp_path / "asked", "--quotas")


def test_quotas_are_on_everywhere_else_unless_they_are_declined(tmp_path: Path) -> None:
    everywhere = ("--host", "0.0.0.0", "--public")
    assert has_quotas(tmp_path / "default", *everywhere)
    assert not has_quotas(tmp_path / "declined", *everywhere, "--no-quotas")
    assert ServerConfig().quotas is None


def test_revocation_travels_like_any_event(tmp_path: Path) -> None:
    event = KeyRevocation(v=2, agent=KEY_A.agent_hex, timestamp=NOW_MS, revoked=KEY_A.agent_hex, reason="lost")
    with paying(tmp_path) as node:
        reply = post(node, "/v1/events?wait=5s", encode_envelope(signed(event)))
        assert (reply.status, rate_limit(reply)[1]) == (201, "98")
