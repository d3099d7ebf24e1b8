"""What a user is promised about disagreement, in plain words."""

from decimal import Decimal

import pytest

from episteme.lenses import PLAIN, Candidate, Comparison
from episteme.reading import Question
from episteme.reading.admit import Hidden, admit
from episteme.reading.gather import Pool
from stores import NO_RULINGS
from tests.lenses.claims import GROUPING, PREDICATE, SUBJECT, WINNING, claim, find, resolve, shares_of, values_of
from tests.support.events import NOW_MS


def asked(claims: list[Candidate], **filters: tuple[str, ...]) -> list[object]:
    """The values that a question is left with, sorted."""
    return sorted(candidate.claim.object.value for candidate in admitted(claims, **filters))


def admitted(claims: list[Candidate], **filters: tuple[str, ...]) -> list[Candidate]:
    """The claims that a question is left with, in a database that governance has not touched."""
    question = Question(subject=SUBJECT, predicate=PREDICATE, **filters)
    pool = Pool((SUBJECT,), PLAIN, tuple(claims), (), NO_RULINGS)
    return list(admit(pool, Hidden({}, {}), question).candidates)


@pytest.mark.parametrize("lens", GROUPING)
@pytest.mark.parametrize("confidence", ["0.000001", "0.5", "0.9", "1"])
def test_two_opposite_claims_at_equal_confidence_are_contested_with_conflict_one(lens: str, confidence: str) -> None:
    claims = [claim(True, "ana", confidence=confidence), claim(False, "ben", confidence=confidence, seq=1)]
    found = resolve(lens, claims)
    assert (found.conflict, found.status) == (1.0, "contested")


@pytest.mark.parametrize("lens", GROUPING)
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
    kept = admitted([first, second])
    assert [(row.value.value, row.support) for row in resolve("consensus", kept).groups] == [("yes", 1)]


def test_a_fork_does_not_replace_what_it_was_forked_from() -> None:
    parent = claim("yes", "ana")
    fork = claim("no", "ben", seq=1, at=NOW_MS + 1, follows=parent)
    assert asked([parent, fork]) == ["no", "yes"]


def test_a_tier_can_be_asked_for_alone() -> None:
    claims = [claim("hearsay", "ana", tier="anecdotal"), claim("trial", "ben", tier="clinical", seq=1)]
    assert asked(claims, source_class=("clinical", "regulatory")) == ["trial"]


def test_the_lenses_can_all_disagree() -> None:
    plain = {"confidence": "0.5", "tier": "expert"}
    claims = [
        claim("popular", "ana", "ben", "cho", trust=dict.fromkeys(("ana", "ben", "cho"), "0.1"), **plain),
        claim("sure", "dan", confidence="1", tier="expert", trust={"dan": "0.1"}, seq=1),
        claim("new", "eve", at=NOW_MS + 1, seq=2, trust={"eve": "0.1"}, **plain),
        claim("voted for", "fay", votes=["1"], seq=3, trust={"fay": "0.1"}, **plain),
        claim("trusted", "gus", trust={"gus": "0.9"}, seq=4, **plain),
        claim("weighty", "hal", confidence="0.4", tier="clinical", trust={"hal": "0.2"}, seq=5),
        claim("usual", "ivy", "jon", confidence="0.1", tier="clinical", trust={"ivy": "0", "jon": "0"}, seq=6),
    ]
    winners = {lens: values_of(resolve(lens, claims))[0] for lens in WINNING}
    assert winners == {
        "recency": "new",
        "consensus": "popular",
        "confidence": "sure",
        "votes": "voted for",
        "trust": "trusted",
        "authority": "weighty",
        "layered": "usual",
    }


def test_a_hundred_anecdotes_do_not_move_authority() -> None:
    trial = claim(True, "ana", tier="clinical", confidence="0.6")
    crowd = [claim(False, f"agent {n}", tier="anecdotal", seq=1 + n, trust={f"agent {n}": "1"}) for n in range(100)]
    found = resolve("authority", [trial, *crowd])
    assert (found.winner, found.confidence, found.conflict, found.status) == (trial.digest, 1.0, 0.0, "agreed")
    assert values_of(resolve("consensus", [trial, *crowd]))[0] is False


def test_a_hundred_anecdotal_values_do_not_hide_that_two_trials_contradict_each_other() -> None:
    trials = [claim(True, "ana", tier="clinical"), claim(False, "ben", tier="clinical", seq=1)]
    crowd = [claim(f"story {n}", f"agent {n}", tier="anecdotal", seq=2 + n) for n in range(100)]
    for lens in ("authority", "layered"):
        found = resolve(lens, [*trials, *crowd])
        assert (found.conflict, found.status, len(found.groups)) == (1.0, "contested", 102)
    assert resolve("consensus", [*trials, *crowd]).groups[0].share < 0.01


def test_a_hundred_distrusted_agents_do_not_outweigh_three_trusted_ones() -> None:
    crowd = [claim("no", f"agent {n}", seq=n, trust={f"agent {n}": "0.02"}) for n in range(100)]
    trusted = [claim("yes", name, seq=200, trust={name: "0.95"}) for name in ("ana", "ben", "cho")]
    assert values_of(resolve("trust", [*crowd, *trusted])) == ["yes", "no"]


def test_measurements_within_the_tolerance_do_not_disagree() -> None:
    comparison = Comparison(tolerance="0.5")
    claims = [
        claim(Decimal(text), f"agent {text}", comparison=comparison, seq=seq)
        for seq, text in enumerate(["96.5", "96.70", "97", "101"])
    ]
    found = find("consensus", claims, comparison).resolution
    assert [(row.support, row.share) for row in found.groups] == [(3, 0.75), (1, 0.25)]


def test_an_author_whom_one_of_three_forgot_is_still_an_author() -> None:
    comparison = Comparison(many=True, separator=";")
    claims = [
        claim(text, f"agent {seq}", comparison=comparison, seq=seq)
        for seq, text in enumerate(["Ann; Bob; Cy", "Ann; Bob", "Ann; Bob; Zed"])
    ]
    found = find("consensus", claims, comparison)
    assert [value.value for value in found.values] == ["Ann", "Bob"]
    anyone = find("consensus", claims, comparison, threshold="0.3").values
    assert sorted(value.value for value in anyone) == ["Ann", "Bob", "Cy", "Zed"]


def test_what_an_expert_forbids_no_crowd_can_require() -> None:
    ban = claim("md5", "ana", tier="expert", predicate="forbidden")
    crowd = [claim("md5", f"agent {n}", tier="anecdotal", predicate="must_use", seq=1 + n) for n in range(100)]
    found = find("constraints", [ban, *crowd])
    assert [(one.kind, one.holds) for one in found.constraints] == [("must_use", False), ("forbidden", True)]
