"""Values, groups, support, lifecycle chains."""

import unicodedata
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.lenses import Candidate, group_by_value, newest_stages, value_key, value_of
from model import AnyValue, BooleanValue, NumberValue, ReferenceValue, TextValue
from tests.lenses.claims import agent, candidates, claim
from tests.support.events import NOW_MS, numbers


def support_of(claims: list[Candidate]) -> dict[str, set[str]]:
    """The names behind each value."""
    return {
        str(group.candidates[0].claim.object.value): {name.decode().rstrip(".") for name in group.supporters}
        for group in group_by_value(claims)
    }


# Values


@pytest.mark.parametrize("spelling", ["96.7", "967e-1", "0.967E2", "0.967e+2", "9670e-2", "96.7000"])
def test_spellings_of_one_number_are_one_value(spelling: str) -> None:
    assert value_key(NumberValue(spelling)) == value_key(NumberValue("96.70"))


@pytest.mark.parametrize("spelling", ["-0", "0.0", "-0.000", "0e9", "-0E-7"])
def test_every_zero_is_zero(spelling: str) -> None:
    assert value_key(NumberValue(spelling)) == value_key(NumberValue("0"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "-1"),
        ("1", "10"),
        ("1", "0.1"),
        ("0.1", "0.10000000000000001"),  # one double, two decimals
        ("9007199254740992", "9007199254740993"),
        ("1e-400", "0"),  # a double would underflow
        ("1e-400", "1e-401"),
    ],
)
def test_numbers_that_differ_in_any_digit_are_two_values(one: str, other: str) -> None:
    assert value_key(NumberValue(one)) != value_key(NumberValue(other))


@given(numbers(), numbers())
def test_two_numbers_are_one_value_exactly_if_they_are_equal(one: str, other: str) -> None:
    same = Fraction(Decimal(one)) == Fraction(Decimal(other))
    assert (value_key(NumberValue(one)) == value_key(NumberValue(other))) is same


@given(numbers(), st.integers(-40, 40))
def test_moving_the_point_into_the_exponent_keeps_the_value(text: str, shift: int) -> None:
    mantissa, _, exponent = text.lower().partition("e")
    moved = Decimal(mantissa).scaleb(shift)
    respelled = f"{moved:f}e{int(exponent or 0) - shift}"
    assert value_key(NumberValue(respelled)) == value_key(NumberValue(text))


@given(numbers())
def test_the_key_of_a_number_is_that_number(text: str) -> None:
    assert Decimal(value_key(NumberValue(text))[1]) == Decimal(text)


def test_text_is_compared_after_trimming() -> None:
    assert value_key(TextValue(" \tyes\n")) == value_key(TextValue("yes"))
    assert value_key(TextValue("   ")) == value_key(TextValue(""))


@pytest.mark.parametrize("other", ["Yes", "yes.", "y es", "yés"])
def test_text_is_compared_by_case_accent_and_inner_space(other: str) -> None:
    assert value_key(TextValue("yes")) != value_key(TextValue(other))


def test_text_is_compared_in_nfc() -> None:
    composed, decomposed = "Zürich", unicodedata.normalize("NFD", "Zürich")
    assert value_key(TextValue(decomposed)) == value_key(TextValue(composed))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (BooleanValue(True), TextValue("true")),
        (NumberValue("1"), TextValue("1")),
        (NumberValue("1"), BooleanValue(True)),
        (ReferenceValue("Tesla"), TextValue("Tesla")),
        (BooleanValue(True), BooleanValue(False)),
        (ReferenceValue("Tesla"), ReferenceValue("Tesla_Inc")),
    ],
)
def test_values_of_two_types_or_contents_differ(one: AnyValue, other: AnyValue) -> None:
    assert value_key(one) != value_key(other)


# Groups


def test_claims_that_say_the_same_are_one_group() -> None:
    claims = [claim(Decimal("96.70"), "ana"), claim(Decimal("96.7"), "ben"), claim("96.7", "cho")]
    groups = group_by_value(claims)
    assert [(group.key[0], len(group.candidates)) for group in groups] == [("number", 2), ("text", 1)]


def test_a_group_lists_its_claims_in_log_order() -> None:
    late, early = claim("yes", "ana", seq=9, at=NOW_MS), claim("yes", "ben", seq=2, at=NOW_MS + 5)
    (group,) = group_by_value([late, early])
    assert group.candidates == (early, late)


