"""Constraints: what a context must use and what is forbidden in it."""

from typing import Any

from episteme.lenses import CONSTRAINT_PREDICATES, LENSES, Candidate, Comparison, Finding, newest_stages
from tests.lenses.claims import claim, find
from tests.support.events import NOW_MS


def must(value: Any, *agents: str, **parts: Any) -> Candidate:
    return claim(value, *agents, predicate="must_use", **parts)


def forbidden(value: Any, *agents: str, **parts: Any) -> Candidate:
    return claim(value, *agents, predicate="forbidden", **parts)


def listed(found: Finding) -> list[tuple[str, object, bool, str]]:
    return [(one.kind, one.value.value, one.holds, one.reason) for one in found.constraints]


def test_it_reads_two_predicates_of_a_context_and_no_other() -> None:
    assert CONSTRAINT_PREDICATES == ("must_use", "forbidden")
    assert [lens.name for lens in LENSES.values() if not lens.takes_predicate] == ["constraints"]
    found = find("constraints", [claim("argon2", "ana"), must("argon2", "ben", seq=1)])
    assert (listed(found), found.resolution.candidates_count) == (
        [("must_use", "argon2", True, "unopposed")],
        1,
    )


def test_what_nobody_opposes_holds_and_nothing_is_in_conflict() -> None:
    claims = [forbidden("md5", "ana"), must("tls", "ben", seq=1), must("argon2", "ana", "ben", seq=2)]
    found = find("constraints", claims)
    assert listed(found) == [
        ("must_use", "argon2", True, "unopposed"),
        ("must_use", "tls", True, "unopposed"),
        ("forbidden", "md5", True, "unopposed"),
    ]
    resolution = found.resolution
    assert (resolution.winner, resolution.groups, resolution.margin, resolution.candidates_count) == (None, (), None, 3)
    assert (resolution.status, resolution.conflict, resolution.confidence) == ("agreed", 0.0, 0.0)


def test_many_things_can_be_required_by_one_agent_at_once() -> None:
    claims = [must(value, "ana", seq=seq, at=NOW_MS + seq) for seq, value in enumerate(["tls", "argon2", "sbom"])]
    found = find("constraints", claims)
    assert all(one.holds and one.support == 1 for one in found.constraints)
    assert [one.weight_micros for one in found.constraints] == [500_000] * 3  # confidence 1 times trust 0.5


def test_a_value_claimed_under_both_holds_under_the_better_tier() -> None:
    claims = [
        must("telnet", *"abcdefgh", tier="anecdotal"),
        forbidden("telnet", "ana", tier="expert", confidence="0.1", seq=1),
    ]
    found = find("constraints", claims)
    assert listed(found) == [
        ("must_use", "telnet", False, "worse-tier"),
        ("forbidden", "telnet", True, "better-tier"),
    ]
    assert (found.resolution.status, found.resolution.conflict) == ("agreed", 0.0)
    assert found.weights == {claims[0].digest: 0.0, claims[1].digest: 1.0}


def test_within_one_tier_the_higher_sum_of_confidence_times_trust_holds() -> None:
    claims = [
        must("telnet", "ana", "ben", confidence="0.5", trust={"ana": "0.2", "ben": "0.2"}),
        forbidden("telnet", "cho", confidence="0.5", trust={"cho": "0.9"}, seq=1),
    ]
    found = find("constraints", claims)
    assert listed(found) == [
        ("must_use", "telnet", False, "less-weight"),
        ("forbidden", "telnet", True, "more-weight"),
    ]
    assert [(one.weight_micros, one.support) for one in found.constraints] == [(200_000, 2), (450_000, 1)]
    assert (found.resolution.status, found.resolution.conflict) == ("contested", 0.890492)


def test_two_equal_opposites_are_contested_and_the_ties_decide() -> None:
    claims = [must("telnet", "ana"), forbidden("telnet", "ben", at=NOW_MS + 1, seq=1)]
    found = find("constraints", claims)
    assert listed(found) == [
        ("must_use", "telnet", False, "tie-break"),
        ("forbidden", "telnet", True, "tie-break"),
    ]
    assert (found.resolution.status, found.resolution.conflict) == ("contested", 1.0)


def test_the_value_with_the_closest_sides_gives_the_conflict() -> None:
    settled = [must("telnet", "ana", tier="expert"), forbidden("telnet", "ben", tier="clinical", seq=1)]
    open_ones = [must("tls", "ana", seq=2), forbidden("tls", "ben", seq=3)]
    assert find("constraints", settled).resolution.conflict == 0.0
    minor = [must("ssh", "ana", tier="expert", seq=4), forbidden("ssh", "ben", tier="community", seq=5)]
    found = find("constraints", [*settled, *open_ones, *minor]).resolution
    assert (found.conflict, found.status) == (1.0, "contested")


def test_an_agent_who_changes_sides_stands_on_the_later_one() -> None:
    claims = [must("telnet", "ana"), forbidden("telnet", "ana", at=NOW_MS + 1, seq=1)]
    found = find("constraints", claims)
    assert listed(found) == [
        ("must_use", "telnet", False, "less-weight"),
        ("forbidden", "telnet", True, "more-weight"),
    ]
    assert [one.support for one in found.constraints] == [0, 1]


def test_what_holds_comes_before_what_does_not_and_authority_orders_each() -> None:
    claims = [
        must("rumour", "ana", tier="anecdotal"),
        must("overruled", "ana", tier="clinical", seq=1),
        must("weak", "ana", tier="expert", confidence="0.2", seq=2),
        must("strong", "ana", tier="expert", confidence="0.3", seq=3),
        forbidden("overruled", "ben", tier="regulatory", seq=4),
    ]
    found = find("constraints", claims)
    assert [(one.kind, one.value.value) for one in found.constraints] == [
        ("must_use", "strong"),
        ("must_use", "weak"),
        ("must_use", "rumour"),
        ("must_use", "overruled"),
        ("forbidden", "overruled"),
    ]
    assert [one.tier for one in found.constraints] == [3, 3, 5, 1, 0]


def test_each_constraint_names_its_claims_and_the_best_of_them() -> None:
    claims = [
        must("tls", "ben", seq=7, tier="community"),
        must("tls", "ana", seq=3, tier="expert"),
        must(" tls ", "cho", seq=5, tier="expert", confidence="0.2"),
    ]
    (one,) = find("constraints", claims).constraints
    assert (one.best, one.tier, one.support) == (claims[1].digest, 3, 3)
    assert one.digests == (claims[1].digest, claims[2].digest, claims[0].digest)


def test_a_claim_of_many_values_constrains_each_of_them() -> None:
    comparison = Comparison(many=True, separator=";")
    claims = [must("tls; argon2", "ana", comparison=comparison), forbidden("md5", "ben", comparison=comparison, seq=1)]
    found = find("constraints", claims, comparison)
    assert listed(found) == [
        ("must_use", "argon2", True, "unopposed"),
        ("must_use", "tls", True, "unopposed"),
        ("forbidden", "md5", True, "unopposed"),
    ]


def test_a_prohibition_is_no_later_stage_of_a_requirement() -> None:
    required = must("telnet", "ana")
    banned = forbidden("telnet", "ben", follows=required, at=NOW_MS + 1, seq=1)
    assert newest_stages([required, banned]) == [required, banned]
