"""Rules of the database: the last that the log sets are in force, and hold from their position on."""

import pytest
from msgspec.structs import replace

from episteme.folds import decode_frame
from model import DatabaseRules, UnsupportedRecord
from stores import OperatorStore, PredicateStore, RulesRow
from tests.folds.governing import ANA, OPERATOR, RULES, fold, folded, predicate, said, taken_late, without_operators
from tests.support.meaning import as_frames, as_logged, log_time, rules_of


def test_rules_in_force_are_the_last_ones() -> None:
    newer = rules_of(ANA, anecdotal_cluster_count=3)
    assert OperatorStore(folded(RULES)).row() == RulesRow(0, log_time(0), RULES)
    assert OperatorStore(folded(RULES, newer)).row() == RulesRow(1, log_time(1), newer)
    assert OperatorStore(folded(RULES, newer, without_operators())).rules() == DatabaseRules()


def test_rules_hold_for_what_comes_behind_them_and_not_before() -> None:
    before, after = said(predicate(predicate="a"), OPERATOR), said(predicate(predicate="b"), OPERATOR)
    store = PredicateStore(folded(before, RULES, after))
    assert (store.get("a"), store.get("b") is None) == (None, False)


def test_rules_that_are_taken_late_are_passed_over_if_newer_ones_are_in_force() -> None:
    assert OperatorStore(taken_late([rules_of(ANA), RULES], 0)).rules() == RULES
    assert OperatorStore(taken_late([RULES, said(predicate(), OPERATOR)], 0)).rules() == RULES


def test_frame_of_rules_is_read_and_a_damaged_one_is_refused() -> None:
    [frame] = as_frames([RULES], start=7)
    [event] = as_logged([RULES], start=7)
    assert (event.kind, event.seq, event.time, event.signatures) == ("rules", 7, log_time(7), ())
    assert event.rules == RULES
    damaged = decode_frame(replace(frame, payload=frame.payload[:-1]))
    with pytest.raises(UnsupportedRecord):
        fold([damaged])
