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
