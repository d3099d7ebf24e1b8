"""Work on a running database: one piece at a time, its progress told, its failures too."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cortex import FoldStopped, Rebuilt
from episteme.node import Node
from episteme.operations import OPERATIONS_KEPT
from episteme.server.access import token_store
from tests.support.asgi import Edged, edged
from tests.support.events import NOW_MS
from tests.support.http import Reply
from tests.support.nodes import node_on

WAIT_S = 10.0


class Served(NamedTuple):
    """A node with a claim, its server, and what an admin sends with each request."""

    node: Node
    edge: Edged
    headers: dict[str, str]

    def __call__(self, method: str, path: str) -> Reply:
        return self.edge(method, path, headers=self.headers)

    def done(self, path: str) -> dict[str, Any]:
        """Start an operation, and give it once it has ended."""
        started = self("POST", path)
        assert started.status == 202
        wait_for_operations()
        found: dict[str, Any] = self("GET", started.headers["location"]).json()
        return found


def wait_for_operations() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("operation-"):
            thread.join(WAIT_S)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with node_on(tmp_path) as node:
        node.assert_("s", "p", "v", wait_s=WAIT_S)
        token = token_store(tmp_path).create("tests", ["admin"]).token
        with edged(node) as edge:
            yield Served(node, edge, {"Authorization": f"Bearer {token}"})


def test_rebuild_is_started_and_told_when_it_is_done(served: Served) -> None:
    found = served.done("/v1/admin/rebuild?digest=1")
    assert (found["kind"], found["status"], found["started_ms"]) == ("rebuild", "done", NOW_MS)
    assert found["rebuild"]["position"] == served.node.log.durable_end
    assert found["rebuild"]["digest_before"] == found["rebuild"]["digest_after"] == served.node.state.digest()
    assert served("GET", "/v1/query?subject=s&predicate=p").json()["candidates_count"] == 1


def test_snapshot_is_made_and_listed(served: Served) -> None:
    found = served.done("/v1/admin/snapshots?digest=1")
    assert found["snapshot"]["digest"] == served.node.state.digest()
    assert served("GET", "/v1/admin/snapshots").json()["items"] == [found["snapshot"]]


def test_digest_and_doctor_answer_when_they_are_done(served: Served) -> None:
    found = served.done("/v1/admin/digest")
    assert found["state"] == {"position": served.node.log.durable_end, "digest": served.node.state.digest()}
    checks = {check["name"]: check["level"] for check in served.done("/v1/admin/doctor?deep=1")["checks"]}
    assert (checks["log"], checks["views"], checks["recount"], checks["address"]) == ("ok", "ok", "ok", "ok")


def test_second_piece_of_work_is_refused_while_one_runs(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    going_on = threading.Event()

    def rebuild(moved: Any, *, digest: bool) -> Rebuilt:
        moved(3, 9)
        assert going_on.wait(WAIT_S)
        return Rebuilt(9, None, None)

    monkeypatch.setattr(served.node.state, "rebuild", rebuild)
    started = served("POST", "/v1/admin/rebuild").json()
    try:
        refused = served("POST", "/v1/admin/digest")
        assert (refused.status, refused.json()["code"]) == (409, "operation-running")
        assert served("GET", "/v1/status").status == 200
    finally:
        going_on.set()
        wait_for_operations()
    ended = served("GET", f"/v1/admin/operations/{started['id']}").json()
    assert (ended["status"], ended["done"], ended["total"]) == ("done", 3, 9)


def test_work_that_fails_says_why_and_the_next_may_begin(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def rebuild(_moved: Any, *, digest: bool) -> Rebuilt:
        raise FoldStopped("/secret/path")

    monkeypatch.setattr(served.node.state, "rebuild", rebuild)
    failed = served.done("/v1/admin/rebuild")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "fold-stopped")
    assert "secret" not in str(failed)
    assert served.done("/v1/admin/digest")["status"] == "done"


def test_operations_are_listed_newest_first_and_the_oldest_forgotten(served: Served) -> None:
    for _ in range(OPERATIONS_KEPT + 2):
        served.done("/v1/admin/digest")
    items = served("GET", "/v1/admin/operations").json()["items"]
    ids = [int(one["id"]) for one in items]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == OPERATIONS_KEPT
    unknown = served("GET", "/v1/admin/operations/1")
    assert (unknown.status, unknown.json()["code"]) == (404, "not-found")


def test_flag_that_is_none_is_refused_and_starts_nothing(served: Served) -> None:
    refused = served("POST", "/v1/admin/rebuild?digest=perhaps")
    assert (refused.status, refused.json()["code"]) == (422, "invalid-parameter")
    assert served("GET", "/v1/admin/operations").json()["items"] == []
