"""Readers who pay: whose a token is, is charged for what is asked, and named in the audit."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from episteme.config import NodeConfig
from episteme.gate import QuotaOptions
from episteme.server.access import token_store
from tests.support.asgi import Edged, edged
from tests.support.envelopes import claim
from tests.support.events import KEY_A, KEY_B, NOW_MS
from tests.support.http import Reply
from tests.support.nodes import node_on

QUERY = "/v1/query?subject=s&predicate=p"
QUERY_COST = 6


class Readers:
    """A node that charges, and readers with a token each."""

    def __init__(self, folder: Path, served: Edged) -> None:
        self.served = served
        self._tokens = token_store(folder)

    def ask(self, path: str, agent: bytes | None, **headers: str) -> Reply:
        token = self._tokens.create("reader", ["read"], agent=agent).token
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.served("GET", path, headers={"Authorization": f"Bearer {token}", **more})


@contextmanager
def paying(
    folder: Path, tokens_per_hour: int = 100, *, enabled: bool = True, audited: bool = False
) -> Iterator[Readers]:
    config = NodeConfig(
        quota=QuotaOptions(enabled=enabled, tokens_per_hour=tokens_per_hour),
        audit=NodeConfig().audit._replace(enabled=audited),
    )
    with node_on(folder, config=config, clock_ms=lambda: NOW_MS + 1_800_000) as node, edged(node) as served:
        yield Readers(folder, served)


def left(reply: Reply) -> str | None:
    return reply.headers.get("ratelimit-remaining")


def test_every_question_says_what_is_left_and_until_when(tmp_path: Path) -> None:
    with paying(tmp_path) as readers:
        first = readers.ask(QUERY, KEY_A.agent)
        assert (first.status, left(first)) == (200, "94")
        assert (first.headers["ratelimit-limit"], first.headers["ratelimit-reset"]) == ("100", "1800")
        assert left(readers.ask("/v1/skeptic?subject=s&predicate=p", KEY_A.agent)) == "88"
        assert left(readers.ask("/v1/subjects/s/history?predicate=p", KEY_A.agent)) == "82"
        compared = readers.ask("/v1/compare?subject=s&predicate=p&lenses=recency,consensus,votes", KEY_A.agent)
        assert left(compared) == str(82 - 5 - 3)
        assert left(readers.ask("/v1/compare?subject=s&predicate=p", KEY_A.agent)) == str(74 - 5 - 7)


def test_answer_that_is_known_already_is_paid_as_well(tmp_path: Path) -> None:
    """What it costs is to find out."""
    with paying(tmp_path) as readers:
        tag = readers.ask(QUERY, KEY_A.agent).headers["etag"]
        known = readers.ask(QUERY, KEY_A.agent, If_None_Match=tag)
        assert (known.status, left(known)) == (304, "88")


def test_reader_who_cannot_pay_is_429_with_when_to_come_back_and_others_go_on(tmp_path: Path) -> None:
    with paying(tmp_path, tokens_per_hour=QUERY_COST + 1) as readers:
        assert readers.ask(QUERY, KEY_A.agent).status == 200
        refused = readers.ask(QUERY, KEY_A.agent)
        assert (refused.status, refused.json()["code"]) == (429, "quota-exceeded")
        assert (refused.headers["retry-after"], left(refused)) == ("1800", "1")
        assert readers.ask(QUERY, KEY_B.agent).status == 200
        assert readers.ask("/v1/status", KEY_A.agent).status == 200


def test_reads_and_writes_of_one_agent_are_paid_from_one_purse(tmp_path: Path) -> None:
    with paying(tmp_path) as readers:
        readers.ask(QUERY, KEY_A.agent)
        written = readers.served("POST", "/v1/assertions", claim("s"))
        assert left(written) == str(100 - QUERY_COST - 11)


def test_token_without_an_agent_and_a_stranger_pay_nothing(tmp_path: Path) -> None:
    with paying(tmp_path, tokens_per_hour=1) as readers:
        for _ in range(3):
            for reply in (readers.ask(QUERY, None), readers.served("GET", QUERY)):
                assert (reply.status, left(reply)) == (200, None)


def test_nobody_pays_where_quotas_are_off(tmp_path: Path) -> None:
    with paying(tmp_path, tokens_per_hour=1, enabled=False) as readers:
        reply = readers.ask(QUERY, KEY_A.agent)
        assert (reply.status, left(reply)) == (200, None)


@pytest.mark.parametrize("path", [QUERY, f"{QUERY}&max_age=0", "/v1/compare?subject=s&predicate=p&lenses=recency"])
def test_audit_names_whose_the_token_is_and_nobody_for_one_without(tmp_path: Path, path: str) -> None:
    with paying(tmp_path, audited=True) as readers:
        readers.ask(path, KEY_A.agent)
        readers.ask(path, None)
        readers.served("GET", path, headers={"X-Agent": KEY_B.agent_hex})
        found = readers.served("GET", "/v1/audit/queries?order=oldest").json()["items"]
        assert [one["agent"] for one in found] == [KEY_A.agent_hex, None, None]
