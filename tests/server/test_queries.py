"""Questions over HTTP: every parameter, tags that outlive a position, comparisons and histories."""

import pytest

from episteme.lenses import LENSES
from model import TextValue
from tests.server.test_reads import get, write
from tests.server.test_refusals import check_problem
from tests.support.envelopes import claim
from tests.support.events import KEY_A, KEY_B, NOW_MS
from tests.support.servers import Server

SAID = "predicate=causes_muscle_loss"


def two_sides(server: Server, subject: str) -> int:
    """Two agents disagree; the position of the second."""
    write(server, claim(subject, KEY_A, object=TextValue("yes"), timestamp=NOW_MS))
    receipt = write(server, claim(subject, KEY_B, object=TextValue("no"), timestamp=NOW_MS + 1))
    seq = receipt["seq"]
    assert isinstance(seq, int)
    return seq


@pytest.mark.parametrize("lens", sorted(set(LENSES) - {"constraints"}))
def test_every_lens_answers(server: Server, lens: str) -> None:
    two_sides(server, f"lens {lens}")
    answer = get(server, f"/v1/query?subject=lens+{lens}&{SAID}&lens={lens}").json()
    assert answer["lens"]["name"] == lens
    assert answer["candidates_count"] == 2
    assert (answer["winner"] is None) == (lens == "skeptic")


@pytest.mark.parametrize("lens", ["skeptic", "layered"])
def test_a_lens_with_a_path_of_its_own_answers_as_query_does(server: Server, lens: str) -> None:
    two_sides(server, f"path {lens}")
    at = f"subject=path+{lens}&{SAID}"
    one, other = get(server, f"/v1/{lens}?{at}").json(), get(server, f"/v1/query?{at}&lens={lens}").json()
    assert one | {"audit_id": None} == other | {"audit_id": None}
    check_problem(get(server, f"/v1/{lens}?{at}&lens={lens}"), 400, "unknown-parameter", "lens")


def test_constraints_are_of_a_context(server: Server) -> None:
    write(server, claim("repository", KEY_A, predicate="must_use", object=TextValue("tabs")))
    write(server, claim("repository", KEY_B, predicate="forbidden", object=TextValue("goto"), narrative="it hurts"))
    answer = get(server, "/v1/constraints?subject=repository").json()
    told = [(one["kind"], one["value"]["value"], one["holds"], one["narrative"]) for one in answer["constraints"]]
    assert [row[:3] for row in told] == [("must_use", "tabs", True), ("forbidden", "goto", True)]
    assert told[1][3] == "it hurts"
    assert answer["predicate"] is None
    check_problem(get(server, "/v1/constraints?subject=repository&predicate=x"), 400, "unknown-parameter", "predicate")


def test_as_of_is_a_position_and_the_answer_says_which(server: Server) -> None:
    seq = two_sides(server, "as of")
    before = get(server, f"/v1/query?subject=as+of&{SAID}&lens=recency&as_of=seq:{seq - 1}").json()
    assert (before["winner"]["value"]["value"], before["seq"], before["as_of"]) == ("yes", seq - 1, f"seq:{seq - 1}")
    now = get(server, f"/v1/query?subject=as+of&{SAID}&lens=recency").json()
    assert (now["winner"]["value"]["value"], now["as_of"]) == ("no", None)


def test_as_of_beyond_is_a_problem_that_names_the_applied_position(server: Server) -> None:
    seq = two_sides(server, "beyond")
    reply = get(server, f"/v1/query?subject=beyond&{SAID}&as_of=seq:{seq + 1000}")
    check_problem(reply, 409, "as-of-beyond", "as_of")
    assert f"applied is seq {seq}" in reply.json()["detail"]


@pytest.mark.parametrize(
    ("parameters", "pointer"),
    [
        ("as_of=tomorrow", "as_of"),
        ("valid_at=then", "valid_at"),
        ("include=all", "include"),
        ("epoch=new", "epoch"),
        ("pack=mine", "pack"),
        ("decay=quick", "decay"),
        ("explain=maybe", "explain"),
        ("lens=recency&threshold=x", "threshold"),
        ("limit=0", "limit"),
    ],
)
def test_a_parameter_that_means_nothing_is_refused_by_name(server: Server, parameters: str, pointer: str) -> None:
    check_problem(get(server, f"/v1/query?subject=s&{SAID}&{parameters}"), 422, "invalid-parameter", pointer)


def test_a_pack_that_is_not_there_is_not_found(server: Server) -> None:
    check_problem(get(server, f"/v1/query?subject=s&{SAID}&pack={'f' * 64}"), 404, "not-found", None)


def test_a_tag_outlives_positions_that_change_nothing(server: Server) -> None:
    two_sides(server, "tagged")
    path = f"/v1/query?subject=tagged&{SAID}"
    tag = get(server, path).headers["etag"]
    write(server, claim("another subject"))
    reply = get(server, path, if_none_match=tag)
    assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", tag)
    assert "episteme-applied" in reply.headers
    for header in (tag.removeprefix("W/"), f'"other", {tag}', "*"):
        assert get(server, path, if_none_match=header).status == 304, header
    for header in ('"other"', tag.strip('W/"'), ""):
        assert get(server, path, if_none_match=header).status == 200, header
    write(server, claim("tagged", KEY_A, object=TextValue("maybe")))
    assert get(server, path, if_none_match=tag).status == 200


def test_an_explanation_comes_when_it_is_asked_for(server: Server) -> None:
    two_sides(server, "explained")
    assert "explain" not in get(server, f"/v1/query?subject=explained&{SAID}").json()
    told = get(server, f"/v1/query?subject=explained&{SAID}&explain=1").json()["explain"]
    assert told["why"].endswith("The winner is the first of 2 values, with a share of 0.5, ahead of the next by 0.")
    assert [one["weight"] for one in told["candidates"]] == [0.5, 0.5]


def test_lenses_are_compared(server: Server) -> None:
    two_sides(server, "compared")
    found = get(server, f"/v1/compare?subject=compared&{SAID}&lenses=recency,confidence").json()
    assert [answer["lens"]["name"] for answer in found["answers"]] == ["recency", "confidence"]
    assert len(found["levers"]) > 0
    for parameters in ("lenses=recency,recency", "lenses=constraints"):
        reply = get(server, f"/v1/compare?subject=compared&{SAID}&{parameters}")
        check_problem(reply, 422, "invalid-parameter", "lenses")
    check_problem(get(server, f"/v1/compare?subject=compared&{SAID}&lenses=loudest"), 422, "unknown-lens", "lens")


def test_a_history_tells_the_turns_of_an_answer(server: Server) -> None:
    seq = two_sides(server, "a/moved one")
    path = f"/v1/subjects/a%2Fmoved%20one/history?{SAID}&lens=recency"
    found = get(server, path).json()
    assert [(turn["seq"], turn["cause"], turn["value"]["value"]) for turn in found["turns"]] == [
        (seq - 1, "claim", "yes"),
        (seq, "claim", "no"),
    ]
    page = get(server, f"{path}&limit=1").json()
    assert (len(page["turns"]), page["next"]) == (1, seq - 1)
    assert get(server, f"{path}&after={page['next']}").json()["turns"] == found["turns"][1:]
    check_problem(get(server, f"{path}&as_of=seq:0"), 400, "unknown-parameter", "as_of")
