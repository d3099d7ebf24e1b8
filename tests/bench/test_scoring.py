"""What the accuracy benchmark counts: parts, bins, calibration, sets, plain votes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scoring import (
    Judged,
    Overlap,
    at_random,
    calibration,
    calibration_error,
    plain_majority,
    right_part,
    score_sets,
)

JUDGED = st.lists(st.builds(Judged, st.floats(0, 1), st.booleans()), max_size=60)


def test_answers_fall_into_the_bin_of_their_confidence_and_full_confidence_into_the_last() -> None:
    judged = [Judged(0.05, False), Judged(0.1, True), Judged(0.5, True), Judged(0.95, False), Judged(1.0, True)]
    bins = calibration(judged)
    assert [(one.low, one.high, one.answers) for one in bins] == [
        (0.0, 0.1, 1),
        (0.1, 0.2, 1),
        (0.5, 0.6, 1),
        (0.9, 1.0, 2),
    ]
    assert (bins[-1].said, bins[-1].right) == (0.975, 0.5)


def test_a_share_that_is_a_hair_below_its_bin_for_rounding_is_in_it() -> None:
    assert calibration([Judged(0.499998, True)])[0].low == 0.5
    assert calibration([Judged(0.29999999999999993, True)])[0].low == 0.3


def test_calibration_error_is_nothing_for_one_who_is_right_as_often_as_it_says() -> None:
    judged = [Judged(0.8, right) for right in (True, True, True, True, False)]
    assert calibration_error(calibration(judged)) == pytest.approx(0)


def test_calibration_error_weighs_bins_by_their_answers() -> None:
    judged = [Judged(1.0, False)] + [Judged(0.5, True)] * 3
    assert calibration_error(calibration(judged)) == pytest.approx((1 * 1.0 + 3 * 0.5) / 4)


@given(JUDGED)
def test_bins_hold_every_answer_once(judged: list[Judged]) -> None:
    bins = calibration(judged)
    assert sum(one.answers for one in bins) == len(judged)
    assert sum(one.answers * one.right for one in bins) == pytest.approx(sum(one.right for one in judged))
    assert 0 <= calibration_error(bins) <= 1


def test_nothing_judged_is_no_bins_and_no_error() -> None:
    assert calibration([]) == []
    assert calibration_error([]) == right_part([]) == 0


def test_sets_are_scored_over_all_members_and_book_by_book() -> None:
    # Two of two; one of four with one wrong.
    scored = score_sets([Overlap(found=2, true=2, both=2), Overlap(found=2, true=4, both=1)])
    assert (scored.precision, scored.recall, scored.exact) == (3 / 4, 3 / 6, 1 / 2)
    assert scored.f1 == pytest.approx(2 * (3 / 4) * (1 / 2) / (3 / 4 + 1 / 2))
    assert scored.mean_f1 == pytest.approx((1 + 2 / 6) / 2)


def test_no_answer_is_no_precision_and_no_recall() -> None:
    assert score_sets([Overlap(0, 3, 0)]) == (0, 0, 0, 0, 0)
    assert score_sets([]) == (0, 0, 0, 0, 0)


def test_in_a_plain_vote_a_source_counts_once_for_a_value() -> None:
    assert plain_majority([("a", "x"), ("a", "x"), ("b", "y"), ("c", "y")]) == (("y",), 2 / 3)


def test_a_plain_vote_names_all_that_tie() -> None:
    assert plain_majority([("a", "y"), ("b", "x"), ("c", "z"), ("d", "y"), ("e", "x")]) == (("x", "y"), 2 / 5)
    assert plain_majority([]) == ((), 0)


def test_ties_broken_at_random_have_a_mean_and_a_deviation() -> None:
    mean, deviation = at_random([0.5, 0.5, 1.0, 0.0])
    assert mean == 0.5
    assert deviation == pytest.approx(math.sqrt(0.5) / 4)
