"""A commit that found no room: readers keep what was there, nothing else may come, and with room it is finished."""

from pathlib import Path

import pytest

from stores import Batch, HybridStore, StoreClosed, StoreFailed, StoreFull
from tests.stores.test_hybrid_full import batch_of, check
from tests.support.faulty_engines import Call, Crash, Faults, Killed, When, engine_numbers, open_faulty
from tests.support.stores import SMALL

POINTS: list[tuple[Call, When]] = [  # of a commit, in their order
    ("write.commit", "before"),
    ("write.commit", "after"),
    ("read.commit", "before"),
    ("read.commit", "after"),
    ("write.snapshot", "before"),
    ("read.snapshot", "before"),
]


def open_full(folder: Path, faults: Faults, call: Call, when: When) -> tuple[HybridStore, Batch]:
    """A store whose second commit has found no room, and that commit's batch."""
    store, batch = open_faulty(folder, faults, SMALL), batch_of(1)
    store.commit(batch_of(0))
    faults.add(Crash(call, when, 1, StoreFull))
    with pytest.raises(StoreFull):
        store.commit(batch)
    return store, batch


@pytest.mark.parametrize(("call", "when"), POINTS)
def test_commit_that_found_no_room_is_finished_by_resume_as_often_as_it_takes(
    tmp_path: Path, call: Call, when: When
) -> None:
    faults = Faults()
    store, batch = open_full(tmp_path, faults, call, when)
    for again in POINTS[POINTS.index((call, when)) :]:  # what RocksDB has is not written to it once more
        with store.snapshot() as snapshot:
            check(snapshot, 1)
        with pytest.raises(StoreFull, match="until it is resumed"):
            store.commit(batch_of(7))
        with pytest.raises(StoreFull):
            store.checkpoint(tmp_path.parent / "copy")
        faults.add(Crash(*again, 1, StoreFull))
        with pytest.raises(StoreFull):
            store.resume()
    faults.clear()
    assert store.resume() is batch
    assert store.resume() is None
    with store.snapshot() as snapshot:
        check(snapshot, 2)
    store.commit(batch_of(2))
    store.close()
    assert engine_numbers(tmp_path) == (3, 3)
    store = HybridStore.open(tmp_path, SMALL)
    with store.snapshot() as snapshot:
        check(snapshot, 3)
    store.close()


@pytest.mark.parametrize(
    ("call", "when", "killed"),
    [(*point, killed) for at, point in enumerate(POINTS) for killed in POINTS[at:]],
)
def test_process_that_dies_between_a_full_disk_and_its_resume_leaves_all_of_the_commit_or_nothing(
    tmp_path: Path, call: Call, when: When, killed: tuple[Call, When]
) -> None:
    faults = Faults()
    store, _ = open_full(tmp_path, faults, call, when)
    faults.add(Crash(*killed, 1, Killed))
    with pytest.raises(Killed):
        store.resume()
    store.close()
    store = HybridStore.open(tmp_path, SMALL)
    with store.snapshot() as snapshot:
        assert snapshot.position in (1, 2)
        check(snapshot, snapshot.position)
        count = snapshot.position
    store.commit(batch_of(count))
    with store.snapshot() as snapshot:
        check(snapshot, count + 1)
    store.close()


def test_store_that_fails_otherwise_while_it_resumes_takes_no_more(tmp_path: Path) -> None:
    faults = Faults()
    store, _ = open_full(tmp_path, faults, "write.commit", "before")
    faults.add(Crash("read.commit", "before", 1, StoreFailed))
    for _ in range(2):
        with pytest.raises(StoreFailed) as caught:
            store.resume()
        assert type(caught.value) is StoreFailed
    store.close()
    with pytest.raises(StoreClosed):
        store.resume()


def test_store_that_nothing_happened_to_has_nothing_to_resume(tmp_path: Path) -> None:
    store = HybridStore.open(tmp_path, SMALL)
    assert store.resume() is None
    store.close()
