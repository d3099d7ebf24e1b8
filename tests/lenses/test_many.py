"""Predicates of many values: the set that enough stand for."""

from decimal import Decimal
from typing import Any

import pytest

from episteme.lenses import LENSES, Candidate, Comparison, Finding, newest_stages
from tests.lenses.claims import GROUPING, WINNING, claim, find
from tests.support.events import NOW_MS

AUTHORS = Comparison(many=True, separator=";")
MINUTE_MS = 60_000


def authors(text: Any, *agents: str, **parts: Any) -> Candidate:
    return claim(text, *agents, comparison=parts.pop("comparison", AUTHORS), **parts)


def asked(lens: str, claims: list[Candidate], comparison: Comparison = AUTHORS, **params: str) -> Finding:
    return find(lens, claims, comparison, **params)


def passed(found: Finding) -> dict[object, float]:
    assert [row.value for row in found.resolution.groups] == list(found.values)
    return {row.value.value: row.share for row in found.resolution.groups}


# What a claim says


def test_text_is_taken_apart_at_the_separator_and_parts_are_trimmed() -> None:
    found = asked("consensus", [authors(" Cy ;Ann;; Bob;Ann ; ", "ana")])
    assert sorted(passed(found)) == ["Ann", "Bob", "Cy"]


def test_the_order_of_the_parts_does_not_make_another_set() -> None:
    claims = [authors("Ann; Bob", "ana"), authors("Bob;Ann", "ben", seq=1)]
    assert asked("consensus", claims).resolution.status == "unanimous"
    assert claims[0].key == claims[1].key


@pytest.mark.parametrize(
    ("one", "other"),
    [("Ann; Bob", "Ann"), ("a;b", "ab"), ("1:a;b", "1;a:b"), ("", "Ann"), ("12;3", "1;23"), (";", "Ann;Bob")],
)
def test_two_sets_are_two_values(one: str, other: str) -> None:
    assert authors(one).key != authors(other).key


def test_another_order_of_the_same_set_moves_a_claim_on() -> None:
    first = authors("Ann; Bob", "ana", lifecycle="proposed")
    second = authors("Bob;Ann", "ana", seq=1, follows=first)
    assert [one.digest for one in newest_stages([first, second])] == [second.digest]


def test_without_a_separator_a_text_is_one_value() -> None:
    comparison = Comparison(many=True)
    claims = [authors("Ann; Bob", "ana", comparison=comparison), authors("Cy", "ana", seq=1, comparison=comparison)]
    assert passed(asked("consensus", claims, comparison)) == {"Ann; Bob": 1.0, "Cy": 1.0}


def test_what_is_not_text_is_one_value() -> None:
    claims = [authors(Decimal("1.50"), "ana"), authors(True, "ana", seq=1), authors("Ann", "ana", seq=2)]
    assert passed(asked("consensus", claims)) == {"1.50": 1.0, True: 1.0, "Ann": 1.0}


def test_numbers_of_a_set_are_one_value_within_the_tolerance() -> None:
    comparison = Comparison(many=True, tolerance="0.1")
    claims = [authors(Decimal(text), text, seq=n, comparison=comparison) for n, text in enumerate(["1", "1.1", "7"])]
    found = asked("consensus", claims, comparison)
    assert list(passed(found).values()) == [0.666667]
    assert found.resolution.groups[0].hashes_count == 2


# Who stands for it


def test_an_agent_stands_for_all_that_it_says_anywhere() -> None:
    claims = [authors("Ann", "ana"), authors("Bob", "ana", seq=1, at=NOW_MS + 1), authors("Ann; Bob", "ben", seq=2)]
    found = asked("consensus", claims)
    assert passed(found) == {"Ann": 1.0, "Bob": 1.0}
    assert (found.resolution.status, found.resolution.conflict) == ("unanimous", 0.0)


