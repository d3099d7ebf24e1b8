"""Values under a declared rule: tolerance, sets, references."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.lenses import Comparison, group_by_value, same_value, value_key, value_of
from episteme.lenses.values import lowest_within
from model import AnyValue, BooleanValue, NumberValue, ReferenceValue, TextValue
from stores import ClaimObject
from tests.lenses.claims import claim, find
from tests.support.events import NOW_MS, numbers, values


def number(text: str) -> ClaimObject:
    return ClaimObject("number", text)


def groups_of(texts: list[str], tolerance: str) -> list[list[str]]:
    """The numbers of each group, lowest group first."""
    comparison = Comparison(tolerance=tolerance)
    claims = [claim(NumberValue(text), f"a{seq}", seq=seq, comparison=comparison) for seq, text in enumerate(texts)]
    groups = [[one.claim.object.value for one in group.candidates] for group in group_by_value(claims, comparison)]
    return sorted(groups, key=lambda group: min(map(Decimal, group)))


# Tolerance


def test_a_group_takes_in_what_differs_from_its_lowest_by_at_most_the_tolerance() -> None:
    assert groups_of(["1", "1.5", "2", "2.000001", "3"], "1") == [["1", "1.5", "2"], ["2.000001", "3"]]


def test_a_chain_of_near_numbers_does_not_become_one_value() -> None:
    assert groups_of([f"{n}" for n in range(6)], "1") == [["0", "1"], ["2", "3"], ["4", "5"]]


@pytest.mark.parametrize(
    ("one", "other", "tolerance", "same"),
    [
        ("0.1", "0.3", "0.2", True),  # as doubles they differ by more
        ("0.1", "0.3000000000000000000000000001", "0.2", False),
        ("-1", "1", "2", True),
        ("-1", "1.000001", "2", False),
        ("-1e-9999", "1e-9999", "0.000001", True),
        ("0", "1e-9999", "0", False),
        ("1000000000000000000000000000000.4", "1000000000000000000000000000000.9", "0.5", True),
        ("1000000000000000000000000000000.4", "1000000000000000000000000000000.91", "0.5", False),
        ("1e308", "1e308", "0", True),
        ("1e308", "100000000000000000000000000001e279", "1", False),
        ("1e300", "-1e300", "999999999999999.999999", False),
        ("-0", "0.0", "0", True),
    ],
)
def test_tolerance_is_exact_at_any_size(one: str, other: str, tolerance: str, same: bool) -> None:
    comparison = Comparison(tolerance=tolerance)
    assert same_value(number(one), number(other), comparison) is same
    assert same_value(number(other), number(one), comparison) is same
    assert (len(groups_of([one, other], tolerance)) == 1) is same


small = st.decimals(-4, 4, places=3, allow_nan=False).map(str)


@given(
    st.lists(small | st.sampled_from(["1e-9999", "-3e-5000", "1e300"]), max_size=12),
    st.sampled_from(["0", "0.5", "1.25"]),
)
def test_groups_are_what_exact_fractions_give(texts: list[str], tolerance: str) -> None:
    expected: list[list[Fraction]] = []
    for exact in sorted({Fraction(Decimal(text)) for text in texts}):
        if not expected or exact > expected[-1][0] + Fraction(tolerance):
            expected.append([])
        expected[-1].append(exact)
    found = [sorted({Fraction(Decimal(text)) for text in group}) for group in groups_of(texts, tolerance)]
    assert found == expected


@given(numbers(), numbers(), st.sampled_from(["0", "0.000001", "1", "999999999999999"]))
def test_two_numbers_are_one_value_exactly_if_they_are_within_the_tolerance(one: str, other: str, width: str) -> None:
    same = abs(Fraction(Decimal(one)) - Fraction(Decimal(other))) <= Fraction(width)
    assert same_value(number(one), number(other), Comparison(tolerance=width)) is same


def test_a_number_of_a_later_level_joins_an_earlier_value_and_changes_none() -> None:
    def key(text: str) -> tuple[str, str]:
        return value_key(NumberValue(text))

    levels = [[key("10"), key("11")], [key("9.5"), key("10.5"), key("12"), key("13")]]
    assert lowest_within(levels, "1") == {key("11"): key("10"), key("10.5"): key("10"), key("13"): key("12")}


def test_thousands_of_numbers_with_huge_exponents_are_told_apart() -> None:
    texts = [f"{n}1e-9999" for n in range(1, 1500)] + [f"{n}1e300" for n in range(1, 1500)]
    lowest = lowest_within([[value_key(NumberValue(text)) for text in texts]], "0.5")
    assert set(lowest.values()) == {("number", "11e-9999")}
    assert len(lowest) == 1498


def test_tolerance_is_of_numbers_alone() -> None:
    comparison = Comparison(tolerance="1")
    claims = [claim(value, str(value), comparison=comparison) for value in ("1", "2", Decimal(1), Decimal(2), True)]
    assert sorted(len(group.candidates) for group in group_by_value(claims, comparison)) == [1, 1, 1, 2]


def test_a_group_of_near_numbers_shows_the_spelling_of_its_best_claim() -> None:
    comparison = Comparison(tolerance="0.05")
    low = claim(Decimal("1.00"), "ana", tier="expert", comparison=comparison)
    high = claim(Decimal("1.04"), "ben", tier="clinical", comparison=comparison, seq=1)
    found = find("consensus", [low, high], comparison).resolution
    assert (found.status, found.winner, found.groups[0].value.value) == ("unanimous", high.digest, "1.04")


def test_an_agent_that_moves_within_the_tolerance_stands_for_the_same_value() -> None:
    comparison = Comparison(tolerance="0.1")
    claims = [
        claim(Decimal(text), "ana", at=NOW_MS + n, comparison=comparison, seq=n) for n, text in enumerate(("1", "1.1"))
    ]
    found = find("consensus", claims, comparison)
    assert (found.resolution.groups[0].support, found.weights) == (1, {claims[0].digest: 0.0, claims[1].digest: 1.0})


# References


def test_references_to_one_thing_by_two_names_are_one_value() -> None:
    comparison = Comparison(same_as={"Tesla": "Tesla_Inc", "Tesla_Motors": "Tesla_Inc", "Tesla_Inc": "Tesla_Inc"})
    names = ("Tesla", "Tesla_Motors", "Tesla_Inc", "Edison")
    claims = [claim(ReferenceValue(name), name, seq=n, comparison=comparison) for n, name in enumerate(names)]
    assert sorted(len(group.candidates) for group in group_by_value(claims, comparison)) == [1, 3]


def test_text_that_looks_like_a_reference_has_no_other_name() -> None:
    comparison = Comparison(same_as={"Tesla": "Tesla_Inc"})
    assert not same_value(ClaimObject("text", "Tesla"), ClaimObject("text", "Tesla_Inc"), comparison)
    assert same_value(ClaimObject("reference", "Tesla"), ClaimObject("reference", "Tesla_Inc"), comparison)


# Both ways


@given(values)
def test_a_value_of_the_model_comes_back_as_it_was_spelled(value: AnyValue) -> None:
    said = ClaimObject(value.__struct_config__.tag, value.value)
    assert value_of(said) == value


@pytest.mark.parametrize(
    "value", [TextValue("true"), BooleanValue(True), TextValue("1"), NumberValue("1"), TextValue("x" * 200)]
)
def test_values_of_two_types_are_not_taken_for_each_other(value: AnyValue) -> None:
    found = value_of(ClaimObject(value.__struct_config__.tag, value.value))
    assert (type(found), found.value) == (type(value), value.value)


words = st.text("ab ;:12", max_size=8)


@given(words, words)
def test_two_texts_are_one_value_exactly_if_they_say_the_same_set(one: str, other: str) -> None:
    comparison = Comparison(many=True, separator=";")
    parts = [{part.strip() for part in text.split(";")} - {""} for text in (one, other)]
    assert same_value(ClaimObject("text", one), ClaimObject("text", other), comparison) is (parts[0] == parts[1])
