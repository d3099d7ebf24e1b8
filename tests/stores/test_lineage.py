"""Lineage: descendants of an assertion, each once, near ones first, with a bound."""

import random
from collections.abc import Sequence

import pytest

from keycodec import child_key
from stores import LineageStore, LineageWriter, MemoryEngine, Posting, Staging, UnsupportedValue, pack_posting
from tests.support.stores import ALL, hash_hex


def digest(number: int) -> bytes:
    return bytes.fromhex(hash_hex(number))


def family(*links: tuple[int, int]) -> LineageStore:
    """Each link: a parent and its child; positions count up."""
    state = Staging(MemoryEngine().snapshot())
    for seq, (parent, child) in enumerate(links):
        LineageWriter(state).add_children(hash_hex(parent), [pack_posting(seq, digest(child))])
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
    writer.add_children(hash_hex(1), [pack_posting(1, digest(11))])
    writer.add_to_source(hash_hex(1), [pack_posting(1, digest(12))])
    writer.add_to_epoch(hash_hex(1), [pack_posting(1, digest(13))])
    writer.add_to_agent(digest(1), [pack_posting(1, digest(14))])
    writer.add_to_agent(digest(2), [pack_posting(1, digest(15))])
    writer.add_replaced(hash_hex(1), Posting(1, digest(16)))
    lists = (writer.children, writer.of_source, writer.of_epoch, writer.of_agent, writer.replaced_by)
    assert [numbers(one(hash_hex(1), count_max=ALL)) for one in lists] == [[11], [12], [13], [14], [16]]


SEQS = (0, 1, 254, 255, 256, 257, 511, 512, 2**32, 2**40)


def filled(seqs: Sequence[int], at_once: int) -> Staging:
    """An agent's list, so many entries being added together; each entry's hash is its position."""
    state = Staging(MemoryEngine().snapshot())
    entries = [pack_posting(seq, digest(seq)) for seq in seqs]
    for start in range(0, len(entries), at_once):
        LineageWriter(state).add_to_agent(digest(1), sorted(entries[start : start + at_once]))
    return state


def test_rows_of_a_list_do_not_depend_on_what_is_added_together_nor_on_its_order() -> None:
    shuffled = random.Random(1).sample(SEQS, len(SEQS))
    states = [filled(seqs, at_once) for seqs in (SEQS, shuffled, SEQS + SEQS[:5]) for at_once in (1, 2, 3, len(SEQS))]
    assert len({tuple(sorted(state.batch.rows.items())) for state in states}) == 1
    assert len(states[0].batch.rows) == 5, "a row for each block of 256 positions"


def test_list_is_read_as_of_a_position_and_from_one() -> None:
    store = LineageStore(filled(SEQS, 3))
    for at in (*SEQS, 2, 300, None):
        for after in (*SEQS, 2, 300, None):
            kept = [seq for seq in SEQS if (at is None or seq <= at) and (after is None or seq > after)]
            for count_max in (1, 2, 4, ALL):
                found = store.of_agent(hash_hex(1), after=after, at=at, count_max=count_max)
                assert numbers(found) == [posting.seq for posting in found] == kept[:count_max]


def test_what_is_taken_off_leaves_the_rest_and_an_empty_row_goes() -> None:
    state = Staging(MemoryEngine().snapshot())
    writer = LineageWriter(state)
    for seq in (3, 4):
        writer.add_replaced(hash_hex(1), Posting(seq, digest(seq)))
    writer.remove_replaced(hash_hex(1), Posting(3, digest(3)))
    assert numbers(writer.replaced_by(hash_hex(1), count_max=ALL)) == [4]
    writer.remove_replaced(hash_hex(1), Posting(4, digest(4)))
    assert list(state.batch.rows.values()) == [None]


def test_descendants_as_of_a_position_come_by_links_that_were_there() -> None:
    store = family((1, 9), (9, 4), (1, 2), (2, 3))
    assert [numbers(store.descendants(hash_hex(1), at=at, count_max=ALL)) for at in range(4)] == [
        [9],
        [9, 4],
        [9, 2, 4],
        [9, 2, 4, 3],
    ]


@pytest.mark.parametrize("data", [b"", b"short", bytes(41)])
def test_row_that_has_no_whole_entries_is_refused(data: bytes) -> None:
    state = Staging(MemoryEngine().snapshot())
    state.put(child_key(hash_hex(1), 0), data)
    with pytest.raises(UnsupportedValue):
        LineageStore(state).children(hash_hex(1), count_max=ALL)
