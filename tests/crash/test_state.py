"""The short version of the state campaign, and that it sees what it is there to see."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stores import Batch, HybridStore, StoreError
from stores.engines import hybrid, synced
from stores.engines.redo import encode_redo, split
from stores.engines.synced import Mark
from stores.engines.syncing import Syncing
from tests.crash.state_campaign import kill, make_states


def quiet(_: str) -> None:
    pass


def test_stores_that_are_cut_short_hold_exactly_what_they_report(tmp_path: Path) -> None:
    found = make_states(tmp_path, states=200, seed=7, report=quiet)
    expected = ["one more than acknowledged", "log cut", "meta page lost", "copies", "StoreFailed at a call", "resumed"]
    expected += ["power cut", "some lost that were not synced"]
    assert {name for name in expected if found[name] < 3} == set(), found


def test_stores_whose_process_is_killed_hold_exactly_what_they_report(tmp_path: Path) -> None:
    found = kill(tmp_path, kills=5, seed=7, report=quiet)
    assert found["kills"] == 5


def without_redo(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hybrid, "encode_redo", lambda number, _: encode_redo(number, Batch()))


def redo_without_lists(patch: pytest.MonkeyPatch) -> None:
    def encode(number: int, batch: Batch) -> bytes:
        part = Batch()
        part.rows = batch.rows
        return encode_redo(number, part)

    patch.setattr(hybrid, "encode_redo", encode)


def redo_of_the_commit_before(patch: pytest.MonkeyPatch) -> None:
    last: list[Batch] = [Batch()]

    def encode(number: int, batch: Batch) -> bytes:
        last.append(batch)
        return encode_redo(number, last.pop(0))

    patch.setattr(hybrid, "encode_redo", encode)


def redo_that_nobody_applies(patch: pytest.MonkeyPatch) -> None:
    recover = HybridStore._recover

    def skip(store: HybridStore) -> int:
        with patch.context() as inner:
            inner.setattr(HybridStore, "_apply_read", lambda *_: None)
            return recover(store)

    patch.setattr(HybridStore, "_recover", skip)


def lmdb_first(patch: pytest.MonkeyPatch) -> None:
    def commit(store: HybridStore, batch: Batch) -> None:
        own, other = split(batch)
        number = store._number + 1
        own.rows[hybrid._COMMIT_KEY] = other.rows[hybrid._COMMIT_KEY] = hybrid._COMMIT.pack(number)
        try:
            store._apply_read(other)
            store._write.write(own)
            store._publish()
        except BaseException as error:
            store._failure = error
            store._views.end(store._failed())
            raise
        store._number = number

    patch.setattr(HybridStore, "commit", commit)


def lmdb_in_two_parts_and_a_sync_between(patch: pytest.MonkeyPatch) -> None:
    apply = HybridStore._apply_read

    def apply_in_parts(store: HybridStore, batch: Batch) -> None:
        rows, lists = Batch(), Batch()
        rows.rows, lists.postings = batch.rows, batch.postings
        apply(store, rows)
        store._syncing.sync()
        apply(store, lists)

    patch.setattr(HybridStore, "_apply_read", apply_in_parts)


def nothing_put_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(synced, "_put_back", lambda _: None)


def synced_pages_not_kept(patch: pytest.MonkeyPatch) -> None:
    def hold(_: Syncing, mark: Mark) -> None:
        mark.snapshot.close()

    patch.setattr(Syncing, "_hold", hold)


def redos_dropped_before_their_sync(patch: pytest.MonkeyPatch) -> None:
    committed = Syncing.committed

    def drop(syncing: Syncing, key: bytes, redo_bytes: int) -> None:
        committed(syncing, key, redo_bytes)
        syncing.found((), syncing._needed[:-1])

    patch.setattr(Syncing, "committed", drop)


BREAKS: list[Callable[[pytest.MonkeyPatch], None]] = [
    *(without_redo, redo_without_lists, redo_of_the_commit_before, redo_that_nobody_applies),
    *(lmdb_first, lmdb_in_two_parts_and_a_sync_between),
    *(nothing_put_back, synced_pages_not_kept, redos_dropped_before_their_sync),
]


@pytest.mark.parametrize("damage", BREAKS, ids=lambda damage: damage.__name__)
def test_commit_that_a_crash_can_split_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[pytest.MonkeyPatch], None]
) -> None:
    damage(monkeypatch)
    with pytest.raises((AssertionError, StoreError)):
        make_states(tmp_path, states=400, seed=7, report=quiet)
