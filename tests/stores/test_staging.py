"""What a fold reads is what a snapshot after the commit will show."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keycodec import assertion_key, assertion_prefix, family_prefix, pair_postings_key
from stores import Batch, HybridStore, MemoryEngine, Staging
from tests.support.counted_reads import CountingReader
from tests.support.stores import (
    ALL,
    LIST_KEYS,
    ROW_KEYS,
    SMALL,
    Model,
    check_all,
    check_reads,
    entry,
    hash_hex,
    random_batch,
)

H = [assertion_key("Tesla", hash_hex(number)) for number in range(10)]
PAIR = pair_postings_key("Tesla", "revenue")


def replay(batch: Batch, state: Staging) -> None:
    for key, value in batch.rows.items():
        if value is None:
            state.delete(key)
        else:
            state.put(key, value)
    for key, entries in batch.postings.items():
        for one in entries:
            state.add_posting(key, one)


puts = st.tuples(st.just("put"), st.sampled_from(ROW_KEYS), st.binary(max_size=3))
deletes = st.tuples(st.just("delete"), st.sampled_from(ROW_KEYS), st.just(b""))
additions = st.tuples(st.just("add"), st.sampled_from(LIST_KEYS), st.integers(0, 9).map(entry))
operations = st.lists(st.one_of(puts, deletes, additions), max_size=30)


def run(state: Staging, chosen: list[tuple[str, bytes, bytes]]) -> None:
    for name, key, value in chosen:
        if name == "put":
            state.put(key, value)
        elif name == "delete":
            state.delete(key)
        else:
            state.add_posting(key, value)


@settings(max_examples=150)
@given(operations, operations, st.integers(0, 2**32))
def test_reads_through_staging_equal_those_of_a_snapshot_after_its_commit(
    first: list[tuple[str, bytes, bytes]], second: list[tuple[str, bytes, bytes]], seed: int
) -> None:
    engine, model = MemoryEngine(), Model()
    for chosen in (first, second):
        with engine.snapshot() as snapshot:
            state = Staging(snapshot)
            run(state, chosen)
            model.apply(state.batch)
            for _ in range(5):
                check_reads(state, model, random.Random(seed), lists=True)
            check_all(state, model, lists=True)
        engine.commit(state.batch)
        with engine.snapshot() as after:
            check_all(after, model, lists=True)


@pytest.mark.parametrize("seed", range(4))
def test_reads_through_staging_over_both_engines_equal_those_of_a_snapshot_after_its_commit(
    tmp_path: Path, seed: int
) -> None:
    generator, model = random.Random(seed), Model()
    store = HybridStore.open(tmp_path, SMALL)
    for _ in range(25):
        with store.snapshot() as snapshot:
            state = Staging(snapshot)
            for _ in range(3):  # reads between the writes, as folds do
                batch = random_batch(generator, lists=True)
                replay(batch, state)
                model.apply(batch)
                check_reads(state, model, generator, lists=True)
            check_all(state, model, lists=True)
        store.commit(state.batch)
        with store.snapshot() as after:
            check_all(after, model, lists=True)
    store.close()


def test_staging_changes_nothing_until_its_batch_is_committed() -> None:
    engine = MemoryEngine()
    with engine.snapshot() as snapshot:
        state = Staging(snapshot)
        state.put(H[0], b"1")
        state.add_posting(PAIR, entry(1))
        assert state.get(H[0]) == b"1"
        assert snapshot.get(H[0]) is None
    with engine.snapshot() as snapshot:
        check_all(snapshot, Model(), lists=True)


def test_staged_delete_hides_the_row_below() -> None:
    engine = MemoryEngine()
    batch = Batch()
    for key in H:
        batch.put(key, b"below")
    engine.commit(batch)
    with engine.snapshot() as snapshot:
        state = Staging(snapshot)
        for key in H[:9]:
            state.delete(key)
        state.put(H[3], b"back")
        found = [(H[3], b"back"), (H[9], b"below")]
        assert list(state.scan(assertion_prefix("Tesla"), count_max=2)) == found
        assert list(state.scan(assertion_prefix("Tesla"), count_max=1)) == found[:1]
        assert list(state.scan(assertion_prefix("Tesla"), after=H[3], count_max=ALL)) == found[1:]
        assert state.get_many([H[9], H[0], H[3], H[9]]) == [b"below", None, b"back", b"below"]


def test_row_that_is_asked_for_often_is_read_once_and_is_always_what_get_gives() -> None:
    engine, batch = MemoryEngine(), Batch()
    batch.put(b"a", b"1")
    engine.commit(batch)
    base = CountingReader(engine.snapshot())
    state = Staging(base)
    for key in (b"a", b"b"):
        assert [state.get_often(key) for _ in range(9)] == [engine.snapshot().get(key)] * 9
    assert base.rows == 2
    for key in (b"a", b"b"):
        state.put(key, b"2")
        assert state.get_often(key) == b"2"
        state.delete(key)
        assert state.get_often(key) is None


def test_posting_that_is_staged_and_there_is_one_posting() -> None:
    engine = MemoryEngine()
    batch = Batch()
    batch.add_posting(PAIR, entry(1))
    batch.add_posting(PAIR, entry(3))
    engine.commit(batch)
    with engine.snapshot() as snapshot:
        state = Staging(snapshot)
        for number in (3, 2, 3):
            state.add_posting(PAIR, entry(number))
        assert state.postings(PAIR, count_max=ALL) == [entry(1), entry(2), entry(3)]
        assert state.posting_count(PAIR) == 3
        assert state.postings(PAIR, after=entry(1), count_max=1) == [entry(2)]
        assert state.posting_keys(b"", count_max=ALL) == [PAIR]


def test_every_pooled_key_has_a_family_prefix() -> None:
    assert all(key.startswith(family_prefix(key)) for key in (*ROW_KEYS, *LIST_KEYS))
