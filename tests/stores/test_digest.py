"""Equal states have equal digests, on any engine; any change gives another."""

import random
from pathlib import Path

import pytest

from keycodec import known_subject_key, pair_postings_key, view_key
from stores import KV, Batch, HybridStore, MemoryEngine, digest, state_digest, state_postings, state_rows
from tests.support.stores import ROW_KEYS, SMALL, Model, entry, random_batch


def digest_of(store: KV) -> str:
    with store.snapshot() as snapshot:
        return state_digest(snapshot)


def batches(seed: int) -> list[Batch]:
    generator = random.Random(seed)
    return [random_batch(generator, lists=True, row_count=30) for _ in range(8)]


def in_memory(*chosen: Batch) -> MemoryEngine:
    engine = MemoryEngine()
    for batch in chosen:
        engine.commit(batch)
    return engine


def merged(chosen: list[Batch]) -> Batch:
    """One batch with the outcome of all of them, in another order."""
    model, whole = Model(), Batch()
    for batch in chosen:
        model.apply(batch)
    for key in sorted(model.rows, reverse=True):
        whole.put(key, model.rows[key])
    for key, entries in model.lists.items():
        for one in sorted(entries, reverse=True):
            whole.add_posting(key, one)
    return whole


@pytest.mark.parametrize("seed", range(4))
def test_equal_content_has_an_equal_digest_on_every_engine_and_by_every_way(tmp_path: Path, seed: int) -> None:
    chosen = batches(seed)
    expected = digest_of(in_memory(*chosen))
    assert digest_of(in_memory(merged(chosen))) == expected
    for name, way in (("one by one", chosen), ("at once", [merged(chosen)])):
        store = HybridStore.open(tmp_path / name, SMALL)
        for batch in way:
            store.commit(batch)
        assert digest_of(store) == expected
        store.close()
        store = HybridStore.open(tmp_path / name, SMALL)
        assert digest_of(store) == expected
        store.close()


def test_one_other_byte_anywhere_gives_another_digest() -> None:
    whole = merged(batches(1))
    seen = {digest_of(in_memory(whole))}
    for key, value in list(whole.rows.items()):
        assert value is not None
        for changed in (value + b"\0", bytes([value[0] ^ 1]) + value[1:] if value else b"x", None):
            other = Batch()
            other.rows.update({**whole.rows, key: changed})
            other.postings.update(whole.postings)
            seen.add(digest_of(in_memory(other)))
    for key, entries in whole.postings.items():
        for one in entries:
            other = Batch()
            other.rows.update(whole.rows)
            other.postings.update({**whole.postings, key: entries - {one} | {entry(77)}})
            seen.add(digest_of(in_memory(other)))
    assert len(seen) == 1 + 3 * len(whole.rows) + sum(map(len, whole.postings.values()))


def test_bytes_that_move_between_key_and_value_give_another_digest() -> None:
    def rows(*pairs: tuple[bytes, bytes]) -> MemoryEngine:
        batch = Batch()
        batch.rows.update(pairs)
        return in_memory(batch)

    one = rows((view_key("a", "p"), b"qx"))
    other = rows((view_key("a", "pq"), b"x"))
    two = rows((view_key("a", "p"), b""), (view_key("a", "q"), b"x"))
    assert len({digest_of(one), digest_of(other), digest_of(two)}) == 3


def test_row_and_posting_of_the_same_bytes_differ() -> None:
    row, posting = Batch(), Batch()
    key = pair_postings_key("a", "p")
    row.put(key, entry(1))
    posting.add_posting(key, entry(1))
    assert digest_of(in_memory(row)) != digest_of(in_memory(posting))


def test_digest_reads_on_past_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = batches(2)
    engine = in_memory(*chosen)
    whole = digest_of(engine)
    with engine.snapshot() as snapshot:
        rows, postings = list(state_rows(snapshot)), list(state_postings(snapshot))
    for page_size in (1, 2, 3, len(ROW_KEYS)):
        monkeypatch.setattr(digest, "SCAN_COUNT_MAX", page_size)
        with engine.snapshot() as snapshot:
            assert list(state_rows(snapshot)) == rows
            assert list(state_postings(snapshot)) == postings
        assert digest_of(engine) == whole


def test_digest_of_nothing_is_a_hash_too() -> None:
    empty, one = MemoryEngine(), MemoryEngine()
    batch = Batch()
    batch.put(known_subject_key("a"), b"")
    one.commit(batch)
    assert len(digest_of(empty)) == 64
    assert digest_of(empty) != digest_of(one)
