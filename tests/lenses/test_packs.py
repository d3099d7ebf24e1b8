"""Trust packs: what a supporter weighs."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.lenses import LENSES, Candidate, Terms
from stores import MICROS
from tests.lenses.claims import candidates, claim, find, resolve, shares_of, values_of

SUPPORT = ("consensus", "votes", "skeptic", "layered", "recency")


@pytest.mark.parametrize("lens", SUPPORT)
def test_shares_are_of_the_supporters_weights_and_support_counts_agents(lens: str) -> None:
    claims = [
        claim("yes", "ana", "ben", pack={"ana": "0.2", "ben": "0.1"}),
        claim("no", "cho", pack={"cho": "0.7"}, seq=1),
    ]
    found = resolve(lens, claims)
    assert dict(zip(values_of(found), shares_of(found), strict=True)) == {"no": 0.7, "yes": 0.3}
    assert {row.value.value: row.support for row in found.groups} == {"yes": 2, "no": 1}


@pytest.mark.parametrize("lens", ["consensus", "votes", "layered"])
def test_the_heavier_value_wins_against_more_agents(lens: str) -> None:
    claims = [
        claim("yes", *"abcd", pack=dict.fromkeys("abcd", "0.1")),
        claim("no", "eve", pack={"eve": "0.5"}, seq=1),
    ]
    found = resolve(lens, claims)
    assert (values_of(found)[0], found.winner) == ("no", claims[1].digest)


@pytest.mark.parametrize("lens", ["trust", "authority"])
def test_a_pack_multiplies_what_trust_gives(lens: str) -> None:
    claims = [
        claim("yes", "ana", confidence="0.5", trust={"ana": "0.8"}, pack={"ana": "0.25"}),
        claim("no", "ben", confidence="0.5", trust={"ben": "0.6"}, seq=1),
    ]
    assert shares_of(resolve(lens, claims)) == [0.75, 0.25]


@pytest.mark.parametrize("lens", ["consensus", "skeptic"])
def test_the_weights_of_claims_are_those_of_the_pack(lens: str) -> None:
    claims = [claim("yes", "ana", pack={"ana": "0.3"}), claim("no", "ben", pack={"ben": "0.1"}, seq=1)]
    assert find(lens, claims).weights == {claims[0].digest: 0.75, claims[1].digest: 0.25}


@given(st.sampled_from(sorted(LENSES)), candidates(), st.integers(1, MICROS))
def test_a_pack_that_weighs_all_the_same_changes_no_byte(lens: str, claims: list[Candidate], weight: int) -> None:
    weighed = [
        msgspec.structs.replace(
            one, signers=tuple(msgspec.structs.replace(signer, weight_micros=weight) for signer in one.signers)
        )
        for one in claims
    ]
    plain, packed = (LENSES[lens].resolve(some, Terms()) for some in (claims, weighed))
    assert msgspec.json.encode(packed.resolution) == msgspec.json.encode(plain.resolution)
    assert packed.weights == plain.weights
