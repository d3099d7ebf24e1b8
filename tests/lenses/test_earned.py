"""Trust and authority: who has earned a say, and which tier decides."""

from decimal import Decimal

import pytest

from episteme.lenses import Comparison
from tests.lenses.claims import claim, find, resolve, shares_of, values_of
from tests.support.events import NOW_MS

# Trust


def test_trust_sums_confidence_times_trust_over_the_supporters() -> None:
    claims = [
        claim("yes", "ana", confidence="0.8", trust={"ana": "0.9"}),
        claim("no", "ben", confidence="0.5", trust={"ben": "0.4"}, seq=1),
        claim("no", "cho", confidence="1", trust={"cho": "0.3"}, seq=2),
    ]
    found = resolve("trust", claims)
    assert (values_of(found), shares_of(found)) == (["yes", "no"], [0.590164, 0.409836])  # 0.72 to 0.2 + 0.3
    assert (found.confidence, found.margin, found.status) == (0.590164, 0.180328, "contested")


def test_one_trusted_agent_outweighs_several_distrusted_ones() -> None:
    crowd = [claim("yes", f"a{n}", seq=n, trust={f"a{n}": "0.1"}) for n in range(8)]
    found = resolve("trust", [*crowd, claim("no", "ben", seq=9, trust={"ben": "0.9"})])
    assert values_of(found) == ["no", "yes"]
    assert [row.support for row in found.groups] == [1, 8]


def test_an_agent_brings_its_most_confident_claim_of_the_value_once() -> None:
    own = [claim("yes", "ana", seq=n, at=NOW_MS + n, confidence=f"0.{n}") for n in (3, 8, 5)]
    found = find("trust", [*own, claim("no", "ben", confidence="0.8", seq=9)])
    assert shares_of(found.resolution) == [0.5, 0.5]
    assert found.weights == {own[0].digest: 0.0, own[1].digest: 0.5, own[2].digest: 0.0, digest_of(found, "no"): 0.5}


def test_of_equally_confident_claims_the_best_by_the_ties_is_what_an_agent_brings() -> None:
    later = claim("yes", "ana", seq=1, at=NOW_MS + 1)
    found = find("trust", [claim("yes", "ana"), claim("yes", "ana", seq=2, tier="expert", at=NOW_MS + 2), later])
    assert {digest: weight for digest, weight in found.weights.items() if weight} == {later.digest: 1.0}


def digest_of(found: object, value: str) -> bytes:
    return next(row.hashes[0] for row in found.resolution.groups if row.value.value == value)


def test_a_value_that_its_agent_has_left_weighs_nothing_under_trust() -> None:
    claims = [claim("old", "ana", confidence="1"), claim("new", "ana", seq=1, at=NOW_MS + 1, confidence="0.1")]
    found = resolve("trust", claims)
    assert [(row.value.value, row.support, row.share) for row in found.groups] == [("new", 1, 1.0), ("old", 0, 0.0)]


def test_the_claim_that_brings_most_represents_its_value_under_trust() -> None:
    claims = [
        claim("yes", "ana", tier="regulatory", confidence="0.4"),
        claim("yes", "ben", tier="anecdotal", confidence="0.9", seq=1),
    ]
    assert resolve("trust", claims).winner == claims[1].digest


@pytest.mark.parametrize("lens", ["trust", "authority"])
def test_each_co_signer_brings_its_own_trust(lens: str) -> None:
    both = claim("yes", "ana", "ben", trust={"ana": "0.2", "ben": "0.3"})
    found = resolve(lens, [both, claim("no", "cho", seq=1)])
    assert shares_of(found) == [0.5, 0.5]


@pytest.mark.parametrize("lens", ["trust", "authority"])
def test_without_any_trust_all_share_equally(lens: str) -> None:
    claims = [claim(value, value, trust={value: "0"}, seq=seq) for seq, value in enumerate(["a", "b", "c"])]
    found = resolve(lens, claims)
    assert (shares_of(found), found.conflict, found.status) == ([0.333333] * 3, 1.0, "contested")
    assert (found.confidence, found.margin) == (0.333333, 0.0)


# Authority


def test_authority_asks_the_best_tier_alone() -> None:
    claims = [
        claim("yes", "ana", tier="clinical", confidence="0.1"),
        claim("no", "ben", "cho", "dan", tier="expert", confidence="1", seq=1),
    ]
    found = resolve("authority", claims)
    assert (values_of(found), shares_of(found), found.confidence) == (["yes", "no"], [1.0, 0.0], 1.0)
    assert (found.conflict, found.margin, found.status) == (0.0, 1.0, "agreed")
    assert [(row.support, row.best_tier) for row in found.groups] == [(1, 1), (3, 3)]


