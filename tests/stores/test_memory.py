"""The memory engine beyond the suite that all share: what a snapshot costs, and its sorted keys."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores import Batch, MemoryEngine, StoreFailed, UnsupportedStore
from stores.engines import sorted_keys
from stores.engines.sorted_keys import SortedKeys
from tests.support.stores import ALL, entry

KEYS = st.binary(min_size=1, max_size=3)


def filled(count: int) -> MemoryEngine:
    engine, batch = MemoryEngine(), Batch()
    for number in range(count):
        batch.put(b"%06d" % number, b"value")
        batch.add_posting(b"list", entry(number))
    engine.commit(batch)
    return engine


def test_snapshot_copies_nothing_however_large_the_store() -> None:
    engine = filled(20_000)
    tracemalloc.start()
    try:
        held = [engine.snapshot() for _ in range(100)]
        taken = tracemalloc.get_traced_memory()[0]
        batch = Batch()
        batch.put(b"000007", b"new")
        batch.add_posting(b"list", entry(10**6))
        engine.commit(batch)
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken < 200_000
    assert kept < 400_000
    for snapshot in held:
        assert snapshot.get(b"000007") == b"value"
        assert snapshot.posting_count(b"list") == 20_000


def test_snapshot_that_nobody_holds_any_more_costs_commits_nothing() -> None:
    engine = filled(10)
    with engine.snapshot():
        pass
    engine.snapshot()  # not closed, but gone
    held = engine.snapshot()
    assert list(engine._maps.held) == [held]


def test_row_that_comes_and_goes_under_a_snapshot_is_as_it_was() -> None:
    engine = filled(600)
    held = engine.snapshot()
    for value in (b"1", None, b"2", None):
        batch = Batch()
        for key in (b"000300", b"000300x", b"9"):
            batch.rows[key] = value
        engine.commit(batch)
    assert [key for key, _ in held.scan(b"", count_max=ALL)] == [b"%06d" % number for number in range(600)]
    assert held.get(b"000300") == b"value"
    with engine.snapshot() as now:
        assert now.get(b"000300") is None
        assert len(list(now.scan(b"", count_max=ALL))) == 599


def test_size_is_the_bytes_of_what_is_there() -> None:
    engine = MemoryEngine()
    for value, size in ((b"123", 6), (b"1", 4), (None, 0), (None, 0), (b"", 3)):
        batch = Batch()
        batch.rows[b"key"] = value
        engine.commit(batch)
        assert engine.size_bytes() == size
    batch = Batch()
    batch.add_posting(b"list", entry(1))
    for _ in range(2):
        engine.commit(batch)
        assert engine.size_bytes() == 43


@pytest.mark.parametrize("data", [b"", b"junk", b"\x93\xa1x\x80\x80"])
def test_file_that_is_no_dump_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "memory.dump").write_bytes(data)
    with pytest.raises(UnsupportedStore, match=r"memory\.dump"):
        MemoryEngine.open(tmp_path)
    with pytest.raises(StoreFailed):
        MemoryEngine.open(tmp_path / "missing")


@given(st.lists(st.tuples(st.booleans(), KEYS)), KEYS, st.none() | KEYS, st.integers(1, 50))
def test_sorted_keys_are_as_a_sorted_list(
    steps: list[tuple[bool, bytes]], start: bytes, end: bytes | None, count_max: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_keys, "_BLOCK_MAX", 4)
        keys, expected = SortedKeys(), set[bytes]()
        for is_added, key in steps:
            if is_added and key not in expected:
                keys.add(key)
                expected.add(key)
            elif not is_added and key in expected:
                keys.remove(key)
                expected.remove(key)
        within = sorted(key for key in expected if key >= start and (end is None or key < end))
        assert keys.between(start, end, count_max) == within[:count_max]
        assert keys.between(b"", None, 10**6) == sorted(expected)
