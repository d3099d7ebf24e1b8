"""Tags: 304 for as long as nothing else would be said, on everything that is read of the state."""

import pytest

from tests.server.test_reads import get, write
from tests.support.envelopes import claim, vote_on
from tests.support.events import KEY_A, KEY_B
from tests.support.servers import Server

SAID = "predicate=causes_muscle_loss"


UNTOUCHED = ("/v1/subjects", "/v1/lenses", "/v1/epochs", "/v1/trust-packs", "/openapi.json")


def paths_about(subject: str, hash_hex: object) -> list[str]:
    """Every read that is about one subject, or about nothing that others change here."""
    return [
        f"/v1/query?subject={subject}&{SAID}",
        f"/v1/query?subject={subject}&{SAID}&explain=1&max_age=0",
        f"/v1/skeptic?subject={subject}&{SAID}",
        f"/v1/compare?subject={subject}&{SAID}",
        f"/v1/subjects/{subject}/history?{SAID}",
        f"/v1/assertions?subject={subject}",
        f"/v1/assertions/{hash_hex}",
        f"/v1/assertions/{hash_hex}/votes",
        f"/v1/assertions/{hash_hex}/lineage",
        f"/v1/events/{hash_hex}",
        f"/v1/subjects?prefix={subject}",
        f"/v1/subjects/{subject}",
        "/v1/lenses",
        "/v1/epochs",
        "/v1/trust-packs",
        "/openapi.json",
    ]


def test_tag_stays_while_only_the_position_moves_and_changes_with_what_is_said(server: Server) -> None:
    written = write(server, claim("tagged-reads", KEY_A))
    paths = paths_about("tagged-reads", written["hash"])
    first = {path: get(server, path) for path in paths}
    assert {path: reply.status for path, reply in first.items() if reply.status != 200} == {}
    write(server, claim("something else"))
    for path, reply in first.items():
        again = get(server, path, If_None_Match=reply.headers["etag"])
        assert (again.status, again.body) == (304, b""), path
        assert again.headers["etag"] == reply.headers["etag"]
        assert again.headers["cache-control"] == "no-cache"
        assert int(again.headers["episteme-applied"]) > int(reply.headers["episteme-applied"])
    write(server, claim("tagged-reads", KEY_B, confidence="0.9"))
    write(server, vote_on("tagged-reads", str(written["hash"])))
    write(server, claim("tagged-reads", KEY_B))
    said_anew = [path for path in paths if path.partition("?")[0] not in UNTOUCHED and not path.endswith("/lineage")]
    for path in said_anew:
        assert get(server, path, If_None_Match=first[path].headers["etag"]).status == 200, path


def test_audited_query_never_changes_and_may_be_kept(server: Server) -> None:
    write(server, claim("kept"))
    audit_id = get(server, f"/v1/query?subject=kept&{SAID}").json()["audit_id"]
    reply = get(server, f"/v1/audit/queries/{audit_id}")
    assert reply.headers["cache-control"] == "private, max-age=31536000, immutable"
    write(server, claim("kept", KEY_B))
    assert get(server, f"/v1/audit/queries/{audit_id}", If_None_Match=reply.headers["etag"]).status == 304


@pytest.mark.parametrize("path", ["/v1/status", "/livez", "/readyz"])
def test_how_the_server_is_is_never_kept(server: Server, path: str) -> None:
    reply = get(server, path)
    assert reply.headers["cache-control"] == "no-store"
    assert "etag" not in reply.headers


def test_two_answers_of_one_tag_differ_in_position_and_audit_alone(server: Server) -> None:
    write(server, claim("same"))
    path = f"/v1/query?subject=same&{SAID}"
    one = get(server, path)
    write(server, claim("not the same"))
    other = get(server, path)
    assert one.headers["etag"] == other.headers["etag"]
    apart = {name for name, value in one.json().items() if other.json()[name] != value}
    assert apart == {"seq", "audit_id"}