def test_within_the_best_tier_authority_weighs_as_trust_does() -> None:
    claims = [
        claim("yes", "ana", confidence="0.9", trust={"ana": "0.9"}),
        claim("no", "ben", confidence="0.6", trust={"ben": "0.5"}, seq=1),
    ]
    by_authority, by_trust = resolve("authority", claims), resolve("trust", claims)
    assert (by_authority.groups, by_authority.confidence) == (by_trust.groups, by_trust.confidence)
    assert (by_authority.margin, by_authority.conflict) == (by_trust.margin, by_trust.conflict)


def test_an_agent_counts_in_the_best_tier_by_its_latest_claim_there() -> None:
    clinical = claim("yes", "ana", tier="clinical")
    hearsay = claim("no", "ana", tier="anecdotal", seq=1, at=NOW_MS + 1)
    found = resolve("authority", [clinical, hearsay])
    assert (found.winner, shares_of(found)) == (clinical.digest, [1.0, 0.0])
    assert [row.support for row in found.groups] == [0, 1]  # whom it stands for in all


def test_a_value_of_the_best_tier_is_not_helped_by_its_claims_of_other_tiers() -> None:
    claims = [
        claim("yes", "ana", tier="clinical", confidence="0.5"),
        claim("no", "ben", tier="clinical", confidence="0.6", seq=1),
        *[claim("yes", f"a{n}", tier="anecdotal", seq=2 + n) for n in range(9)],
    ]
    found = resolve("authority", claims)
    assert (values_of(found), shares_of(found)) == (["no", "yes"], [0.545455, 0.454545])
    assert found.winner == claims[1].digest


def test_the_values_of_other_tiers_come_after_by_tier_then_weight() -> None:
    claims = [
        claim("hearsay", *"abcdefgh", tier="anecdotal"),
        claim("likely", "ben", tier="expert", confidence="0.4", seq=1),
        claim("likelier", "cho", tier="expert", confidence="0.5", seq=2),
        claim("sure", "dan", tier="clinical", confidence="0", seq=3),
    ]
    found = resolve("authority", claims)
    assert (values_of(found), shares_of(found)) == (["sure", "likelier", "likely", "hearsay"], [1.0, 0.0, 0.0, 0.0])
    assert (found.confidence, found.margin, found.status) == (1.0, 1.0, "agreed")


@pytest.mark.parametrize("lens", ["authority", "layered"])
def test_only_claims_of_the_best_tier_weigh_anything(lens: str) -> None:
    claims = [
        claim("yes", "ana", tier="clinical"),
        claim("yes", "ben", tier="expert", seq=1),
        claim("no", "cho", tier="expert", seq=2),
    ]
    assert list(find(lens, claims).weights.values()) == [1.0, 0.0, 0.0]


def test_only_one_value_in_all_is_unanimous_under_authority() -> None:
    claims = [claim("yes", "ana", tier="clinical"), claim("yes", "ben", tier="anecdotal", seq=1)]
    assert resolve("authority", claims).status == "unanimous"
    assert resolve("authority", [*claims, claim("no", "cho", tier="anecdotal", seq=2)]).status == "agreed"


@pytest.mark.parametrize("lens", ["authority", "layered"])
def test_a_number_of_a_worse_tier_does_not_pull_numbers_of_the_best_apart(lens: str) -> None:
    """Within 1, 1.5 and 2.5 are one value; taken from 1 on, they would be two."""
    comparison = Comparison(tolerance="1")
    clinical = [claim(Decimal(text), text, tier="clinical", comparison=comparison) for text in ("1.5", "2.5")]
    hearsay = [claim(Decimal(1), "eve", tier="anecdotal", comparison=comparison, seq=1)]
    found = find(lens, [*clinical, *hearsay], comparison).resolution
    assert [(row.hashes_count, row.share) for row in found.groups] == [(2, 1.0), (1, 0.0)]


@pytest.mark.parametrize("lens", ["authority", "layered"])
def test_a_number_of_a_worse_tier_joins_the_value_that_takes_it_in(lens: str) -> None:
    comparison = Comparison(tolerance="1")
    clinical = claim(Decimal("1.5"), "ana", tier="clinical", comparison=comparison)
    hearsay = claim(Decimal("2.25"), "eve", tier="anecdotal", comparison=comparison, seq=1)
    (row,) = find(lens, [clinical, hearsay], comparison).resolution.groups
    assert (row.hashes_count, row.value.value, row.support) == (2, "1.5", 2)
