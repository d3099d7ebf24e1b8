"""Halving by age: exact integers, against decimals of high precision."""

from decimal import ROUND_HALF_UP, Context, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from episteme.decay import (
    DAY_MS,
    HALF_LIFE_MS_MAX,
    TIER_HALF_LIVES_DAYS,
    TRUST_HALF_LIFE_MS,
    Decay,
    drifted,
    halve,
)
from episteme.errors import InvalidParameter
from model import SOURCE_CLASSES
from tests.support.events import INT_MAX

MILLION = 1_000_000
_PRECISE = Context(prec=80)

micros = st.integers(0, MILLION)
half_lives = st.integers(60_000, HALF_LIFE_MS_MAX) | st.sampled_from([60_000, 30 * DAY_MS, HALF_LIFE_MS_MAX])
ages = st.integers(0, 400 * DAY_MS) | st.integers(0, INT_MAX)


def by_decimals(amount: int, age_ms: int, half_life_ms: int) -> int:
    halvings = _PRECISE.divide(Decimal(age_ms), Decimal(half_life_ms))
    exact = _PRECISE.multiply(Decimal(amount), _PRECISE.power(Decimal(2), -halvings))
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=_PRECISE))


@given(micros, ages, half_lives)
def test_halving_is_what_decimals_of_eighty_digits_give(amount: int, age_ms: int, half_life_ms: int) -> None:
    assert halve(amount, age_ms, half_life_ms) == by_decimals(amount, age_ms, half_life_ms)


@settings(max_examples=300)
@given(micros, st.floats(0, 24), half_lives)
def test_it_is_also_over_the_first_halvings(amount: int, halvings: float, half_life_ms: int) -> None:
    age_ms = int(halvings * half_life_ms)
    assert halve(amount, age_ms, half_life_ms) == by_decimals(amount, age_ms, half_life_ms)


@given(micros, st.integers(0, 40), half_lives)
def test_whole_half_lives_are_exact_and_rounded_half_up(amount: int, times: int, half_life_ms: int) -> None:
    assert halve(amount, times * half_life_ms, half_life_ms) == (2 * amount + 2**times) // 2 ** (times + 1)


@given(micros, ages, st.integers(0, 10_000), half_lives)
def test_nothing_grows_with_age(amount: int, age_ms: int, later_ms: int, half_life_ms: int) -> None:
    assert halve(amount, age_ms + later_ms, half_life_ms) <= halve(amount, age_ms, half_life_ms) <= amount


@given(micros, micros, ages, half_lives)
def test_what_is_less_stays_no_more(one: int, other: int, age_ms: int, half_life_ms: int) -> None:
    low, high = sorted((one, other))
    assert halve(low, age_ms, half_life_ms) <= halve(high, age_ms, half_life_ms)


def test_a_millisecond_of_the_longest_half_life_makes_nothing_grow() -> None:
    big = 10**30  # so large that every millisecond shows
    found = [halve(big, age_ms, HALF_LIFE_MS_MAX) for age_ms in range(200)]
    assert sorted(set(found), reverse=True) == found


def test_no_age_changes_nothing_and_any_age_is_bounded() -> None:
    assert halve(123_456, 0, DAY_MS) == 123_456
    assert halve(MILLION, INT_MAX, 60_000) == 0
    assert halve(0, DAY_MS, DAY_MS) == 0
    assert halve(1, DAY_MS, DAY_MS) == 1  # half of a millionth, rounded up
    assert halve(1, DAY_MS + 1, DAY_MS) == 0


# Trust


@pytest.mark.parametrize(
    ("score", "days", "expected"),
    [
        (MILLION, 30, 750_000),
        (0, 30, 250_000),
        (900_000, 60, 600_000),
        (500_000, 90, 500_000),
        (700_000, 0, 700_000),
        (0, 36_500, 500_000),
    ],
)
def test_trust_drifts_by_half_to_the_middle_every_thirty_days(score: int, days: int, expected: int) -> None:
    assert drifted(score, 5, 5 + days * DAY_MS) == expected
    assert TRUST_HALF_LIFE_MS == 30 * DAY_MS


@given(micros, st.integers(0, INT_MAX), st.integers(0, INT_MAX))
def test_drift_is_even_to_both_sides_and_never_backwards(score: int, from_ms: int, to_ms: int) -> None:
    found = drifted(score, from_ms, to_ms)
    assert found + drifted(MILLION - score, from_ms, to_ms) == MILLION
    assert abs(found - 500_000) <= abs(score - 500_000)
    if to_ms <= from_ms:
        assert found == score


@given(micros, st.lists(st.integers(0, 40 * DAY_MS), max_size=50))
def test_drift_in_steps_is_the_drift_at_once_but_for_half_a_millionth_a_step(score: int, spans_ms: list[int]) -> None:
    stepwise, now_ms = score, 0
    for span_ms in spans_ms:
        stepwise = drifted(stepwise, now_ms, now_ms + span_ms)
        now_ms += span_ms
    assert abs(stepwise - drifted(score, 0, now_ms)) <= (len(spans_ms) + 1) / 2


# What may be asked for


def test_by_tier_every_tier_has_its_own_half_life() -> None:
    days = dict(zip(SOURCE_CLASSES, TIER_HALF_LIVES_DAYS, strict=True))
    assert days == {
        "regulatory": None,
        "clinical": 730,
        "observational": 365,
        "expert": 180,
        "community": 90,
        "anecdotal": 30,
    }
    decay = Decay.parse("tiers")
    for tier, half_life_days in enumerate(TIER_HALF_LIVES_DAYS):
        left = decay.confidence(800_000, tier, (half_life_days or 10_000) * DAY_MS)
        assert left == (800_000 if half_life_days is None else 400_000)


@pytest.mark.parametrize(("text", "half_life_ms"), [("30d", 30 * DAY_MS), ("12h", DAY_MS // 2), ("90m", 5_400_000)])
def test_one_half_life_holds_for_all_tiers(text: str, half_life_ms: int) -> None:
    decay = Decay.parse(text)
    assert decay.half_lives_ms == (half_life_ms,) * len(SOURCE_CLASSES)
    assert [decay.confidence(MILLION, tier, half_life_ms) for tier in range(6)] == [500_000] * 6


def test_a_claim_from_the_future_is_as_good_as_new() -> None:
    assert Decay.parse("1m").confidence(700_000, 5, -DAY_MS) == 700_000


def test_the_longest_half_life_is_a_century() -> None:
    assert Decay.parse("36525d").half_lives_ms[0] == HALF_LIFE_MS_MAX
    with pytest.raises(InvalidParameter, match="at most 36525d"):
        Decay.parse("36526d")


@pytest.mark.parametrize(
    "text",
    ["", "0d", "00h", "-30d", "30", "d", "1.5d", "30 d", "30D", "30s", "1e3d", "tier", "TIERS", "٣d", "9" * 40 + "d"],
)
def test_what_is_no_half_life_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        Decay.parse(text)
    assert [problem.pointer for problem in caught.value.errors] == ["decay"]
