"""Clients of a real server: a tail over its restart, and what needs an admin token."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from episteme import Client
from episteme.errors import NotFound, ScopeMissing, TokenRequired
from episteme.tokens import TOKENS_FILE, TokenStore
from tests.support.awaited import Awaited
from tests.support.events import KEY_A, make_assertion, signed
from tests.support.servers import Server, shared

WAIT_S = 10.0


def clock_ms() -> int:
    return time.time_ns() // 1_000_000


def token_for(data: Path, *scopes: Any) -> str:
    store = TokenStore(data / TOKENS_FILE, clock_ms=clock_ms, random_bytes=os.urandom)
    return store.create("of a test", scopes).token


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with shared(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.mark.parametrize("kind", [Client, Awaited])
def test_tail_goes_on_after_the_server_was_away(kind: Any, tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as server, kind(server.url, key=KEY_A) as db:
        lines = db.tail()
        first = db.assert_("before", "is", 1)
        seen = [next(lines).seq for _ in range(first.seq + 1)]
        assert server.stop().code == 0
        with Server.start(tmp_path / "data", ("--port", str(server.port))):
            last = db.assert_("after", "is", 2)
            while seen[-1] < last.seq:
                seen.append(next(lines).seq)
            lines.close()
        assert seen == list(range(last.seq + 1))


@pytest.mark.parametrize("kind", [Client, Awaited])
def test_write_is_found_done_when_the_answer_to_it_never_came(kind: Any, tmp_path: Path) -> None:
    event = signed(make_assertion())
    with Server.start(tmp_path / "data") as server:
        with kind(server.url) as db:
            first = db.submit(event)
        server.kill()
    with Server.start(tmp_path / "data", ("--port", "0")) as server, kind(server.url, key=KEY_A) as db:
        again = db.submit(event)
        assert (again.hash, again.seq, again.status) == (first.hash, first.seq, "duplicate")


@pytest.mark.parametrize("kind", [Client, Awaited])
def test_admin_makes_lists_and_ends_tokens(server: Server, kind: Any) -> None:
    with kind(server.url, token=token_for(server.data, "admin")) as admin:
        made = admin.create_token("reader", ["read"], expires_s=60)
        assert made.record.scopes == ("read",)
        assert made.record in admin.tokens()
        with kind(server.url, token=made.token) as reader:
            assert reader.status().ready
            with pytest.raises(ScopeMissing):
                reader.tokens()
        assert admin.revoke_token(made.record.id).status == "revoked"
        with pytest.raises(NotFound):
            admin.revoke_token("nobody")
    with kind(server.url) as nobody, pytest.raises(TokenRequired) as caught:
        nobody.tokens()
    assert caught.value.request_id


@pytest.mark.parametrize("kind", [Client, Awaited])
def test_admin_begins_work_and_looks_how_far_it_is(server: Server, kind: Any) -> None:
    with kind(server.url, token=token_for(server.data, "admin")) as admin:
        for begin in (admin.rebuild, admin.state_digest, admin.snapshot, admin.doctor):
            found = begin()
            give_up_s = time.monotonic() + WAIT_S
            while found.status == "running":
                assert time.monotonic() < give_up_s
                found = admin.operation(found.id)
            assert found.status == "done", found
        assert len(admin.operations()) >= 4
        assert admin.snapshots()


@pytest.mark.parametrize("kind", [Client, Awaited])
def test_everything_goes_compressed_both_ways_where_that_is_asked_for(server: Server, kind: Any) -> None:
    events = [signed(make_assertion(subject=f"compressed {kind.__name__}", timestamp=number)) for number in range(1500)]
    with kind(server.url, compress=True, verify=True) as db:
        results = list(db.ingest(events, ordered=False))
        assert [result.status for result in results] == ["accepted"] * 1500
        positions = [result.seq or 0 for result in results]
        assert db.wait_applied(max(positions), WAIT_S)
        page = db.assertions(subject=events[0].event.subject, limit=1000)
        assert len(page.items) == 1000
        lines = list(db.tail(min(positions) - 1, follow=False, subject=events[0].event.subject))
        assert {line.hash for line in lines} == {event.hash_hex for event in events}
