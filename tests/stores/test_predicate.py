"""Rules of predicates."""

from stores import MemoryEngine, PredicateRow, PredicateStore, PredicateWriter, Staging
from tests.support.stores import ALL
from tests.support.values import PREDICATE_ROW, changed


def test_rules_are_found_by_name_and_listed_by_how_it_begins() -> None:
    state = Staging(MemoryEngine().snapshot())
    for predicate in ("authors", "author", "größe", "grade"):
        rule = PredicateRow(changed(PREDICATE_ROW.event, predicate=predicate), bytes(32), 1, 2)
        PredicateWriter(state).put(rule)
    store = PredicateStore(state)
    found = store.get("author")
    assert found is not None
    assert found.event.predicate == "author"
    assert store.get("auth") is None
    assert [row.event.predicate for row in store.predicates("author", count_max=ALL)] == ["author", "authors"]
    assert [row.event.predicate for row in store.predicates("gr", count_max=ALL)] == ["grade", "größe"]


def test_rule_as_of_a_position_is_the_last_one_by_then_whatever_came_first() -> None:
    state = Staging(MemoryEngine().snapshot())
    rules = {seq: changed(PREDICATE_ROW, seq=seq) for seq in (3, 7, 2**40)}
    for seq in (7, 2**40, 3):
        PredicateWriter(state).put(rules[seq])
    store = PredicateStore(state)
    found = {at: store.as_of("authors", at) for at in (0, 2, 3, 6, 7, 2**40 - 1, 2**40, 2**64 - 1, None)}
    last = rules[2**40]
    expected = [None, None, rules[3], rules[3], rules[7], rules[7], last, last, last]
    assert list(found.values()) == expected
    assert store.positions("authors", count_max=ALL) == [3, 7, 2**40]
    assert store.positions("authors", count_max=1) == [2**40]
    assert store.as_of("author", None) is None
