"""Snapshots that are held: what they cost is bounded, and no store waits for ever or dies of them."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keycodec import assertion_key, known_subject_key, known_subject_prefix, meta_key, subject_postings_key, view_key
from stores import Batch, HybridSnapshot, HybridStore, StoreClosed, StoreOptions
from stores.engines import views
from tests.support.faulty_files import WAIT_S
from tests.support.stores import ALL, SMALL, entry, hash_hex

MIB = 1024 * 1024
BOUNDED = StoreOptions(memory_bytes=MIB, map_bytes=64 * MIB, held_growth_bytes_max=MIB, sync_bytes_max=MIB // 8)


def batch_of(number: int, size: int = 10) -> Batch:
    batch = Batch()
    batch.put(view_key("Tesla", "p"), b"%d " % number + b"x" * size)
    batch.put(assertion_key("Tesla", hash_hex(number)), b"")
    batch.add_posting(subject_postings_key("Tesla"), entry(number))
    batch.put(meta_key("cursor"), (number + 1).to_bytes(8, "little"))
    return batch


def check_closed(snapshot: HybridSnapshot, match: str) -> None:
    for read in (
        lambda: snapshot.get(view_key("Tesla", "p")),
        lambda: snapshot.get(assertion_key("Tesla", hash_hex(1))),
        lambda: snapshot.get_many([known_subject_key("Tesla")]),
        lambda: list(snapshot.scan(b"", count_max=1)),
        lambda: snapshot.postings(subject_postings_key("Tesla"), count_max=1),
        lambda: snapshot.posting_count(subject_postings_key("Tesla")),
        lambda: snapshot.posting_keys(b"", count_max=1),
    ):
        with pytest.raises(StoreClosed, match=match):
            read()


def test_store_closes_while_snapshots_are_held_and_they_refuse_further_reads(tmp_path: Path) -> None:
    store = HybridStore.open(tmp_path, SMALL)
    batch = batch_of(0)
    for number in range(600):
        batch.put(known_subject_key(f"subject {number}"), b"")
    store.commit(batch)
    older = store.snapshot()
    store.commit(batch_of(1))
    newer, scan = store.snapshot(), store.snapshot().scan(b"", count_max=ALL)
    next(scan)
    store.close()
    for snapshot in (older, newer):
        check_closed(snapshot, "the store is closed")
    with pytest.raises(StoreClosed):
        list(scan)
    again = HybridStore.open(tmp_path, SMALL)  # nothing holds the folder any more
    older.close()
    newer.close()
    with again.snapshot() as snapshot:
        assert snapshot.position == 2
    again.close()


def test_store_closes_under_threads_that_read(tmp_path: Path) -> None:
    store = HybridStore.open(tmp_path, SMALL)
    batch = batch_of(0)
    for number in range(2000):
        batch.put(known_subject_key(f"subject {number}"), b"")
    store.commit(batch)
    reading = threading.Barrier(4)

    def read() -> None:
        with store.snapshot() as snapshot:
            reading.wait(WAIT_S)
            while True:
                assert len(list(snapshot.scan(known_subject_prefix(), count_max=ALL))) == 2000
                assert snapshot.get(view_key("Tesla", "p")) == b"0 xxxxxxxxxx"

    with ThreadPoolExecutor(3) as threads:
        readers = [threads.submit(read) for _ in range(3)]
        reading.wait(WAIT_S)
        store.close()
        for reader in readers:
            with pytest.raises(StoreClosed):
                reader.result(WAIT_S)
    HybridStore.open(tmp_path, SMALL).close()


def test_snapshot_that_makes_the_file_grow_is_warned_of_then_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = HybridStore.open(tmp_path, BOUNDED)
    store.commit(batch_of(0))
    held = store.snapshot()
    warned_at = ended_at = None
    with caplog.at_level(logging.WARNING):
        for number in range(1, 100):
            store.commit(batch_of(number, 50_000))
            if warned_at is None and "while a snapshot of position 1 is held" in caplog.text:
                warned_at = number
                assert held.get(view_key("Tesla", "p")) == b"0 xxxxxxxxxx"
            if "a snapshot of position 1 is ended" in caplog.text:
                ended_at = number
                break
    assert warned_at is not None
    assert ended_at is not None
    assert 5 < warned_at < ended_at < 60
    check_closed(held, "grew by")
    held.close()
    store.close()


def test_file_stops_growing_once_the_snapshot_is_ended(tmp_path: Path) -> None:
    store = HybridStore.open(tmp_path, BOUNDED)
    held = store.snapshot()
    for number in range(300):
        store.commit(batch_of(number, 50_000))
    assert (tmp_path / "read" / "data.mdb").stat().st_size < 3 * MIB
    held.close()
    store.close()


def test_newest_snapshot_is_never_ended(tmp_path: Path) -> None:
    store = HybridStore.open(tmp_path, BOUNDED)
    with store.snapshot():
        store.commit(batch_of(0, 5 * MIB))
        with store.snapshot() as newest:
            store.commit(batch_of(1))
            assert (newest.get(view_key("Tesla", "p")) or b"")[:2] == b"0 "
    store.close()


def test_more_held_moments_than_there_is_room_for_end_the_oldest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "VIEWS_MAX", 5)
    store = HybridStore.open(tmp_path, SMALL)
    held = []
    for number in range(8):
        store.commit(batch_of(number))
        held.append(store.snapshot())
    store.commit(batch_of(8))
    for snapshot in held[:3]:
        check_closed(snapshot, "more than 5 moments")
    for number, snapshot in enumerate(held[3:], 3):
        assert snapshot.get(view_key("Tesla", "p")) == b"%d xxxxxxxxxx" % number
    for snapshot in held:
        snapshot.close()
    store.commit(batch_of(9))
    store.close()


def test_position_is_that_of_the_snapshot_and_not_of_the_store(tmp_path: Path) -> None:
    store = HybridStore.open(tmp_path, SMALL)
    with store.snapshot() as empty:
        store.commit(batch_of(0))
        with store.snapshot() as one:
            store.commit(batch_of(1))
            with store.snapshot() as two:
                assert (empty.position, one.position, two.position) == (0, 1, 2)
    store.close()