def test_a_value_passes_from_half_of_the_agents_on() -> None:
    claims = [
        authors("Ann; Bob", "ana"),
        authors("Ann; Cy", "ben", seq=1),
        authors("Ann; Bob; Dee", "cho", seq=2),
        authors("Ann", "dan", seq=3),
    ]
    found = asked("consensus", claims)
    assert passed(found) == {"Ann": 1.0, "Bob": 0.5}
    resolution = found.resolution
    assert (resolution.confidence, resolution.margin, resolution.candidates_count) == (0.5, 0.25, 4)
    assert (resolution.conflict, resolution.status) == (1.0, "contested")  # four sets, one agent each
    ann = resolution.groups[0]
    assert (ann.support, ann.hashes_count, len(ann.hashes)) == (4, 4, 4)


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [("0.25", ["Ann", "Bob", "Cy"]), ("0.5", ["Ann", "Bob"]), ("0.500001", ["Ann"]), ("1", ["Ann"])],
)
def test_the_threshold_can_be_asked_for(threshold: str, expected: list[str]) -> None:
    claims = [authors("Ann", "a"), authors("Ann", "b"), authors("Ann;Bob", "c"), authors("Ann;Bob;Cy", "d")]
    found = asked("consensus", claims, threshold=threshold)
    assert sorted(passed(found)) == expected


def test_if_all_pass_there_is_no_margin() -> None:
    found = asked("consensus", [authors("Ann;Bob", "ana"), authors("Ann", "ben", seq=1)])
    assert (found.resolution.margin, found.resolution.confidence) == (None, 0.5)


def test_if_none_passes_there_is_no_winner_but_the_disagreement_is_told() -> None:
    claims = [authors(value, value, seq=seq) for seq, value in enumerate(["Ann", "Bob", "Cy"])]
    found = asked("consensus", claims)
    resolution = found.resolution
    assert (resolution.winner, resolution.groups, found.values, resolution.margin) == (None, (), (), None)
    assert (resolution.confidence, resolution.conflict, resolution.status) == (0.0, 1.0, "contested")
    assert resolution.candidates_count == 3


def test_all_who_say_that_there_is_none_are_unanimous_without_a_winner() -> None:
    found = asked("consensus", [authors("", "ana"), authors(" ; ", "ben", seq=1)])
    assert (found.resolution.status, found.resolution.winner, found.values) == ("unanimous", None, ())


def test_values_of_one_share_come_by_the_ties_of_their_claims_then_by_themselves() -> None:
    claims = [authors("Zoe", "ana", tier="regulatory"), authors("Bob;Ann", "ana", seq=1)]
    assert list(passed(asked("consensus", claims))) == ["Zoe", "Ann", "Bob"]


def test_the_claim_that_says_most_of_what_passed_and_least_besides_represents_the_set() -> None:
    claims = [
        authors("Ann; Bob; Zoe", "ana", tier="regulatory"),
        authors("Ann; Bob", "ben", tier="anecdotal", seq=1),
        authors("Ann", "cho", tier="regulatory", seq=2),
        authors("Bob", "cho", tier="regulatory", seq=3),
    ]
    found = asked("consensus", claims)
    assert sorted(passed(found)) == ["Ann", "Bob"]
    assert found.resolution.winner == claims[1].digest


# Each lens


def test_recency_takes_the_set_of_the_latest_claim_with_the_shares_that_it_has() -> None:
    claims = [
        authors("Ann; Bob", "ana"),
        authors("Ann; Bob", "ben", seq=1),
        authors("Cy; Ann", "cho", seq=2, at=NOW_MS + 2 * MINUTE_MS),
    ]
    found = asked("recency", claims)
    assert passed(found) == {"Ann": 1.0, "Cy": 0.333333}
    resolution = found.resolution
    assert (resolution.winner, resolution.confidence, resolution.margin) == (claims[2].digest, 0.6, 2 * MINUTE_MS)
    assert resolution.status == "contested"


def test_recency_spells_the_set_as_the_latest_claim_does() -> None:
    claims = [
        authors(Decimal("1.50"), "ana", tier="regulatory"),
        authors(Decimal("1.5"), "ben", tier="anecdotal", seq=1, at=NOW_MS + 1),
    ]
    assert passed(asked("recency", claims)) == {"1.5": 1.0}
    assert passed(asked("consensus", claims)) == {"1.50": 1.0}


