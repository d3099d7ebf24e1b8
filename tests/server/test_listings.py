"""Lists and records over HTTP: strict parameters, positions, paths with anything in them, and the wait for news."""

import json
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest

from episteme.catalog import LISTINGS
from episteme.errors import PROBLEMS
from model import BooleanValue, SigningKey
from tests.server.test_reads import get, write
from tests.server.test_refusals import check_problem
from tests.support.envelopes import claim
from tests.support.events import HASH_1, NOW_MS
from tests.support.http import call, connect
from tests.support.servers import Server

LISTS = [one.path for one in LISTINGS if "{" not in one.path and not one.path.startswith("/v1/audit/")]
RECORDS = [
    f"/v1/assertions/{HASH_1}/votes",
    f"/v1/assertions/{HASH_1}/lineage",
    "/v1/subjects/nobody%20spoke%20of%20it",
    f"/v1/epochs/{HASH_1}",
    f"/v1/sources/{HASH_1}",
    f"/v1/trust-packs/{HASH_1}",
    f"/v1/escalations/{'1' * 32}",
]


@pytest.mark.parametrize("path", LISTS)
def test_list_is_a_page_with_the_position_that_it_is_true_for(server: Server, path: str) -> None:
    receipt = write(server, claim("is listed"))
    reply = get(server, f"{path}?min_seq={receipt['seq']}&wait=10s&limit=2")
    assert reply.status == 200, reply.body
    assert set(reply.json()) >= {"items", "next", "seq"}
    assert len(reply.json()["items"]) <= 2
    assert reply.json()["seq"] >= receipt["seq"]
    assert int(reply.headers["episteme-applied"]) >= reply.json()["seq"]
    assert "episteme-seq" in reply.headers


@pytest.mark.parametrize("path", RECORDS)
def test_record_that_is_not_there_is_not_found(server: Server, path: str) -> None:
    check_problem(get(server, path), 404, "not-found", None)


@pytest.mark.parametrize("path", [*LISTS, *RECORDS, f"/v1/agents/{HASH_1}", f"/v1/sources/{HASH_1}/impact"])
def test_unknown_parameter_of_a_list_or_a_record_is_refused(server: Server, path: str) -> None:
    check_problem(get(server, f"{path}?limt=3"), 400, "unknown-parameter", "limt")
    check_problem(get(server, f"{path}?hash={HASH_1}"), 400, "unknown-parameter", "hash")
    check_problem(get(server, f"{path}?min_seq=x"), 422, "invalid-parameter", "min_seq")
    check_problem(get(server, f"{path}?wait=31s"), 422, "invalid-parameter", "wait")
    check_problem(get(server, f"{path}?min_seq=1&min_seq=1"), 422, "invalid-parameter", "min_seq")


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/v1/assertions?limit=0", "limit"),
        ("/v1/assertions?limit=1001", "limit"),
        ("/v1/assertions?limit=", "limit"),
        ("/v1/assertions?cursor=", "cursor"),
        ("/v1/assertions?cursor=AAAA", "cursor"),
        (f"/v1/assertions?cursor={'A' * 2000}", "cursor"),
        ("/v1/assertions?cursor=%C3%A9", "cursor"),
        ("/v1/assertions?subject=", "subject"),
        ("/v1/assertions?subject=a%00b", "subject"),
        ("/v1/assertions?agent=1", "agent"),
        ("/v1/assertions?source_class=clinical,", "source_class"),
        ("/v1/assertions?lifecycle=", "lifecycle"),
        ("/v1/assertions?since_seq=-1", "since_seq"),
        (f"/v1/assertions?since_seq={'9' * 30}", "since_seq"),
        (f"/v1/assertions/{HASH_1}/lineage?depth=0", "depth"),
        (f"/v1/assertions/{HASH_1}/lineage?limit=1001", "limit"),
        (f"/v1/assertions/{HASH_1.upper()[1:]}A/votes", "hash"),
        ("/v1/subjects?prefix=%00", "prefix"),
        ("/v1/subjects/%00", "subject"),
        ("/v1/subjects/%FF", "subject"),
        (f"/v1/subjects/{'x' * 257}", "subject"),
        ("/v1/agents/me", "agent"),
        ("/v1/escalations/1", "id"),
        ("/v1/escalations?after=-2", "after"),
        ("/v1/escalations?after=1&order=newest", "after"),
        ("/v1/escalations?order=", "order"),
        ("/v1/gold-standards?predicate=p", "predicate"),
    ],
)
def test_bad_parameter_of_a_list_is_named(server: Server, path: str, pointer: str) -> None:
    check_problem(get(server, path), PROBLEMS["invalid-parameter"].status, "invalid-parameter", pointer)


@pytest.mark.parametrize("path", [*LISTS, f"/v1/agents/{HASH_1}"])
def test_list_takes_no_other_method(server: Server, path: str) -> None:
    assert call(server.url, "DELETE", path).status == 405


@pytest.mark.parametrize("subject", ["with space", "a/b", "/", "a/history", "50%", "%2F", "ä?#&", "..", "a//b/"])
def test_subject_of_any_spelling_has_its_path(server: Server, subject: str) -> None:
    subject = f"path {subject}" if subject not in ("/", "..") else subject
    receipt = write(server, claim(subject))
    path = f"/v1/subjects/{quote(subject, safe='')}"
    reply = get(server, path)
    assert (reply.status, reply.json()["subject"]) == (200, subject)
    assert reply.json()["items"][0]["hash"] == receipt["hash"]
    history = get(server, f"{path}/history?predicate=causes_muscle_loss")
    assert (history.status, history.json()["subject"]) == (200, subject)


def test_path_with_a_slash_too_many_is_none(server: Server) -> None:
    for path in ("/v1/subjects/", "/v1/subjects/a/b", "/v1/subjects/a/", "/v1/agents/", f"/v1/agents/{HASH_1}/"):
        check_problem(get(server, path), 404, "no-such-path", None)


def contradict(server: Server, subject: str) -> None:
    """Two regulatory claims that cannot both hold."""
    for number, value in enumerate((True, False)):
        key = SigningKey(bytes([150 + number]) * 32)
        body = claim(subject, key, object=BooleanValue(value), source_class="regulatory", timestamp=NOW_MS + number)
        assert call(server.url, "POST", "/v1/assertions?wait=10s", body).status == 201


def test_many_wait_for_the_next_escalation_and_all_get_it(server: Server) -> None:
    behind = write(server, claim("before the news"))["seq"]
    path = f"/v1/escalations?after={behind}&subject=news&wait=20s"
    found: list[list[str]] = []
    readers = [
        Thread(target=lambda: found.append([one["subject"] for one in get(server, path).json()["items"]]))
        for _ in range(8)  # twice as many as there are threads for reads
    ]
    for reader in readers:
        reader.start()
    assert get(server, "/v1/lenses").status == 200
    contradict(server, "no news")
    contradict(server, "news")
    for reader in readers:
        reader.join()
    assert found == [["news"]] * len(readers)


def test_wait_for_news_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    with Server.start(tmp_path / "data") as running:
        connection = connect(running.url)
        connection.request("GET", "/v1/escalations?after=-1&wait=30s")
        write(running, claim("the server has read what came before"))
        ended = running.stop()
        assert ended.code == 0, ended.output
        assert json.loads(connection.getresponse().read())["items"] == []
        connection.close()


def test_wait_for_news_that_do_not_come_is_an_empty_page(server: Server) -> None:
    behind = write(server, claim("no news at all"))["seq"]
    reply = get(server, f"/v1/escalations?after={behind}&wait=100ms")
    assert (reply.status, reply.json()["items"]) == (200, [])
