"""Lineage: descendants of an assertion, each once, near ones first, with a bound."""

import pytest

from stores import LineageStore, LineageWriter, MemoryEngine, Posting, Staging, UnsupportedValue
from tests.support.stores import ALL, hash_hex


def digest(number: int) -> bytes:
    return bytes.fromhex(hash_hex(number))


def family(*links: tuple[int, int]) -> LineageStore:
    """Each link: a parent and its child; positions count up."""
    state = Staging(MemoryEngine().snapshot())
    for seq, (parent, child) in enumerate(links):
        LineageWriter(state).add_child(hash_hex(parent), Posting(seq, digest(child)))
    return LineageStore(state)


def numbers(postings: list[Posting]) -> list[int]:
    return [int.from_bytes(posting.digest, "big") for posting in postings]


def test_descendants_come_near_ones_first_then_in_log_order() -> None:
    store = family((1, 9), (9, 4), (1, 2), (2, 3), (4, 5), (7, 8))
    assert numbers(store.descendants(hash_hex(1), count_max=ALL)) == [9, 2, 4, 3, 5]
    assert numbers(store.descendants(hash_hex(5), count_max=ALL)) == []
    assert [posting.seq for posting in store.descendants(hash_hex(4), count_max=ALL)] == [4]


@pytest.mark.parametrize("count_max", [1, 2, 3, 4, 5, 6])
def test_descendants_stop_at_their_bound(count_max: int) -> None:
    store = family((1, 9), (9, 4), (1, 2), (2, 3), (4, 5))
    assert numbers(store.descendants(hash_hex(1), count_max=count_max)) == [9, 2, 4, 3, 5][:count_max]


def test_links_that_no_hash_could_have_made_are_still_walked_once() -> None:
    assert numbers(family((1, 2), (2, 1), (1, 1)).descendants(hash_hex(1), count_max=ALL)) == [2, 1]


def test_lists_keep_to_their_own_id_and_their_own_sort() -> None:
    state = Staging(MemoryEngine().snapshot())
    writer = LineageWriter(state)
    writer.add_child(hash_hex(1), Posting(1, digest(11)))
    writer.add_to_source(hash_hex(1), Posting(1, digest(12)))
    writer.add_to_epoch(hash_hex(1), Posting(1, digest(13)))
    writer.add_to_agent(hash_hex(1), Posting(1, digest(14)))
    writer.add_to_agent(hash_hex(2), Posting(1, digest(15)))
    lists = (writer.children, writer.of_source, writer.of_epoch, writer.of_agent)
    assert [numbers(one(hash_hex(1), count_max=ALL)) for one in lists] == [[11], [12], [13], [14]]


def test_an_entry_that_is_no_hash_is_refused() -> None:
    state = Staging(MemoryEngine().snapshot())
    LineageWriter(state).add_child(hash_hex(1), Posting(1, b"short"))
    with pytest.raises(UnsupportedValue):
        LineageStore(state).children(hash_hex(1), count_max=ALL)