def test_no_claims_make_no_groups() -> None:
    assert group_by_value([]) == []


@given(candidates())
def test_every_claim_is_in_one_group_and_every_agent_behind_one_value(claims: list[Candidate]) -> None:
    groups = group_by_value(claims)
    grouped = [candidate.digest for group in groups for candidate in group.candidates]
    assert sorted(grouped) == sorted(candidate.digest for candidate in claims)
    standing = [name for group in groups for name in group.supporters]
    assert sorted(standing) == sorted({signer.agent for candidate in claims for signer in candidate.signers})


# Support


def test_an_agent_that_repeats_itself_counts_once() -> None:
    claims = [claim("yes", "ana", seq=seq, at=NOW_MS + seq) for seq in range(5)]
    assert support_of(claims) == {"yes": {"ana"}}


def test_an_agent_stands_for_its_latest_value_by_timestamp() -> None:
    claims = [claim("old", "ana", seq=7, at=NOW_MS), claim("new", "ana", seq=3, at=NOW_MS + 1)]
    assert support_of(claims) == {"new": {"ana"}, "old": set()}


def test_of_two_values_at_one_timestamp_the_later_in_the_log_counts() -> None:
    claims = [claim("second", "ana", seq=4), claim("first", "ana", seq=3)]
    assert support_of(claims) == {"first": set(), "second": {"ana"}}


def test_of_two_claims_of_a_value_at_one_position_the_smaller_hash_is_the_one_stood_by() -> None:
    """A bundle may bring several claims at once."""
    claims = [claim("yes", "ana", confidence=confidence) for confidence in ("0.1", "0.2", "0.3")]
    for some in (claims, claims[::-1]):
        (group,) = group_by_value(some)
        assert group.supporters[agent("ana")][3].digest == min(one.digest for one in claims)


def test_each_co_signer_counts() -> None:
    assert support_of([claim("yes", "ana", "ben", "cho")]) == {"yes": {"ana", "ben", "cho"}}


def test_a_co_signer_who_says_something_else_later_leaves_the_others() -> None:
    claims = [claim("yes", "ana", "ben", seq=0), claim("no", "ben", seq=1, at=NOW_MS + 1)]
    assert support_of(claims) == {"no": {"ben"}, "yes": {"ana"}}


def test_the_standing_claims_of_a_group_are_those_of_its_supporters() -> None:
    left, stays = claim("yes", "ana", seq=0), claim("yes", "ben", seq=1)
    groups = group_by_value([left, stays, claim("no", "ana", seq=2, at=NOW_MS + 1)])
    assert {group.key[1]: group.standing for group in groups}["yes"] == (stays,)


def test_the_standing_claims_of_a_group_that_all_have_left_are_all_its_claims() -> None:
    first, again = claim("yes", "ana", seq=0), claim("yes", "ana", seq=1, confidence="0.5")
    groups = group_by_value([first, again, claim("no", "ana", seq=2, at=NOW_MS + 1)])
    assert {group.key[1]: group.standing for group in groups}["yes"] == (first, again)


# Lifecycle


def test_a_claim_moves_the_parent_that_says_the_same() -> None:
    proposed = claim("yes", "ana", seq=0, lifecycle="proposed")
    reviewed = claim("yes", "ana", seq=1, at=NOW_MS + 1, lifecycle="under_review", follows=proposed)
    approved = claim("yes", "ana", seq=2, at=NOW_MS + 2, follows=reviewed)
    (left,) = newest_stages([proposed, reviewed, approved])
    assert left.digest == approved.digest


def test_another_spelling_of_the_same_value_moves_too() -> None:
    proposed = claim(Decimal("96.70"), lifecycle="proposed")
    approved = claim(Decimal("967e-1"), seq=1, follows=proposed)
    assert [candidate.digest for candidate in newest_stages([proposed, approved])] == [approved.digest]


def test_a_claim_of_another_value_forks_its_parent_and_both_stay() -> None:
    parent = claim("yes", "ana")
    fork = claim("no", "ben", seq=1, follows=parent)
    assert newest_stages([parent, fork]) == [parent, fork]


def test_a_parent_that_is_not_among_the_candidates_changes_nothing() -> None:
    absent = claim("yes", "ana")
    child = claim("yes", "ben", seq=1, follows=absent)
    assert newest_stages([child]) == [child]


