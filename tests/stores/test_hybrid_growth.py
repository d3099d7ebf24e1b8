"""LMDB's map fills and grows by itself, while readers hold snapshots and after a crash."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keycodec import known_subject_key, meta_key, subject_postings_key, view_key
from stores import Batch, HybridStore, StoreClosed, StoreFailed, StoreOptions
from tests.support.faulty_engines import TINY, Crash, Faults, Killed, When, engine_numbers, open_faulty
from tests.support.faulty_files import WAIT_S
from tests.support.stores import ALL, entry

BIG = b"x" * 40_000  # two of them are more than the tiny map
LIST = subject_postings_key("Tesla")


def batch_of(number: int, value: bytes = BIG) -> Batch:
    batch = Batch()
    batch.put(view_key("Tesla", f"p{number:04}"), value + b"%d" % number)
    batch.add_posting(LIST, entry(number))
    return batch


def check(store: HybridStore, count: int) -> None:
    with store.snapshot() as snapshot:
        for number in range(count):
            assert snapshot.get(view_key("Tesla", f"p{number:04}")) == BIG + b"%d" % number
        assert snapshot.get(view_key("Tesla", f"p{count:04}")) is None
        assert snapshot.postings(LIST, count_max=ALL) == [entry(number) for number in range(count)]


def test_map_grows_as_often_as_it_takes(tmp_path: Path) -> None:
    faults = Faults()
    store = open_faulty(tmp_path, faults)
    for number in range(40):
        store.commit(batch_of(number))
    check(store, 40)
    store.close()
    assert faults.calls["read.grow", "after"] >= 4
    store = HybridStore.open(tmp_path, TINY)
    check(store, 40)
    store.commit(batch_of(40))
    check(store, 41)
    store.close()


def test_one_batch_larger_than_the_doubled_map_grows_it_more_than_once(tmp_path: Path) -> None:
    faults = Faults()
    store = open_faulty(tmp_path, faults)
    store.commit(batch_of(0, b"y" * 2_000_000))
    assert faults.calls["read.grow", "after"] >= 4
    with store.snapshot() as snapshot:
        assert snapshot.get(view_key("Tesla", "p0000")) == b"y" * 2_000_000 + b"0"
    store.close()


def test_growth_waits_for_readers_that_let_go_in_another_thread(tmp_path: Path) -> None:
    faults, full = Faults(), threading.Event()
    faults.on_map_full = full.set
    store = open_faulty(tmp_path, faults)
    store.commit(batch_of(0))
    held = [store.snapshot() for _ in range(5)]
    with ThreadPoolExecutor(2) as threads:
        commit = threads.submit(store.commit, batch_of(1))
        assert full.wait(WAIT_S)
        for snapshot in held:
            assert not commit.done(), "the map must not move under a reader"
            assert snapshot.get(view_key("Tesla", "p0000")) == BIG + b"0"
            assert snapshot.get(view_key("Tesla", "p0001")) is None
            threads.submit(snapshot.close).result(WAIT_S)
        commit.result(WAIT_S)
    check(store, 2)
    store.close()


def test_readers_that_come_and_go_while_the_map_grows_see_whole_states(tmp_path: Path) -> None:
    store = HybridStore.open(tmp_path, TINY)
    done = threading.Event()

    def read() -> int:
        reads = 0
        while not done.is_set():
            with store.snapshot() as snapshot:
                count = snapshot.posting_count(LIST)
                assert snapshot.get(view_key("Tesla", f"p{count:04}")) is None
                assert count == 0 or snapshot.get(view_key("Tesla", f"p{count - 1:04}")) == BIG + b"%d" % (count - 1)
                assert len(list(snapshot.scan(view_key("Tesla", "p")[:-1], count_max=ALL))) == count
            reads += 1
        return reads

    with ThreadPoolExecutor(3) as threads:
        readers = [threads.submit(read) for _ in range(3)]
        try:
            for number in range(60):
                store.commit(batch_of(number))
        finally:
            done.set()
        assert all(reader.result(WAIT_S) > 0 for reader in readers)
    check(store, 60)
    store.close()


def test_readers_that_never_let_go_lose_their_snapshot_and_the_commit_goes_on(tmp_path: Path) -> None:
    store = HybridStore.open(tmp_path, TINY._replace(grow_wait_s=0.01))
    store.commit(batch_of(0))
    with store.snapshot() as held:
        store.commit(batch_of(1))
        for _ in range(2):
            with pytest.raises(StoreClosed, match="map had to grow"):
                held.get(view_key("Tesla", "p0000"))
        with pytest.raises(StoreClosed, match="map had to grow"):
            held.postings(LIST, count_max=1)
        check(store, 2)
    store.commit(batch_of(2))
    check(store, 3)
    store.close()


def test_map_that_is_nearly_full_grows_while_nobody_reads(tmp_path: Path) -> None:
    faults = Faults()
    store = open_faulty(tmp_path, faults, TINY._replace(map_bytes=400 * 1024))

    def full() -> None:
        raise AssertionError("the map was let run full")

    faults.on_map_full = full
    for number in range(100):
        store.commit(batch_of(number))
        check(store, number + 1)
    assert faults.calls["read.grow", "after"] >= 3
    store.close()


def test_map_that_is_nearly_full_waits_for_no_reader(tmp_path: Path) -> None:
    faults = Faults()
    store = open_faulty(tmp_path, faults, TINY._replace(map_bytes=1024 * 1024))
    with store.snapshot() as held:
        count = 0
        while (tmp_path / "read" / "data.mdb").stat().st_size < 0.8 * 1024 * 1024:
            store.commit(batch_of(count))
            count += 1
        assert faults.calls["read.grow", "before"] == 0
        assert held.posting_count(LIST) == 0
    store.commit(batch_of(count))
    assert faults.calls["read.grow", "after"] == 1
    check(store, count + 1)
    store.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_failed_growth_is_told_to_readers_and_writers_and_mended_by_reopening(tmp_path: Path, when: When) -> None:
    faults = Faults()
    store = open_faulty(tmp_path, faults)
    store.commit(batch_of(0))
    faults.add(Crash("read.grow", when, 1, StoreFailed))
    with pytest.raises(StoreFailed):
        store.commit(batch_of(1))
    with pytest.raises(StoreFailed):
        store.snapshot()
    store.close()
    store = open_faulty(tmp_path, faults)
    check(store, 2)
    store.close()


def test_redo_at_open_grows_the_map(tmp_path: Path) -> None:
    faults = Faults()
    store = open_faulty(tmp_path, faults)
    store.commit(batch_of(0))
    faults.add(Crash("read.commit", "before", 1, Killed))
    with pytest.raises(Killed):
        store.commit(batch_of(1))
    store.close()
    assert engine_numbers(tmp_path) == (2, 1)
    before = faults.calls["read.grow", "after"]
    store = open_faulty(tmp_path, faults)
    assert faults.calls["read.grow", "after"] > before
    check(store, 2)
    store.close()
    assert engine_numbers(tmp_path) == (2, 2)


@pytest.mark.parametrize("map_bytes", [24 * 1024, 28 * 1024, 32 * 1024, 64 * 1024])
def test_first_commit_of_a_new_store_may_grow_its_map(tmp_path: Path, map_bytes: int) -> None:
    store = HybridStore.open(tmp_path, TINY._replace(map_bytes=map_bytes, grow_wait_s=0.01))
    batch = Batch()
    batch.put(meta_key("log"), bytes(16))
    store.commit(batch)
    with store.snapshot() as snapshot:
        assert snapshot.get(meta_key("log")) == bytes(16)
    store.close()


def test_map_smaller_than_what_is_there_opens(tmp_path: Path) -> None:
    store = HybridStore.open(tmp_path, StoreOptions(memory_bytes=1024 * 1024, map_bytes=8 * 1024 * 1024))
    for number in range(20):
        store.commit(batch_of(number))
    store.close()
    store = HybridStore.open(tmp_path, TINY)
    check(store, 20)
    batch = Batch()
    batch.put(known_subject_key("Tesla"), b"")
    store.commit(batch)
    check(store, 20)
    store.close()
