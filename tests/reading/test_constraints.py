"""What a context must use and what is forbidden in it, as the database answers it."""

from decimal import Decimal
from typing import Any

import pytest

from episteme.errors import TooManyCandidates
from episteme.reading import Moment
from episteme.reading.gather import Sight, gather
from model import ReferenceValue
from tests.reading.story import Story
from tests.support.events import NOW_MS

CONTEXT = "login"


def must(story: Story, value: Any, *by: str, **fields: Any) -> str:
    return story.claim(value, *by, subject=CONTEXT, predicate="must_use", **fields)


def forbid(story: Story, value: Any, *by: str, **fields: Any) -> str:
    return story.claim(value, *by, subject=CONTEXT, predicate="forbidden", **fields)


def listed(story: Story, **options: Any) -> list[tuple[str, object, bool, str]]:
    answer = story.ask(CONTEXT, None, lens="constraints", **options)
    return [(one.kind, one.value.value, one.holds, one.reason) for one in answer.constraints or []]


def test_a_text_of_many_values_constrains_each_of_them_by_its_own_predicate_s_rule() -> None:
    story = Story()
    story.predicate("must_use", cardinality="many", separator=";")
    must(story, "tls; argon2", "ana")
    forbid(story, "md5; sha1", "ben")
    forbid(story, "tls", "cho", tier="anecdotal")
    assert listed(story) == [
        ("must_use", "argon2", True, "unopposed"),
        ("must_use", "tls", True, "better-tier"),
        ("forbidden", "md5; sha1", True, "unopposed"),
        ("forbidden", "tls", False, "worse-tier"),
    ]
    story.predicate("forbidden", cardinality="many", separator="|")
    forbid(story, "telnet|ftp", "dan")
    kinds = {(kind, value) for kind, value, _, _ in listed(story)}
    assert {("forbidden", "telnet"), ("forbidden", "ftp"), ("forbidden", "md5; sha1")} < kinds
    assert len(listed(story, as_of="seq:1")) == 0
    assert listed(story, as_of="seq:2") == [
        ("must_use", "argon2", True, "unopposed"),
        ("must_use", "tls", True, "unopposed"),
    ]


@pytest.mark.parametrize("predicate", ["must_use", "forbidden"])
def test_numbers_within_a_tolerance_of_either_predicate_oppose_each_other(predicate: str) -> None:
    story = Story()
    story.predicate(predicate, tolerance="0.1")
    must(story, Decimal(2048), "ana")
    forbid(story, Decimal("2048.1"), "ben", tier="anecdotal")
    assert [reason for *_, reason in listed(story)] == ["better-tier", "worse-tier"]


def test_references_to_one_subject_by_two_names_oppose_each_other() -> None:
    story = Story()
    must(story, ReferenceValue("TLS 1.0"), "ana", tier="anecdotal")
    forbid(story, ReferenceValue("TLSv1"), "ben")
    assert [reason for *_, reason in listed(story)] == ["unopposed", "unopposed"]
    story.alias("TLSv1", "TLS 1.0")
    assert [reason for *_, reason in listed(story)] == ["worse-tier", "better-tier"]


def test_governance_hides_what_a_context_s_claims_say() -> None:
    story = Story()
    kept = must(story, "tls", "ana")
    must(story, "telnet", "mallory")
    story.revoke("mallory")
    assert listed(story) == [("must_use", "tls", True, "unopposed")]
    assert len(listed(story, include=["revoked"])) == 2
    assert len(listed(story, as_of=f"seq:{story.end - 1}")) == 2
    explained = story.ask(CONTEXT, None, lens="constraints", explain=True).explain
    assert explained is not None
    assert [one.hash for one in explained.candidates] == [kept]
    assert [one.reason for one in explained.left_out] == ["revoked"]


def test_a_limit_cuts_constraints_and_their_hashes_but_not_their_number() -> None:
    story = Story()
    for number in range(4):
        for agent in ("ana", "ben", "cho"):
            must(story, f"rule {number}", agent)
    forbid(story, "telnet", "ana")
    for limit, hashes in ((1, [1]), (4, [3, 1, 0, 0]), (5, [3, 2, 0, 0, 0]), (100, [3, 3, 3, 3, 1])):
        answer = story.ask(CONTEXT, None, lens="constraints", limit=limit)
        assert [len(one.hashes) for one in answer.constraints or []] == hashes
        assert (answer.constraints_count, answer.candidates_count) == (5, 13)
    assert story.ask().constraints_count is None


def test_a_context_takes_no_more_claims_than_a_pair() -> None:
    story = Story()
    must(story, "a", "ana")
    must(story, "b", "ana")
    forbid(story, "c", "ana")
    with story.folded().engine.snapshot() as reader:
        moment, predicates = Moment(None, 3, NOW_MS, NOW_MS), ("must_use", "forbidden")
        found = gather(reader, CONTEXT, predicates, Sight(moment=moment, count_max=3))
        assert [one.seq for one in found.candidates] == [1, 2, 3]
        with pytest.raises(TooManyCandidates):
            gather(reader, CONTEXT, predicates, Sight(moment=moment, count_max=2))
