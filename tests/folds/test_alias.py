"""Aliases: the latest of a subject counts; classes keep to their bound."""

from itertools import pairwise

from stores import (
    ALIAS_CLASS_MAX,
    ALIAS_LINKS_MAX,
    AliasRow,
    AliasStore,
    AliasWriter,
    EventStore,
    MemoryEngine,
    RulingsStore,
    Staging,
)
from tests.folds.governing import ANA, OPERATOR, RULES, alias, fold, folded, said, taken_late
from tests.support.events import signed
from tests.support.meaning import Step, as_logged
from tests.support.stores import ALL


def by_operator(subject: str, same_as: str) -> Step:
    return said(alias(subject, same_as), OPERATOR)


def test_operators_alias_makes_two_subjects_one_from_its_position_on() -> None:
    reader = folded(RULES, by_operator("a", "b"))
    store = AliasStore(reader)
    assert [store.same(name, at) for name in "ab" for at in (0, 1)] == [("a",), ("a", "b"), ("b",), ("a", "b")]
    assert RulingsStore(reader).get().alias == 1
    assert AliasStore(folded(RULES, said(alias("a", "b", ANA), ANA))).get("a") is None


def test_latest_alias_of_a_subject_counts_and_one_of_itself_takes_it_back() -> None:
    store = AliasStore(folded(RULES, by_operator("a", "b"), by_operator("a", "c"), by_operator("a", "a")))
    assert [store.canonical("a", at) for at in (0, 1, 2, 3)] == ["a", "b", "c", "a"]
    assert store.positions("a", count_max=ALL) == [1, 2, 3]


def test_aliases_that_lead_back_make_one_class() -> None:
    store = AliasStore(folded(RULES, by_operator("b", "a"), by_operator("a", "b"), by_operator("c", "b")))
    assert [store.canonical(name) for name in "abc"] == ["a", "a", "a"]
    assert store.same("c") == ("a", "b", "c")


def test_alias_that_is_taken_late_holds_until_the_next_of_its_subject() -> None:
    steps = [RULES, by_operator("a", "b"), by_operator("a", "c")]
    store = AliasStore(taken_late(steps, 1))
    assert [store.canonical("a", at) for at in (0, 1, 2)] == ["a", "b", "c"]
    assert RulingsStore(taken_late(steps, 1)).get().alias == 3


def test_alias_that_would_make_a_class_too_large_has_no_effect() -> None:
    names = [f"{number:03}" for number in range(ALIAS_CLASS_MAX + 1)]
    chain = [by_operator(older, newer) for older, newer in pairwise(names)]
    reader = folded(RULES, *chain, size=50)
    store = AliasStore(reader)
    assert store.same(names[0]) == tuple(names[:-1])
    assert store.get(names[-2]) is None
    assert RulingsStore(reader).get().alias == ALIAS_CLASS_MAX - 1
    row = EventStore(reader).get(signed(alias(names[-2], names[-1])).digest)
    assert row is not None
    assert row.since is None


def test_subject_of_a_full_class_can_leave_it_for_another() -> None:
    names = [f"{number:03}" for number in range(ALIAS_CLASS_MAX)]
    steps = [by_operator(name, "hub") for name in names[1:]]
    store = AliasStore(folded(RULES, *steps, by_operator(names[1], "x"), by_operator("y", "hub"), size=50))
    assert store.same("x") == (names[1], "x")
    assert len(store.same("hub")) == ALIAS_CLASS_MAX


def test_alias_to_a_subject_that_too_many_were_ever_made_the_same_as_has_no_effect() -> None:
    store = MemoryEngine()
    state = Staging(store.snapshot())
    for number in range(ALIAS_LINKS_MAX):
        name = f"n{number}"
        for seq, other in enumerate(("hub", name)):
            AliasWriter(state).put(AliasRow(alias(name, other), bytes(32), seq, 0))
    store.commit(state.batch)
    fold(as_logged([RULES, by_operator("new", "hub"), by_operator("n0", "hub")], start=2), store=store)
    with store.snapshot() as reader:
        assert AliasStore(reader).get("new") is None
        assert AliasStore(reader).same("hub") == ("hub", "n0"), "one that was the same before may be again"
