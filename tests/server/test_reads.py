"""Answers over HTTP: positions, tags, health, and problem documents for what is not there."""

import pytest
from msgspec import json

from episteme import Answer, StatusReport
from model import TextValue
from tests.server.test_refusals import check_problem
from tests.support.envelopes import claim, vote_on
from tests.support.events import HASH_1, KEY_A, KEY_B
from tests.support.http import Reply, call
from tests.support.servers import Server


def write(server: Server, body: bytes, path: str = "/v1/events") -> dict[str, object]:
    """Post and wait until it is readable."""
    reply = call(server.url, "POST", f"{path}?wait=10s", body)
    assert reply.status in (200, 201), reply.body
    receipt: dict[str, object] = reply.json()
    return receipt


def get(server: Server, path: str, **headers: str) -> Reply:
    return call(server.url, "GET", path, None, {name.replace("_", "-"): value for name, value in headers.items()})


def test_every_answer_of_a_read_carries_the_log_s_position_and_the_fold_s(server: Server) -> None:
    receipt = write(server, claim("has positions"))
    for path in (
        "/v1/query?subject=has+positions&predicate=causes_muscle_loss",
        f"/v1/assertions/{receipt['hash']}",
        "/v1/status",
        "/readyz",
    ):
        reply = get(server, path)
        assert reply.status == 200
        assert reply.log_seq == receipt["seq"]
        assert reply.headers["episteme-applied"] == str(receipt["seq"])
        assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", f"/v1/assertions/{HASH_1}", 404),
        ("POST", "/v1/assertions", 400),
    ],
)
def test_refusals_carry_the_log_s_position_too(server: Server, method: str, path: str, status: int) -> None:
    reply = call(server.url, method, path)
    assert reply.status == status
    assert "episteme-seq" in reply.headers


def test_assertion_is_told_as_it_was_signed(server: Server) -> None:
    body = claim("as signed", KEY_A, KEY_B, narrative="line\nbreak", metadata={"page": "7"})
    receipt = write(server, body)
    stored = get(server, f"/v1/assertions/{receipt['hash']}").json()
    envelope = json.decode(body)
    assert stored["event"] == envelope["event"]
    assert sorted(stored["signatures"], key=str) == sorted(envelope["signatures"], key=str)
    assert (stored["hash"], stored["seq"]) == (receipt["hash"], receipt["seq"])


def test_tag_of_an_assertion_saves_the_body_until_a_signature_joins(server: Server) -> None:
    receipt = write(server, claim("tagged", KEY_A))
    path = f"/v1/assertions/{receipt['hash']}"
    tag = get(server, path).headers["etag"]
    for header in (tag, f'"other", {tag}'):
        unchanged = get(server, path, If_None_Match=header)
        assert (unchanged.status, unchanged.body, unchanged.headers["etag"]) == (304, b"", tag)
    assert get(server, path, If_None_Match='"other"').status == 200
    write(server, claim("tagged", KEY_B))
    changed = get(server, path, If_None_Match=tag)
    assert (changed.status, len(changed.json()["signatures"])) == (200, 2)
    assert changed.headers["etag"] != tag


@pytest.mark.parametrize("header", ["*", "W/{tag}"])
def test_tag_is_compared_weakly_and_a_star_stands_for_any(server: Server, header: str) -> None:
    receipt = write(server, claim("tagged weakly"))
    path = f"/v1/assertions/{receipt['hash']}"
    tag = get(server, path).headers["etag"]
    assert get(server, path, If_None_Match=header.format(tag=tag)).status == 304


def test_unchanged_answer_still_carries_the_positions(server: Server) -> None:
    receipt = write(server, claim("unchanged"))
    path = f"/v1/assertions/{receipt['hash']}"
    unchanged = get(server, path, If_None_Match=get(server, path).headers["etag"])
    assert unchanged.status == 304
    assert unchanged.log_seq == int(unchanged.headers["episteme-applied"]) == receipt["seq"]


def test_head_is_a_get_without_its_body(server: Server) -> None:
    receipt = write(server, claim("headed"))
    for path in (
        f"/v1/assertions/{receipt['hash']}",
        f"/v1/assertions/{HASH_1}",
        "/v1/subjects?limit=1",
        "/v1/nothing",
    ):
        head, whole = call(server.url, "HEAD", path), get(server, path)
        assert (head.status, head.body) == (whole.status, b"")
        assert head.headers["content-length"] == str(len(whole.body))
        assert head.headers["episteme-applied"] == whole.headers["episteme-applied"]