def test_the_agents_of_earlier_stages_stand_for_the_value_that_is_left() -> None:
    proposed = claim("yes", "ana", seq=0, lifecycle="proposed")
    approved = claim("yes", "ben", seq=1, at=NOW_MS + 1, follows=proposed)
    left = newest_stages([proposed, approved])
    assert support_of(left) == {"yes": {"ana", "ben"}}


def test_an_agent_of_an_earlier_stage_who_changed_its_mind_before_the_move_stays_gone() -> None:
    proposed = claim("yes", "ana", seq=0, at=NOW_MS, lifecycle="proposed")
    other = claim("no", "ana", seq=1, at=NOW_MS + 1)
    approved = claim("yes", "ben", seq=2, at=NOW_MS + 2, follows=proposed)
    assert support_of(newest_stages([proposed, other, approved])) == {"no": {"ana"}, "yes": {"ben"}}


def test_of_a_chain_with_two_ends_the_later_timestamp_stands() -> None:
    root = claim("yes", "ana", seq=0)
    later = claim("yes", "ben", seq=1, at=NOW_MS + 9, follows=root)
    sooner = claim("yes", "cho", seq=2, at=NOW_MS + 5, follows=root)
    (left,) = newest_stages([root, later, sooner])
    assert left.digest == later.digest
    assert {signer.agent for signer in left.signers} == {agent("ana"), agent("ben"), agent("cho")}


def test_of_two_ends_at_one_timestamp_the_smaller_hash_stands() -> None:
    root = claim("yes", "ana", seq=0)
    ends = [claim("yes", "ben", seq=n, at=NOW_MS + 9, confidence=f"0.{n}", follows=root) for n in (1, 2, 3)]
    (left,) = newest_stages([root, *ends])
    assert left.digest == min(end.digest for end in ends)


def test_an_inner_stage_with_a_later_timestamp_is_still_replaced() -> None:
    root = claim("yes", "ana", seq=0, at=NOW_MS + 100)
    end = claim("yes", "ana", seq=1, at=NOW_MS, follows=root)
    assert [candidate.digest for candidate in newest_stages([root, end])] == [end.digest]


def test_votes_on_a_stage_that_was_replaced_do_not_count() -> None:
    proposed = claim("yes", "ana", lifecycle="proposed", votes=["1"])
    approved = claim("yes", "ana", seq=1, follows=proposed, votes=["0.25"])
    assert [candidate.tally.sum_micros for candidate in newest_stages([proposed, approved])] == [250_000]


def test_two_chains_of_one_value_stay_two() -> None:
    roots = [claim("yes", name, seq=n, lifecycle="proposed") for n, name in enumerate(["ana", "ben"])]
    end = claim("yes", "ana", seq=5, follows=roots[0])
    left = newest_stages([*roots, end])
    assert {candidate.digest for candidate in left} == {end.digest, roots[1].digest}


@given(candidates(), st.randoms(use_true_random=False))
def test_the_stages_left_do_not_depend_on_the_order_of_arrival(claims: list[Candidate], random: object) -> None:
    chain = list(claims)
    for seq, parent in enumerate(claims[:4], len(claims)):
        chain.append(
            claim(value_of(parent.claim.object), "eve", seq=seq, at=parent.timestamp + seq % 2, follows=parent)
        )
    shuffled = list(chain)
    random.shuffle(shuffled)
    by_hash = {candidate.digest: candidate for candidate in newest_stages(chain)}
    assert by_hash == {candidate.digest: candidate for candidate in newest_stages(shuffled)}


class CountedHash(bytes):
    """A hash that counts how often it is looked up."""

    lookups = 0

    def __hash__(self) -> int:
        CountedHash.lookups += 1
        return super().__hash__()

    __eq__ = bytes.__eq__


def lookups_for_a_chain_of(length: int) -> int:
    chain = [claim("yes", "ana")]
    for seq in range(1, length):
        chain.append(claim("yes", "ana", seq=seq, at=NOW_MS + seq, follows=chain[-1]))
    counted = [msgspec.structs.replace(candidate, digest=CountedHash(candidate.digest)) for candidate in chain]
    CountedHash.lookups = 0
    assert len(newest_stages(counted)) == 1
    return CountedHash.lookups


def test_twice_the_chain_is_twice_the_work() -> None:
    assert lookups_for_a_chain_of(400) < 3 * lookups_for_a_chain_of(200)