def test_recency_is_certain_of_the_only_set() -> None:
    claims = [authors("Ann; Bob", "ana"), authors("Bob;Ann", "ben", seq=1, at=NOW_MS + 1)]
    resolution = asked("recency", claims).resolution
    assert (resolution.confidence, resolution.margin, resolution.status) == (1.0, None, "unanimous")


def test_confidence_counts_each_claim_by_its_confidence() -> None:
    claims = [authors("Ann", "ana", confidence="0.9"), authors("Ann;Bob", "ben", confidence="0.3", seq=1)]
    found = asked("confidence", claims, threshold="0.25")
    assert passed(found) == {"Ann": 1.0, "Bob": 0.25}
    assert passed(asked("confidence", claims)) == {"Ann": 1.0}


def test_votes_count_each_claim_by_its_positive_votes() -> None:
    claims = [authors("Ann", *"abc"), authors("Bob", "ben", votes=["1", "-1"], seq=1)]
    assert passed(asked("votes", claims)) == {"Bob": 1.0}


def test_without_votes_votes_decide_as_consensus_does_of_many_too() -> None:
    claims = [authors("Ann", *"abc"), authors("Bob", "ben", seq=1)]
    by_votes, by_support = asked("votes", claims), asked("consensus", claims)
    assert (by_votes.values, by_votes.resolution.groups) == (by_support.values, by_support.resolution.groups)


def test_trust_counts_an_agent_by_its_best_confidence_times_its_trust() -> None:
    claims = [
        authors("Ann", "ana", confidence="0.2", trust={"ana": "0.9"}),
        authors("Bob", "ana", confidence="1", trust={"ana": "0.9"}, seq=1),
        authors("Ann", "ben", confidence="1", trust={"ben": "0.1"}, seq=2),
    ]
    assert passed(asked("trust", claims)) == {"Ann": 1.0, "Bob": 0.9}


@pytest.mark.parametrize("lens", ["authority", "layered"])
def test_only_the_best_tier_has_a_say(lens: str) -> None:
    claims = [
        authors("Ann; Bob", "ana", tier="clinical"),
        authors("Ann; Cy", "ben", tier="clinical", seq=1),
        *[authors("Dee", f"a{n}", tier="anecdotal", seq=2 + n) for n in range(9)],
    ]
    found = asked(lens, claims, threshold="0.6")
    assert passed(found) == {"Ann": 1.0}
    assert (found.resolution.margin, found.resolution.conflict) == (0.5, 1.0)
    assert found.resolution.candidates_count == 11


@pytest.mark.parametrize("lens", ["authority", "layered"])
def test_a_claim_of_the_best_tier_represents_what_that_tier_decides(lens: str) -> None:
    claims = [
        authors("Ann; Bob", "ana", tier="clinical"),
        authors("Ann; Cy", "ben", tier="clinical", seq=1),
        authors("Ann", "cho", tier="expert", seq=2),
    ]
    found = asked(lens, claims, threshold="0.6")
    assert passed(found) == {"Ann": 1.0}
    assert found.resolution.winner == min(one.digest for one in claims[:2])


@pytest.mark.parametrize("lens", ["authority", "layered"])
def test_one_set_in_the_best_tier_is_agreed_if_another_tier_says_otherwise(lens: str) -> None:
    clinical = authors("Ann; Bob", "ana", tier="clinical")
    same = authors("Bob; Ann", "ben", tier="anecdotal", seq=1)
    assert asked(lens, [clinical, same]).resolution.status == "unanimous"
    less = authors("Ann", "ben", tier="anecdotal", seq=1)
    assert asked(lens, [clinical, less]).resolution.status == "agreed"


def test_each_layer_has_its_own_set() -> None:
    claims = [authors("Ann; Bob", "ana", tier="clinical"), authors("Cy", "ben", tier="expert", seq=1)]
    layers = asked("layered", claims).layers
    assert [(layer.tier, sorted(value.value for value in layer.values)) for layer in layers] == [
        (1, ["Ann", "Bob"]),
        (3, ["Cy"]),
    ]


