"""Aliases: every name of one thing leads to the same name, and all of them are found from any, as of any position."""

import random
from itertools import pairwise
from typing import Final

import pytest

from stores import ALIAS_CLASS_MAX, ALIAS_LINKS_MAX, AliasRow, AliasStore, AliasWriter, MemoryEngine, Staging
from tests.support.stores import ALL
from tests.support.values import ALIAS_ROW, changed

NAMES: Final = ("a", "b", "c", "d", "e", "é", "z")


def row(subject: str, same_as: str, seq: int = 1) -> AliasRow:
    return AliasRow(changed(ALIAS_ROW.event, subject=subject, same_as=same_as), seq.to_bytes(32, "big"), seq, 0)


def said(*rows: AliasRow) -> AliasStore:
    state = Staging(MemoryEngine().snapshot())
    for one in rows:
        AliasWriter(state).put(one)
    return AliasStore(state)


def staged(**links: str) -> AliasStore:
    return said(*(row(subject, same_as) for subject, same_as in links.items()))


def test_a_subject_without_an_alias_stands_for_itself() -> None:
    assert staged(a="b").canonical("c") == "c"
    assert staged(a="b").canonical("b") == "b"
    assert staged(a="b").same("c") == ("c",)


def test_a_chain_leads_to_its_end() -> None:
    store = staged(a="b", b="c", c="d")
    assert [store.canonical(name) for name in "abcd"] == ["d", "d", "d", "d"]


def test_all_names_of_a_loop_and_those_that_lead_into_it_stand_for_one() -> None:
    store = staged(a="z", z="é", é="m", m="z")
    assert {store.canonical(name) for name in ("a", "z", "é", "m")} == {"m"}
    assert {store.same(name) for name in ("a", "z", "é", "m")} == {("a", "m", "z", "é")}


def test_alias_of_itself_takes_the_alias_back() -> None:
    store = said(row("a", "b", 1), row("a", "a", 5))
    assert [store.canonical("a", at) for at in (0, 1, 4, 5, None)] == ["a", "b", "b", "a", "a"]
    assert [store.same("b", at) for at in (0, 1, 4, 5, None)] == [("b",), ("a", "b"), ("a", "b"), ("b",), ("b",)]
    found = store.get("a")
    assert found is not None
    assert found.same_as is None


def test_aliases_are_listed_by_how_their_subjects_begin() -> None:
    store = staged(Zug="a", Zürich="a", Za="b")
    assert [one.event.subject for one in store.aliases("Z", count_max=ALL)] == ["Za", "Zug", "Zürich"]
    assert [one.event.subject for one in store.aliases("Zu", count_max=ALL)] == ["Zug"]


def test_positions_are_those_of_the_subject_alone_in_log_order() -> None:
    store = said(row("a", "b", 9), row("a", "c", 3), row("ab", "c", 4), row("a", "a", 2**40))
    assert store.positions("a", count_max=ALL) == [3, 9, 2**40]
    assert store.positions("a", count_max=2) == [9, 2**40]
    assert store.positions("b", count_max=ALL) == []


def test_class_is_cut_at_its_bound_nearest_first() -> None:
    store = staged(a="b", b="c", c="d")
    assert [store.same("a", count_max=count_max) for count_max in (1, 2, 3, 4)] == [
        ("a",),
        ("a", "b"),
        ("a", "b", "c"),
        ("a", "b", "c", "d"),
    ]


def test_every_bound_is_above_what_a_writer_lets_in() -> None:
    """A chain of the longest class is walked to its end."""
    names = [f"{number:03}" for number in range(ALIAS_CLASS_MAX)]
    store = said(*(row(older, newer) for older, newer in pairwise(names)))
    assert store.canonical(names[0]) == names[-1]
    assert store.same(names[50]) == tuple(names)
    assert ALIAS_LINKS_MAX >= ALIAS_CLASS_MAX


def test_class_with_an_alias_is_what_it_would_be_and_nothing_is_written() -> None:
    store = staged(a="b", c="d", e="d")
    assert store.same_with(row("a", "d", 2), count_max=ALL) == ("a", "c", "d", "e")
    assert store.same_with(row("b", "c", 2), count_max=ALL) == ("a", "b", "c", "d", "e")
    assert store.same("a") == ("a", "b")


def test_ever_same_knows_aliases_that_were_taken_back() -> None:
    store = said(row("a", "b", 1), row("a", "c", 2), row("a", "a", 3), row("d", "b", 4))
    assert store.ever_same("c") == ("a", "b", "c", "d")
    assert store.same("c") == ("c",)


@pytest.mark.parametrize("seed", range(20))
def test_classes_as_of_any_position_are_those_of_the_aliases_said_by_then_in_whatever_order(seed: int) -> None:
    """Against a plain count of what is connected."""
    generator = random.Random(seed)
    rows = [row(generator.choice(NAMES), generator.choice(NAMES), seq) for seq in range(12)]
    shuffled = generator.sample(rows, len(rows))
    in_order, late = said(*rows), said(*shuffled)
    for at in range(12):
        links = {one.event.subject: one.event.same_as for one in rows if one.seq <= at}
        for name in NAMES:
            expected = connected(links, name)
            for store in (in_order, late):
                assert store.same(name, at) == expected
                assert store.canonical(name, at) == end_of(links, name)


def connected(links: dict[str, str], name: str) -> tuple[str, ...]:
    found = {name}
    while True:
        more = {end for link in links.items() for end in link if found & set(link)} | found
        if more == found:
            return tuple(sorted(found))
        found = more


def end_of(links: dict[str, str], name: str) -> str:
    path = [name]
    while links.get(path[-1], path[-1]) != path[-1]:
        following = links[path[-1]]
        if following in path:
            return min(path[path.index(following) :])
        path.append(following)
    return path[-1]
