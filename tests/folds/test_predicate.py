"""Rules of predicates: an operator's latest counts, from its position on."""

from stores import PredicateStore, RulingsStore
from tests.folds.governing import ANA, OPERATOR, RULES, folded, predicate, said, taken_late
from tests.support.meaning import Step
from tests.support.stores import ALL

ONE = predicate(tolerance="0.5")
MANY = predicate(cardinality="many", separator=";")


def test_latest_rule_counts_and_the_one_before_it_as_of_then() -> None:
    reader = folded(RULES, said(ONE, OPERATOR), said(MANY, OPERATOR), said(predicate(ANA), ANA))
    store = PredicateStore(reader)
    rows = [store.as_of("age", at) for at in (0, 1, 2, 3, None)]
    assert [row and row.event for row in rows] == [None, ONE, MANY, MANY, MANY]
    assert [row and row.seq for row in rows] == [None, 1, 2, 2, 2]
    assert RulingsStore(reader).get().predicate == 2


def test_rule_that_is_taken_late_holds_until_the_next() -> None:
    steps: list[Step] = [RULES, said(ONE, OPERATOR), said(MANY, OPERATOR)]
    late, in_order = PredicateStore(taken_late(steps, 1)), PredicateStore(folded(*steps))
    for at in (0, 1, 2, None):
        assert late.as_of("age", at) == in_order.as_of("age", at)
    assert late.positions("age", count_max=ALL) == [1, 2]
