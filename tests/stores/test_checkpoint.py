"""Checkpoints of the pair: one commit in both engines, whatever goes on meanwhile, or nothing at all."""

import random
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keycodec import meta_key, subject_postings_key, view_key
from stores import Batch, HybridStore, StoreClosed, StoreFailed, state_digest
from tests.support.faulty_engines import TINY, Call, Crash, Faults, Killed, When, engine_numbers, open_faulty
from tests.support.faulty_files import WAIT_S
from tests.support.stores import SMALL, Model, check_all, entry, random_batch

LIST = subject_postings_key("Tesla")
MIB = 1024 * 1024
ROOMY = SMALL._replace(map_bytes=64 * MIB)


class Writer:
    """Random batches with a cursor, into a store and a model beside it."""

    def __init__(self, store: HybridStore) -> None:
        self.store = store
        self.models = [Model()]  # by position
        self._generator = random.Random(1)

    def commit_many(self) -> None:
        for _ in range(50):
            self.commit()

    def commit(self) -> None:
        position = len(self.models)
        batch = random_batch(self._generator, lists=True, row_count=60)
        batch.put(meta_key("cursor"), position.to_bytes(8, "little"))
        model = self.models[-1].copy()
        model.apply(batch)
        self.models.append(model)
        self.store.commit(batch)


def check_copy(folder: Path, models: list[Model]) -> int:
    """The position of a copy, which holds what a store does at that position; commits go on in it."""
    numbers = engine_numbers(folder)
    assert numbers[0] == numbers[1]
    copy = HybridStore.open(folder, SMALL)
    with copy.snapshot() as snapshot:
        position = snapshot.position
        check_all(snapshot, models[position], lists=True)
    batch = Batch()
    batch.put(view_key("Tesla", "p"), b"of the copy")
    copy.commit(batch)
    copy.close()
    return position


def test_commits_go_on_while_pages_are_copied_and_are_not_in_the_copy(tmp_path: Path) -> None:
    faults = Faults()
    store = open_faulty(tmp_path / "store", faults, ROOMY)
    writer = Writer(store)
    for _ in range(20):
        writer.commit()
    faults.on_copy = writer.commit_many
    store.checkpoint(tmp_path / "copy")
    with store.snapshot() as snapshot:
        assert snapshot.position == 70
        check_all(snapshot, writer.models[70], lists=True)
    store.close()
    shutil.rmtree(tmp_path / "store")
    assert check_copy(tmp_path / "copy", writer.models) == 20


def test_checkpoints_under_threads_that_write_and_read_are_each_of_one_commit(tmp_path: Path) -> None:
    store = HybridStore.open(tmp_path / "store", ROOMY)
    writer, done = Writer(store), threading.Event()

    def write() -> None:
        while not done.is_set():
            writer.commit()

    def read() -> None:
        while not done.is_set():
            with store.snapshot() as snapshot:
                check_all(snapshot, writer.models[snapshot.position], lists=True)

    with ThreadPoolExecutor(2) as threads:
        work = [threads.submit(write), threads.submit(read)]
        try:
            for number in range(5):
                store.checkpoint(tmp_path / f"copy {number}")
        finally:
            done.set()
        for task in work:
            task.result(WAIT_S)
    store.close()
    positions = [check_copy(tmp_path / f"copy {number}", writer.models) for number in range(5)]
    assert positions == sorted(positions)


def test_copy_of_long_lists_and_large_values_has_the_same_digest(tmp_path: Path) -> None:
    store = HybridStore.open(tmp_path / "store", ROOMY)
    for step in range(4):
        batch = Batch()
        for number in range(step, 8000, 4):
            batch.add_posting(LIST, entry(number))
        for number in range(200):
            batch.put(view_key(f"subject {number}", "p"), b"%d" % step * (100 * number))
        store.commit(batch)
    store.checkpoint(tmp_path / "copy")
    copy = HybridStore.open(tmp_path / "copy", ROOMY)
    with copy.snapshot() as ours, store.snapshot() as theirs:
        assert ours.posting_count(LIST) == 8000
        assert state_digest(ours) == state_digest(theirs)
    copy.close()
    store.close()


def test_tables_are_linked_and_not_copied(tmp_path: Path) -> None:
    store = HybridStore.open(tmp_path / "store", ROOMY)
    writer = Writer(store)
    for _ in range(20):
        writer.commit()
    store.checkpoint(tmp_path / "copy")
    tables = list((tmp_path / "copy" / "write").glob("*.sst"))
    assert tables
    assert all(table.stat().st_nlink >= 2 for table in tables)
    store.close()


CALLS: list[tuple[Call, When]] = [
    ("write.flush", "before"),
    *(("write.copy", "before"), ("write.copy", "after")),
    *(("read.pages", "before"), ("write.snapshot", "before")),
    *(("read.copy", "before"), ("read.copy", "after")),
]


@pytest.mark.parametrize("error", [StoreFailed, Killed])
@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_copy_that_is_cut_short_leaves_nothing_under_its_name_and_the_store_goes_on(
    tmp_path: Path, call: tuple[Call, When], error: type[BaseException]
) -> None:
    faults = Faults()
    store = open_faulty(tmp_path / "store", faults, ROOMY)
    writer = Writer(store)
    writer.commit()
    faults.add(Crash(*call, 1, error))
    with pytest.raises(error):
        store.checkpoint(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert error is Killed or not (tmp_path / "copy.making").exists()
    writer.commit()
    store.checkpoint(tmp_path / "copy")
    assert not (tmp_path / "copy.making").exists()
    assert check_copy(tmp_path / "copy", writer.models) == 2
    store.close()


def grow_file(writer: Writer) -> None:
    for number in range(100):
        batch = Batch()
        batch.put(view_key("Tesla", "p"), b"%d" % number * 20_000)
        writer.store.commit(batch)


def fill_map(writer: Writer) -> None:
    batch = Batch()
    batch.put(view_key("Tesla", "p"), b"x" * MIB)
    writer.store.commit(batch)


@pytest.mark.parametrize(
    ("meanwhile", "why"),
    [(lambda writer: writer.store.close(), "closed"), (grow_file, "grew by"), (fill_map, "had to grow")],
    ids=["closed", "file grows", "map grows"],
)
def test_copy_whose_pages_could_not_be_kept_is_given_up(
    tmp_path: Path, meanwhile: Callable[[Writer], None], why: str
) -> None:
    map_bytes = MIB if meanwhile is fill_map else 64 * MIB
    options = TINY._replace(map_bytes=map_bytes, held_growth_bytes_max=MIB, grow_wait_s=0.01)
    faults = Faults()
    store = open_faulty(tmp_path / "store", faults, options)
    writer = Writer(store)
    writer.commit()
    faults.on_copy = lambda: meanwhile(writer)
    with pytest.raises(StoreClosed, match=why):
        store.checkpoint(tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    store.close()


def test_store_that_failed_makes_no_copy(tmp_path: Path) -> None:
    """RocksDB may be a commit ahead then."""
    faults = Faults()
    store = open_faulty(tmp_path / "store", faults, ROOMY)
    faults.add(Crash("read.commit", "before", 1, StoreFailed))
    with pytest.raises(StoreFailed):
        Writer(store).commit()
    with pytest.raises(StoreFailed, match="refuses work"):
        store.checkpoint(tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    store.close()
