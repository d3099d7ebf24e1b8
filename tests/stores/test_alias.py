"""Aliases: every name of one thing leads to the same name."""

from stores import AliasRow, AliasStore, AliasWriter, MemoryEngine, Staging
from tests.support.stores import ALL
from tests.support.values import ALIAS_ROW, changed


def staged(**links: str) -> AliasStore:
    state = Staging(MemoryEngine().snapshot())
    for subject, same_as in links.items():
        AliasWriter(state).put(AliasRow(changed(ALIAS_ROW.event, subject=subject, same_as=same_as), bytes(32), 1, 2))
    return AliasStore(state)


def test_a_subject_without_an_alias_stands_for_itself() -> None:
    assert staged(a="b").resolve("c", count_max=ALL) == "c"
    assert staged(a="b").resolve("b", count_max=ALL) == "b"


def test_a_chain_leads_to_its_end_and_no_further_than_its_bound() -> None:
    store = staged(a="b", b="c", c="d")
    assert [store.resolve(name, count_max=ALL) for name in "abcd"] == ["d", "d", "d", "d"]
    assert [store.resolve("a", count_max=count_max) for count_max in (1, 2, 3, 4)] == ["a", "b", "c", "d"]


def test_all_names_of_a_loop_and_those_that_lead_into_it_stand_for_one() -> None:
    store = staged(a="z", z="é", é="m", m="z")
    assert {store.resolve(name, count_max=ALL) for name in ("a", "z", "é", "m")} == {"m"}
    assert staged(a="a").resolve("a", count_max=ALL) == "a"


def test_aliases_are_listed_by_how_their_subjects_begin() -> None:
    store = staged(Zug="a", Zürich="a", Za="b")
    assert [row.event.subject for row in store.aliases("Z", count_max=ALL)] == ["Za", "Zug", "Zürich"]
    assert [row.event.subject for row in store.aliases("Zu", count_max=ALL)] == ["Zug"]