def test_unknown_hash_is_a_problem(server: Server) -> None:
    check_problem(get(server, f"/v1/assertions/{HASH_1}"), 404, "not-found", None)


def test_vote_s_hash_is_no_assertion(server: Server) -> None:
    receipt = write(server, vote_on("voted", HASH_1))
    check_problem(get(server, f"/v1/assertions/{receipt['hash']}"), 404, "not-found", None)


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/query", "/v1/querys", "/v1/assertions/a/b", "//v1/status"])
def test_unknown_path_is_a_problem(server: Server, path: str) -> None:
    check_problem(get(server, path), 404, "no-such-path", None)


@pytest.mark.parametrize("path", ["/v1/status/", "/v1/query/?subject=s&predicate=p", "/v1/assertions/"])
def test_slash_too_many_is_an_unknown_path_and_not_a_redirection(server: Server, path: str) -> None:
    check_problem(get(server, path), 404, "no-such-path", None)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", f"/v1/assertions/{HASH_1}", "GET"),
        ("GET", "/v1/events", "POST"),
        ("PUT", "/v1/assertions", "POST"),
        ("GET", "/v1/ingest", "POST"),
        ("POST", "/v1/query", "GET"),
        ("PATCH", "/v1/status", "GET"),
    ],
)
def test_wrong_method_is_a_problem_that_names_the_right_one(
    server: Server, method: str, path: str, allowed: str
) -> None:
    reply = call(server.url, method, path)
    check_problem(reply, 405, "method-not-allowed", None)
    assert allowed in reply.headers["allow"].split(", ")


def test_pair_without_claims_has_no_winner_and_is_no_error(server: Server) -> None:
    reply = get(server, "/v1/query?subject=nobody+spoke&predicate=of+it")
    assert reply.status == 200
    answer = json.decode(reply.body, type=Answer)
    assert (answer.winner, answer.status, answer.candidates_count, answer.groups) == (None, "none", 0, [])


_OF_SOME_ANSWERS = ("subjects", "layers", "map", "constraints", "constraints_count", "explain")


def test_answer_is_of_the_documented_shape(server: Server) -> None:
    receipt = write(server, claim("shaped", KEY_A, KEY_B, predicate="is", object=TextValue("round")))
    answer = get(server, "/v1/query?subject=shaped&predicate=is").json()
    assert answer["winner"]["value"] == {"type": "text", "value": "round"}
    assert answer["winner"]["hash"] == receipt["hash"]
    assert answer["winner"]["assertion"]["event"]["subject"] == "shaped"
    assert len(answer["winner"]["assertion"]["signatures"]) == 2
    assert answer["groups"][0]["support"] == 2
    assert answer["lens"] == {"name": "consensus", "version": 1, "params": {}}
    assert answer["seq"] == receipt["seq"]
    assert set(answer) == {name for name in Answer.__struct_fields__ if name not in _OF_SOME_ANSWERS}


def test_position_that_is_not_there_yet_is_told_with_when_to_come_back(server: Server) -> None:
    for path in ("/v1/query?subject=s&predicate=p&", f"/v1/assertions/{HASH_1}?"):
        reply = get(server, f"{path}min_seq=999999999999&wait=10ms")
        check_problem(reply, 503, "not-applied", None)
        assert int(reply.headers["retry-after"]) > 0


def test_live_server_says_that_it_is_alive_and_ready(server: Server) -> None:
    assert get(server, "/livez").json() == {"status": "alive"}
    receipt = write(server, claim("ready"))
    assert get(server, "/readyz").json() == {
        "status": "ready",
        "reasons": [],
        "applied_seq": receipt["seq"],
        "end_seq": receipt["seq"],
    }


def test_status_tells_positions_sizes_and_versions(server: Server) -> None:
    receipt = write(server, claim("status"))
    report = json.decode(get(server, "/v1/status").body, type=StatusReport)
    assert report.ready
    assert report.log.seq == report.fold.applied_seq == receipt["seq"]
    assert report.fold.lag == 0
    assert report.database == report.log.log_id
    assert len(bytes.fromhex(report.database)) == 16
    assert min(report.log.size_bytes, report.store_bytes, report.uptime_s) > 0
    assert report.fold.versions


def test_head_answers_without_a_body(server: Server) -> None:
    reply = call(server.url, "HEAD", "/v1/status")
    assert (reply.status, reply.body) == (200, b"")
