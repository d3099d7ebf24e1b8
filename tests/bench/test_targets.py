"""What is judged: ratios of one round, their median, against the factor."""

import pytest

from bench.measured import BARE, BUNDLES, HELD, INGEST, LIMIT, OURS, POST_MANY, POST_ONE, READABLE, Key
from bench.targets import FDATASYNC, POSTGRESQL, TARGETS, Target, Values, Verdict, judge, verdicts

POST = Target(POST_MANY, "at least", 0.4, (Key(POST_MANY, BARE),), "the bare POST")
ONE = Target(POST_ONE, "at most", 1.6, (Key(FDATASYNC, LIMIT), Key(POST_ONE, BARE)), "both")
SOON = Target(READABLE, "at most", 0.005)


def test_a_rate_is_met_by_the_median_of_the_ratios_of_each_round() -> None:
    # The medians of the values alone, 50 and 100, would say 0.5.
    values: Values = {Key(POST_MANY, OURS): [50.0, 30.0, 90.0], Key(POST_MANY, BARE): [100.0, 100.0, 300.0]}
    verdict = judge(POST, OURS, values)
    assert verdict.ratios == pytest.approx((0.5, 0.3, 0.3))
    assert verdict.median == pytest.approx(0.3)
    assert verdict.met is False


@pytest.mark.parametrize(("ours", "met"), [(39.9, False), (40.0, True), (41.0, True)])
def test_at_least_means_the_factor_itself_suffices(ours: float, met: bool) -> None:
    assert judge(POST, OURS, {Key(POST_MANY, OURS): [ours], Key(POST_MANY, BARE): [100.0]}).met is met


@pytest.mark.parametrize(("ours", "met"), [(0.00047, True), (0.00048, True), (0.00049, False)])
def test_a_time_is_held_against_the_sum_of_its_limits(ours: float, met: bool) -> None:
    values: Values = {Key(POST_ONE, OURS): [ours], Key(FDATASYNC, LIMIT): [0.0002], Key(POST_ONE, BARE): [0.0001]}
    assert judge(ONE, OURS, values).met is met


@pytest.mark.parametrize(("ours", "met"), [(0.004, True), (0.006, False)])
def test_a_time_without_others_is_held_against_the_factor(ours: float, met: bool) -> None:
    assert judge(SOON, OURS, {Key(READABLE, OURS): [ours]}).met is met


def test_a_round_that_lacks_one_of_the_figures_is_left_out() -> None:
    values: Values = {Key(POST_MANY, OURS): [None, 50.0, 90.0], Key(POST_MANY, BARE): [100.0, None, 100.0]}
    assert judge(POST, OURS, values).ratios == (0.9,)


@pytest.mark.parametrize("values", [{}, {Key(POST_MANY, OURS): [50.0]}, {Key(POST_MANY, OURS): [None]}])
def test_what_was_not_measured_is_neither_met_nor_short(values: Values) -> None:
    assert judge(POST, OURS, values) == Verdict(POST, OURS, (), None)


def test_bundles_are_held_against_single_claims_of_the_same_processes() -> None:
    two = f"{OURS}, 2 workers"
    values: Values = {
        Key(INGEST, OURS): [100.0],
        Key(BUNDLES, OURS): [250.0],
        Key(INGEST, two): [200.0],
        Key(BUNDLES, two): [300.0],
    }
    found = {one.who: one.ratios for one in verdicts(values) if one.target.row == BUNDLES and one.who != HELD}
    assert found == {OURS: (2.5,), two: (1.5,)}


def test_the_large_store_is_held_against_the_empty_one_in_rates_and_in_times() -> None:
    values: Values = {
        Key(POST_MANY, OURS): [100.0],
        Key(POST_MANY, HELD): [79.0],
        Key(READABLE, OURS): [0.004],
        Key(READABLE, HELD): [0.0049],
    }
    found = {one.target.row: one.met for one in verdicts(values) if one.who == HELD}
    assert (found[POST_MANY], found[READABLE], found[POST_ONE]) == (False, True, None)


def test_every_target_is_judged_for_the_defaults_though_nothing_was_measured() -> None:
    assert [one.target for one in verdicts({}) if one.who == OURS] == list(TARGETS)
    assert {key.who for target in TARGETS for key in target.against} == {BARE, LIMIT, OURS, POSTGRESQL}
