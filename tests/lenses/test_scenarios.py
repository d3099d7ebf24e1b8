"""What a user is promised about disagreement, in plain words."""

from decimal import Decimal

import pytest

from episteme.lenses import LENSES, Candidate
from episteme.query import Question, keep
from tests.lenses.claims import PREDICATE, SUBJECT, claim, resolve, shares_of, values_of
from tests.support.events import NOW_MS


def asked(claims: list[Candidate], **filters: tuple[str, ...]) -> list[object]:
    """The values that a question is left with, sorted."""
    question = Question(subject=SUBJECT, predicate=PREDICATE, **filters)
    return sorted(candidate.event.object.value for candidate in keep(claims, question))


@pytest.mark.parametrize("lens", sorted(LENSES))
@pytest.mark.parametrize("confidence", ["0.000001", "0.5", "0.9", "1"])
def test_two_opposite_claims_at_equal_confidence_are_contested_with_conflict_one(lens: str, confidence: str) -> None:
    claims = [claim(True, "ana", confidence=confidence), claim(False, "ben", confidence=confidence, seq=1)]
    found = resolve(lens, claims)
    assert (found.conflict, found.status) == (1.0, "contested")


@pytest.mark.parametrize("lens", sorted(LENSES))
def test_fifty_equal_claims_are_unanimous(lens: str) -> None:
    found = resolve(lens, [claim("yes", f"agent {n}", seq=n) for n in range(50)])
    assert (found.status, found.conflict, found.groups[0].support) == ("unanimous", 0.0, 50)


def test_one_agent_claiming_a_hundred_times_counts_once() -> None:
    loud = [claim("yes", "ana", seq=n, at=NOW_MS + n) for n in range(100)]
    found = resolve("consensus", [*loud, claim("no", "ben", seq=200), claim("no", "cho", seq=201)])
    assert (values_of(found), shares_of(found)) == (["no", "yes"], [0.666667, 0.333333])
    assert [row.hashes_count for row in found.groups] == [2, 100]


def test_an_agent_who_changes_its_mind_moves_its_support() -> None:
    before = [claim("yes", "ana"), claim("yes", "ben", seq=1, confidence="0.9"), claim("no", "cho", seq=2)]
    assert values_of(resolve("consensus", before)) == ["yes", "no"]
    after = [*before, claim("no", "ana", seq=3, at=NOW_MS + 1)]
    found = resolve("consensus", after)
    assert (values_of(found), shares_of(found)) == (["no", "yes"], [0.666667, 0.333333])


def test_an_agent_who_changes_its_mind_back_returns() -> None:
    there_and_back = [claim(value, "ana", seq=n, at=NOW_MS + n) for n, value in enumerate(["yes", "no", "yes"])]
    found = resolve("consensus", there_and_back)
    assert [(row.value.value, row.support) for row in found.groups] == [("yes", 1), ("no", 0)]


def test_nobody_is_forgotten_when_a_value_loses() -> None:
    claims = [claim("yes", *map(str, range(99))), claim("no", "the one", seq=1)]
    found = resolve("consensus", claims)
    assert values_of(found) == ["yes", "no"]
    assert found.groups[1].hashes == (claims[1].digest,)


def test_different_spellings_of_a_number_do_not_disagree() -> None:
    spellings = ["96.70", "96.7", "967e-1", "0.967E2"]
    claims = [claim(Decimal(text), f"agent {n}", seq=n) for n, text in enumerate(spellings)]
    assert resolve("consensus", claims).status == "unanimous"


def test_rejected_and_deprecated_claims_are_left_out_unless_asked_for() -> None:
    stages = ("proposed", "under_review", "approved", "deprecated", "rejected")
    claims = [claim(stage, stage, seq=n, lifecycle=stage) for n, stage in enumerate(stages)]
    assert asked(claims) == ["approved", "proposed", "under_review"]
    assert asked(claims, lifecycle=("rejected",)) == ["rejected"]
    assert asked(claims, lifecycle=stages) == sorted(stages)


def test_a_claim_that_was_moved_to_rejected_is_gone_with_its_earlier_stages() -> None:
    proposed = claim("yes", "ana", lifecycle="proposed")
    rejected = claim("yes", "ben", seq=1, at=NOW_MS + 1, lifecycle="rejected", follows=proposed)
    claims = [proposed, rejected, claim("no", "cho", seq=2)]
    assert asked(claims) == ["no"]
    assert asked(claims, lifecycle=("proposed",)) == []
    assert asked(claims, lifecycle=("rejected",)) == ["yes"]


def test_an_agent_whose_latest_claim_was_rejected_stands_for_the_one_before() -> None:
    first = claim("yes", "ana")
    second = claim("no", "ana", seq=1, at=NOW_MS + 1, lifecycle="rejected")
    kept = keep([first, second], Question(subject=SUBJECT, predicate=PREDICATE))
    assert [(row.value.value, row.support) for row in resolve("consensus", kept).groups] == [("yes", 1)]


def test_a_fork_does_not_replace_what_it_was_forked_from() -> None:
    parent = claim("yes", "ana")
    fork = claim("no", "ben", seq=1, at=NOW_MS + 1, follows=parent)
    assert asked([parent, fork]) == ["no", "yes"]


def test_a_tier_can_be_asked_for_alone() -> None:
    claims = [claim("hearsay", "ana", tier="anecdotal"), claim("trial", "ben", tier="clinical", seq=1)]
    assert asked(claims, source_class=("clinical", "regulatory")) == ["trial"]


def test_the_lenses_can_all_disagree() -> None:
    claims = [
        claim("popular", "ana", "ben", "cho", confidence="0.5"),
        claim("sure", "dan", confidence="1", seq=1),
        claim("new", "eve", confidence="0.5", at=NOW_MS + 1, seq=2),
        claim("voted for", "fay", confidence="0.5", votes=["1"], seq=3),
    ]
    winners = {lens: values_of(resolve(lens, claims))[0] for lens in LENSES}
    assert winners == {"recency": "new", "consensus": "popular", "confidence": "sure", "votes": "voted for"}
