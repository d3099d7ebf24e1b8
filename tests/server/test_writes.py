"""One envelope a request: the status says what became of it, and many at once keep out of each other's way."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from model import decode_envelope, encode_envelope, kind_of
from tests.support.envelopes import claim, vote_on
from tests.support.events import FULL_EVENTS, HASH_1, KEY_A, KEY_B, signed
from tests.support.http import Reply, call, connect, exchange, log_seq
from tests.support.servers import Server

POSTERS = 64


def post(server: Server, path: str, body: bytes) -> Reply:
    return call(server.url, "POST", path, body)


def test_new_content_is_accepted_and_again_it_is_a_duplicate_with_the_first_position(server: Server) -> None:
    body = claim("written twice")
    first, second = post(server, "/v1/assertions", body), post(server, "/v1/assertions", body)
    assert (first.status, first.json()["status"]) == (202, "accepted")
    assert (second.status, second.json()["status"]) == (200, "duplicate")
    assert first.json()["hash"] == second.json()["hash"] == decode_envelope(body).hash_hex
    assert first.json()["seq"] == second.json()["seq"] == first.log_seq == second.log_seq


def test_write_that_waits_is_created_and_readable_without_min_seq(server: Server) -> None:
    reply = post(server, "/v1/assertions?wait=5s", claim("written and awaited"))
    assert (reply.status, reply.json()["status"]) == (201, "applied")
    read = call(server.url, "GET", f"/v1/assertions/{reply.json()['hash']}")
    assert (read.status, read.json()["seq"]) == (200, reply.json()["seq"])


def test_duplicate_that_waits_is_still_a_duplicate(server: Server) -> None:
    body = claim("awaited again")
    assert post(server, "/v1/assertions?wait=5s", body).status == 201
    reply = post(server, "/v1/assertions?wait=5s", body)
    assert (reply.status, reply.json()["status"]) == (200, "duplicate")


def test_same_event_spelled_otherwise_is_the_same(server: Server) -> None:
    body = claim("spelled in two ways")
    loose = json.dumps(json.loads(body), indent=3, sort_keys=True).encode()
    assert loose != body
    first, second = post(server, "/v1/assertions", body), post(server, "/v1/assertions", b"\n " + loose + b"\n")
    assert second.json() == first.json() | {"status": "duplicate"}


@pytest.mark.parametrize("path", ["/v1/assertions", "/v1/assert", "/v1/events"])
def test_assertion_has_three_doors(server: Server, path: str) -> None:
    assert post(server, path, claim(f"through {path}")).status == 202


@pytest.mark.parametrize("path", ["/v1/votes", "/v1/vote", "/v1/events"])
def test_vote_has_three_doors(server: Server, path: str) -> None:
    assert post(server, path, vote_on("voted by door", HASH_1, reason=path)).status == 202


@pytest.mark.parametrize("event", FULL_EVENTS[2:], ids=kind_of)
def test_every_other_kind_is_kept_through_the_common_door(server: Server, event: object) -> None:
    body = encode_envelope(signed(event))  # type: ignore[arg-type]
    first, second = post(server, "/v1/events?wait=5s", body), post(server, "/v1/events", body)
    assert (first.status, first.json()["status"]) == (201, "applied")
    assert second.json() == first.json() | {"status": "duplicate"}


def test_second_signer_is_accepted_at_a_new_position_and_joins_the_first(server: Server) -> None:
    first = post(server, "/v1/assertions?wait=5s", claim("signed by two", KEY_A)).json()
    second = post(server, "/v1/assertions?wait=5s", claim("signed by two", KEY_B)).json()
    both = post(server, "/v1/assertions?wait=5s", claim("signed by two", KEY_A, KEY_B)).json()
    assert (second["hash"], second["status"]) == (first["hash"], "applied")
    assert second["seq"] > first["seq"]
    assert (both["status"], both["seq"]) == ("duplicate", first["seq"])
    stored = call(server.url, "GET", f"/v1/assertions/{first['hash']}").json()
    assert {one["agent"] for one in stored["signatures"]} == {KEY_A.agent_hex, KEY_B.agent_hex}
    assert stored["seq"] == first["seq"]


def test_one_bad_signature_of_two_refuses_both(server: Server) -> None:
    before = log_seq(server.url)
    members = json.loads(claim("half signed", KEY_A, KEY_B))
    members["signatures"][1]["signature"] = "0" * 128
    reply = post(server, "/v1/assertions", json.dumps(members).encode())
    assert reply.json()["errors"][0]["pointer"] == "/signatures/1/signature"
    assert log_seq(server.url) == before


def test_same_envelope_from_many_at_once_is_accepted_once_and_takes_one_position(server: Server) -> None:
    body = claim("from many at once")
    before = log_seq(server.url)
    together = Barrier(16)

    def poster(_: int) -> Reply:
        together.wait()
        return post(server, "/v1/assertions", body)

    with ThreadPoolExecutor(16) as threads:
        replies = list(threads.map(poster, range(16)))
    assert sorted(reply.status for reply in replies) == [200] * 15 + [202]
    assert {reply.json()["seq"] for reply in replies} == {before + 1}
    assert log_seq(server.url) == before + 1


def test_every_hash_acknowledged_to_many_posters_is_readable_at_its_position(server: Server) -> None:
    together = Barrier(POSTERS)

    def poster(number: int) -> list[dict[str, object]]:
        connection = connect(server.url)
        together.wait()
        receipts = []
        for turn in range(8):
            body = claim(f"poster {number}", timestamp=turn)
            reply = exchange(connection, "POST", "/v1/assertions", body)
            assert reply.status == 202
            receipts.append(reply.json())
        for receipt in receipts:
            path = f"/v1/assertions/{receipt['hash']}?min_seq={receipt['seq']}&wait=10s"
            assert exchange(connection, "GET", path).json()["seq"] == receipt["seq"]
        connection.close()
        return receipts

    with ThreadPoolExecutor(POSTERS) as threads:
        receipts = [receipt for each in threads.map(poster, range(POSTERS)) for receipt in each]
    assert len({receipt["seq"] for receipt in receipts}) == len({receipt["hash"] for receipt in receipts})
    assert len(receipts) == POSTERS * 8