def test_skeptic_lists_every_value_whatever_its_share() -> None:
    claims = [authors("Ann; Bob", "ana", tier="clinical"), authors("Ann", *"bcd", tier="expert", seq=1)]
    found = asked("skeptic", claims)
    assert [(row.value.value, row.share) for row in found.resolution.groups] == [("Ann", 1.0), ("Bob", 0.25)]
    assert (found.values, found.resolution.winner, found.resolution.confidence) == ((), None, 0.0)
    assert [(row.value.value, row.support_by_tier) for row in found.chart] == [
        ("Ann", ((1, 1), (3, 3))),
        ("Bob", ((1, 1),)),
    ]


@pytest.mark.parametrize("lens", GROUPING)
def test_no_claims_have_no_values(lens: str) -> None:
    found = asked(lens, [])
    assert (found.values, found.resolution.status, found.resolution.winner) == ((), "none", None)


@pytest.mark.parametrize("lens", WINNING)
def test_two_opposite_sets_are_contested_with_conflict_one(lens: str) -> None:
    claims = [authors("Ann; Bob", "ana", confidence="0.5"), authors("Cy", "ben", confidence="0.5", seq=1)]
    resolution = asked(lens, claims).resolution
    assert (resolution.conflict, resolution.status) == (1.0, "contested")


@pytest.mark.parametrize("lens", WINNING)
def test_all_agreeing_on_the_same_three_are_unanimous(lens: str) -> None:
    claims = [authors("Ann; Bob; Cy", f"agent {n}", seq=n) for n in range(50)]
    found = asked(lens, claims)
    assert passed(found) == {"Ann": 1.0, "Bob": 1.0, "Cy": 1.0}
    assert (found.resolution.status, found.resolution.conflict) == ("unanimous", 0.0)


@pytest.mark.parametrize("lens", ["confidence", "trust", "authority"])
def test_if_nobody_weighs_anything_all_weigh_the_same(lens: str) -> None:
    claims = [authors("Ann;Bob", "ana", confidence="0"), authors("Ann", "ben", confidence="0", seq=1)]
    found = asked(lens, claims)
    assert passed(found) == {"Ann": 1.0, "Bob": 0.5}
    assert set(found.weights.values()) == {0.0}


def test_an_agent_that_repeats_itself_counts_once_and_its_weight_is_parted() -> None:
    loud = [authors("Ann", "ana", seq=n, at=NOW_MS + n) for n in range(4)]
    quiet = authors("Bob", "ben", seq=9)
    found = asked("consensus", [*loud, quiet])
    assert passed(found) == {"Ann": 0.5, "Bob": 0.5}
    assert found.weights == {**dict.fromkeys((one.digest for one in loud), 0.125), quiet.digest: 0.5}


def test_an_agent_that_signed_several_stages_of_a_claim_said_it_once() -> None:
    first = authors("Ann", "ana", lifecycle="proposed")
    moved = authors("Ann", "ana", seq=1, at=NOW_MS + 1, follows=first)
    other = authors("Bob", "ana", seq=2)
    found = asked("consensus", newest_stages([first, moved, other]))
    assert found.weights == {moved.digest: 0.5, other.digest: 0.5}


def test_a_value_lists_its_claims_in_log_order() -> None:
    claims = [authors("Ann", f"agent {n}", seq=n) for n in (3, 0, 2, 1)]
    (row,) = asked("consensus", claims).resolution.groups
    assert row.hashes == tuple(one.digest for one in sorted(claims, key=lambda one: one.seq))


def test_the_map_counts_an_agent_in_the_best_tier_in_which_it_says_a_value() -> None:
    claims = [
        authors("Ann", "ana", tier="expert"),
        authors("Ann; Bob", "ana", tier="clinical", seq=1),
        authors("Ann", "ana", tier="anecdotal", seq=2),
    ]
    chart = {row.value.value: row.support_by_tier for row in asked("skeptic", claims).chart}
    assert chart == {"Ann": ((1, 1),), "Bob": ((1, 1),)}


def test_every_lens_of_pairs_is_tried_here() -> None:
    assert set(GROUPING) == set(LENSES) - {"constraints"}
