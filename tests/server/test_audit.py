"""The audit over HTTP: every answer is recorded, found again, and asked again; through kills too."""

from pathlib import Path
from urllib.parse import quote

import pytest

from episteme import Answer, Client, Node
from episteme.audit import answer_digest
from episteme.errors import NotFound
from tests.server.test_reads import get, write
from tests.server.test_refusals import check_problem
from tests.support.envelopes import claim
from tests.support.events import KEY_A, KEY_B
from tests.support.http import call
from tests.support.servers import Server

PREDICATE = "causes_muscle_loss"
AUDITS = "/v1/audit/queries"


def query_path(subject: str, more: str = "") -> str:
    return f"/v1/query?subject={quote(subject)}&predicate={PREDICATE}{more}"


def listed(server: Server, subject: str, more: str = "") -> list[str]:
    found = get(server, f"{AUDITS}?subject={quote(subject)}&predicate={PREDICATE}{more}").json()
    return [item["id"] for item in found["items"]]


def test_every_answer_names_its_audit_and_the_list_shows_all_of_them_newest_first(server: Server) -> None:
    claimed = write(server, claim("audited", KEY_A))
    ids = [get(server, query_path("audited", more)).json()["audit_id"] for more in ("", "&max_age=0", "&lens=votes")]
    assert len(set(ids)) == 3
    assert listed(server, "audited") == ids[::-1]
    assert listed(server, "audited", "&order=oldest") == ids
    record = get(server, f"{AUDITS}/{ids[2]}").json()
    assert record["parameters"] == {"lens": "votes"}
    assert record["seq"] == claimed["seq"]
    assert record["contributions"] == [{"hash": claimed["hash"], "weight": 1.0}]


def test_pages_follow_each_other(server: Server) -> None:
    ids = [get(server, query_path("paged")).json()["audit_id"] for _ in range(5)]
    first = get(server, f"{AUDITS}?subject=paged&limit=3").json()
    assert [item["id"] for item in first["items"]] == ids[:1:-1]
    second = get(server, f"{AUDITS}?subject=paged&limit=3&cursor={first['next']}").json()
    assert [item["id"] for item in second["items"]] == ids[1::-1]
    assert second["next"] is None


def test_replay_is_the_same_after_the_newest_answer_has_changed(server: Server) -> None:
    write(server, claim("replayed", KEY_A))
    then = get(server, query_path("replayed")).json()
    write(server, claim("replayed", KEY_B, object={"type": "boolean", "value": False}))
    replayed = get(server, f"{AUDITS}/{then['audit_id']}/replay").json()
    assert (replayed["same"], replayed["detail"]) == (True, None)
    assert replayed["answer"]["winner"] == then["winner"]
    assert get(server, query_path("replayed")).json()["status"] != then["status"]


@pytest.mark.parametrize("path", [f"{AUDITS}/{'0' * 32}", f"{AUDITS}/{'0' * 32}/replay"])
def test_an_audit_that_is_not_there_is_not_found(server: Server, path: str) -> None:
    check_problem(get(server, path), 404, "not-found", None)


@pytest.mark.parametrize(
    ("path", "status", "code", "pointer"),
    [
        (f"{AUDITS}/xyz", 422, "invalid-parameter", "id"),
        (f"{AUDITS}?agent=me", 422, "invalid-parameter", "agent"),
        (f"{AUDITS}?from=yesterday", 422, "invalid-parameter", "from"),
        (f"{AUDITS}?order=up", 422, "invalid-parameter", "order"),
        (f"{AUDITS}?cursor=abc", 422, "invalid-parameter", "cursor"),
        (f"{AUDITS}?who=me", 400, "unknown-parameter", "who"),
        (f"{AUDITS}/{'0' * 32}/replay?seq=1", 400, "unknown-parameter", "seq"),
    ],
)
def test_bad_questions_about_audits_are_refused(
    server: Server, path: str, status: int, code: str, pointer: str
) -> None:
    check_problem(get(server, path), status, code, pointer)


def test_the_status_tells_of_the_audit(server: Server) -> None:
    get(server, query_path("counted"))
    listed(server, "counted")
    told = get(server, "/v1/status").json()["audit"]
    assert told["enabled"] is True
    assert told["written"] > 0
    assert (told["lost"], told["dropped"], told["failure"]) == (0, 0, None)


def test_client_and_node_read_the_same_audits_with_the_same_digests(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as server:
        write(server, claim("both", KEY_A))
        with Client(server.url) as client:
            answer = client.query("both", PREDICATE)
            assert answer.audit_id is not None
            page, record, replayed = client.audits(), client.audit(answer.audit_id), client.replay(answer.audit_id)
            assert isinstance(replayed.answer, Answer)
            assert answer_digest(answer) == answer_digest(replayed.answer) == bytes.fromhex(record.digest)
            with pytest.raises(NotFound):
                client.audit("0" * 32)
        assert server.stop().code == 0
    with Node.open(tmp_path / "data") as node:
        assert node.audits() == page
        assert node.audit(answer.audit_id) == record
        assert node.replay(answer.audit_id).same
        assert answer_digest(node.query("both", PREDICATE)).hex() == record.digest


def test_a_kill_loses_no_audit_that_was_written_and_leaves_none_in_halves(tmp_path: Path) -> None:
    known: set[str] = set()
    for number in range(2):
        with Server.start(tmp_path / "data") as server:
            assert known <= set(listed(server, "killed", "&limit=1000"))
            known |= {get(server, query_path("killed")).json()["audit_id"] for _ in range(20)}
            assert known <= set(listed(server, "killed", "&limit=1000"))  # a list waits for all that was answered
            in_the_queue = [get(server, query_path("killed", f"&limit={number + 1}")) for _ in range(5)]
            assert {reply.status for reply in in_the_queue} == {200}
            server.kill()
    with Server.start(tmp_path / "data") as server:
        found = listed(server, "killed", "&limit=1000")
        assert known <= set(found)
        assert all(get(server, f"{AUDITS}/{audit_id}/replay").json()["same"] for audit_id in found)


def test_a_server_told_so_audits_nothing(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data", ("--port", "0", "--no-audit")) as server:
        assert get(server, query_path("silent")).json()["audit_id"] is None
        assert call(server.url, "GET", AUDITS).json()["items"] == []
        assert get(server, "/v1/status").json()["audit"]["enabled"] is False
        assert server.stop().code == 0
    assert not (tmp_path / "data" / "audit-log").exists()
