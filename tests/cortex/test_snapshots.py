"""Snapshots of a running state, what refuses them, and states of the past that begin at them."""

import json
import threading
from functools import partial
from pathlib import Path

import pytest

from cortex import (
    BadSnapshot,
    BeyondState,
    SavedSnapshot,
    StateOptions,
    WrongLog,
    read_snapshot,
    restore_snapshot,
)
from cortex.snapshots import MANIFEST, check_belongs, list_snapshots
from stores import KV, HybridStore, MemoryEngine, MetaStore, StoreFailed, state_digest
from stores.engines.lmdb import LmdbEngine
from tests.support.counting import CountingFold, Reference, folded_count, word_log, write_words
from tests.support.faulty_files import WAIT_S
from tests.support.logs import LOG_ID
from tests.support.states import QUICK, Word, caught_up, open_counting, open_small
from wal import FileLog, Files, MemoryLog

WORDS = 40
MORE = 25


def saved(folder: Path, *, digest: bool = True) -> SavedSnapshot:
    """A snapshot at WORDS of a state that has gone on by MORE since, and was closed."""
    with word_log(folder / "log", WORDS) as log, open_counting(folder / "state", log) as state:
        caught_up(state, WORDS)
        snapshot = state.save_snapshot(digest=digest)
        write_words(log, MORE, WORDS)
        assert state.watermark.wait(WORDS + MORE - 1, WAIT_S)
    return snapshot


def reopened(folder: Path) -> FileLog:
    return word_log(folder / "log", 0)


def digest_and_position(store: KV) -> tuple[str, int]:
    with store.snapshot() as reader:
        return state_digest(reader), MetaStore(reader).cursor()


def test_snapshot_names_log_position_folds_and_digest(tmp_path: Path) -> None:
    snapshot = saved(tmp_path)
    with reopened(tmp_path) as log:
        manifest = snapshot.manifest
        assert (manifest.position, manifest.log, manifest.folds) == (WORDS, log.log_id.hex(), {"counting": 1})
        assert manifest.digest == Reference(log)[WORDS]
    assert snapshot.path.name == f"{WORDS:020d}"
    assert read_snapshot(snapshot.path) == snapshot
    assert manifest.size_bytes == sum(
        file.stat().st_size for file in (snapshot.path / "store").rglob("*") if file.is_file()
    )


def test_snapshot_opens_as_the_state_of_its_position_whatever_came_later(tmp_path: Path) -> None:
    snapshot = saved(tmp_path)
    restore_snapshot(snapshot, tmp_path / "restored", LOG_ID, Files())
    store = open_small(tmp_path / "restored")
    assert digest_and_position(store) == (snapshot.manifest.digest, WORDS)
    store.close()


def test_restored_store_and_its_snapshot_do_not_share_what_is_written(tmp_path: Path) -> None:
    snapshot = saved(tmp_path)
    with reopened(tmp_path) as log:
        for name in ("one", "two"):
            restore_snapshot(snapshot, tmp_path / name / "gen-00000001", LOG_ID, Files())
            (tmp_path / name / "CURRENT").write_text("gen-00000001\n")
            with open_counting(tmp_path / name, log) as state:
                assert state.watermark.seq == WORDS
                caught_up(state, WORDS + MORE)
                assert state.digest() == Reference(log)[WORDS + MORE]
    restore_snapshot(snapshot, tmp_path / "three", LOG_ID, Files())  # every file is as it was


def test_snapshot_of_another_log_is_refused(tmp_path: Path) -> None:
    snapshot = saved(tmp_path)
    with pytest.raises(WrongLog, match="is a snapshot of log"):
        check_belongs(snapshot, bytes(16), {"counting": 1})
    with pytest.raises(WrongLog, match="is a snapshot of log"):
        restore_snapshot(snapshot, tmp_path / "restored", bytes(16), Files())
    assert not (tmp_path / "restored").exists()
    with pytest.raises(BadSnapshot, match="made by folds"):
        check_belongs(snapshot, bytes.fromhex(snapshot.manifest.log), {"counting": 2})


def test_lost_state_begins_at_its_newest_snapshot(tmp_path: Path) -> None:
    saved(tmp_path)
    lose_state(tmp_path)
    with reopened(tmp_path) as log, open_counting(tmp_path / "state", log) as state:
        assert state.watermark.seq == WORDS
        caught_up(state, WORDS + MORE)
        assert state.digest() == Reference(log)[WORDS + MORE]


def test_lost_state_does_not_begin_at_another_logs_or_another_versions_snapshot(tmp_path: Path) -> None:
    saved(tmp_path)
    lose_state(tmp_path)
    with (
        MemoryLog(clock_ms=lambda: 0, log_id=bytes(16)) as other,
        open_counting(tmp_path / "state", other) as state,
    ):
        assert state.watermark.seq == 0
    lose_state(tmp_path)
    with reopened(tmp_path) as log, open_counting(tmp_path / "state", log, version=2) as state:
        assert state.watermark.seq == 0


def test_lost_state_does_not_begin_at_a_damaged_snapshot(tmp_path: Path) -> None:
    snapshot = saved(tmp_path)
    lose_state(tmp_path)
    damage(snapshot)
    with reopened(tmp_path) as log, open_counting(tmp_path / "state", log) as state:
        caught_up(state, WORDS + MORE)
        assert state.digest() == Reference(log)[WORDS + MORE]


def test_damaged_snapshot_is_refused_and_nothing_is_restored(tmp_path: Path) -> None:
    snapshot = saved(tmp_path)
    name = damage(snapshot)
    with pytest.raises(BadSnapshot, match=name):
        restore_snapshot(snapshot, tmp_path / "restored", LOG_ID, Files())
    assert not (tmp_path / "restored").exists()


@pytest.mark.parametrize("change", ["gone", "garbage", "newer"])
def test_snapshot_without_a_readable_manifest_is_refused_and_not_listed(tmp_path: Path, change: str) -> None:
    snapshot = saved(tmp_path)
    manifest = snapshot.path / MANIFEST
    if change == "gone":
        manifest.unlink()
    elif change == "garbage":
        manifest.write_bytes(b"{")
    else:
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 2}))
    with pytest.raises(BadSnapshot):
        read_snapshot(snapshot.path)
    assert list_snapshots(snapshot.path.parent) == []


def test_snapshot_is_never_restored_over_something(tmp_path: Path) -> None:
    snapshot = saved(tmp_path)
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError):
        restore_snapshot(snapshot, tmp_path / "there", LOG_ID, Files())


def test_old_snapshots_go_and_one_of_the_same_position_is_replaced(tmp_path: Path) -> None:
    options = StateOptions(fold=QUICK, snapshots_kept=2)
    with word_log(tmp_path / "log", 0) as log, open_counting(tmp_path / "state", log, options=options) as state:
        for end in (5, 10, 15):
            write_words(log, 5, end - 5)
            caught_up(state, end) if end == 5 else state.watermark.wait(end - 1, WAIT_S)
            state.save_snapshot()
            state.save_snapshot(digest=False)
        found = [(one.manifest.position, one.manifest.digest) for one in state.snapshots()]
        assert found == [(10, None), (15, None)]


def test_copy_that_fails_leaves_no_snapshot_and_the_state_goes_on(tmp_path: Path) -> None:
    class Stubborn(HybridStore):
        def checkpoint(self, folder: Path) -> None:
            folder.mkdir()
            raise StoreFailed("no room")

    with (
        word_log(tmp_path / "log", WORDS) as log,
        open_counting(tmp_path / "state", log, open_store=lambda folder: Stubborn.open(folder)) as state,
    ):
        caught_up(state, WORDS)
        with pytest.raises(StoreFailed):
            state.save_snapshot()
        assert list((tmp_path / "state" / "snapshots").iterdir()) == []
        write_words(log, 1, WORDS)
        assert state.watermark.wait(WORDS, WAIT_S)


def test_automatic_snapshots_come_as_often_as_asked(tmp_path: Path) -> None:
    copied = threading.Event()

    class Telling(HybridStore):
        def checkpoint(self, folder: Path) -> None:
            super().checkpoint(folder)
            copied.set()

    options = StateOptions(fold=QUICK, snapshot_every=20, snapshots_kept=1)
    with (
        word_log(tmp_path / "log", 50) as log,
        open_counting(
            tmp_path / "state", log, options=options, open_store=lambda folder: Telling.open(folder)
        ) as state,
    ):
        caught_up(state, 50)
        assert copied.wait(WAIT_S)
    found = list_snapshots(tmp_path / "state" / "snapshots")
    assert len(found) == 1
    assert 20 <= found[0].manifest.position <= 50
    assert found[0].manifest.digest is None


# States of the past


@pytest.mark.parametrize("into_folder", [False, True])
@pytest.mark.parametrize("position", [0, 1, 17, WORDS, WORDS + 1, WORDS + MORE])
def test_state_of_the_past_is_the_fold_of_so_many_events(tmp_path: Path, position: int, into_folder: bool) -> None:
    saved(tmp_path)
    with reopened(tmp_path) as log, open_counting(tmp_path / "state", log) as state:
        past = state.as_of(position, into=tmp_path / "past" if into_folder else None)
        assert digest_and_position(past) == (Reference(log)[position], position)
        past.close()
        assert [path.name for path in (tmp_path / "state").iterdir() if path.name.startswith("scratch")] == []
        assert state.watermark.seq == WORDS + MORE


def test_state_of_the_past_folds_no_more_than_what_follows_the_nearest_snapshot(tmp_path: Path) -> None:
    saved(tmp_path)
    told: list[tuple[int, int]] = []
    with reopened(tmp_path) as log, open_counting(tmp_path / "state", log) as state:
        state.as_of(WORDS + 3, on_progress=lambda done, target: told.append((done, target))).close()
        assert told == [(WORDS + 3, WORDS + 3)]
        told.clear()
        state.as_of(WORDS, on_progress=lambda done, target: told.append((done, target))).close()
        assert told == []


def test_position_that_the_state_has_not_reached_is_refused_with_the_one_it_has(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log) as state:
        for position in (1, WORDS, WORDS + 1, -1):
            with pytest.raises(BeyondState, match="has folded 0 events"):
                state.as_of(position)
        with pytest.raises(FileExistsError):
            state.as_of(0, into=tmp_path)


def test_state_of_the_past_in_a_folder_is_a_store_of_its_own(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log:
        with open_counting(tmp_path / "state", log) as state:
            caught_up(state, WORDS)
            state.as_of(10, into=tmp_path / "past").close()
        store = open_small(tmp_path / "past")
        with store.snapshot() as reader:
            assert folded_count(reader) == 10
        store.close()


@pytest.mark.parametrize("open_store", [partial(LmdbEngine, map_bytes=2**20), open_small], ids=["lmdb", "hybrid"])
def test_state_may_live_in_either_engine_and_comes_to_the_same(tmp_path: Path, open_store) -> None:  # type: ignore[no-untyped-def]
    with (
        word_log(tmp_path / "log", WORDS) as log,
        open_counting(tmp_path / "state", log, open_store=open_store) as state,
    ):
        caught_up(state, WORDS)
        snapshot = state.save_snapshot()
        assert snapshot.manifest.digest == state.digest() == Reference(log)[WORDS]
        memory = state.as_of(WORDS)
        assert isinstance(memory, MemoryEngine)
        assert digest_and_position(memory) == (snapshot.manifest.digest, WORDS)


def lose_state(folder: Path) -> None:
    """All but the snapshots."""
    (folder / "state" / "CURRENT").unlink()


def damage(snapshot: SavedSnapshot) -> str:
    """Flip a bit in a file of a snapshot; its name."""
    file = next(one for one in snapshot.manifest.files if one.bytes > 100)
    path = snapshot.path / "store" / file.name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()  # it may be linked
    path.write_bytes(data)
    return file.name


def test_dead_letters_are_in_the_snapshot_and_can_be_retried_in_what_begins_there(tmp_path: Path) -> None:
    """A snapshot that knew only how far was read would have lost the event for good."""

    class Choosy(CountingFold):
        refused = True

        def apply(self, event: Word, state) -> None:  # type: ignore[no-untyped-def]
            if self.refused and event[0] == 3:
                raise RuntimeError("not yet")
            super().apply(event, state)

    fold = Choosy()
    options = StateOptions(fold=QUICK._replace(on_error="dead-letter"))
    with word_log(tmp_path / "log", WORDS) as log:
        with open_counting(tmp_path / "state", log, fold=fold, options=options) as state:
            caught_up(state, WORDS)
            state.save_snapshot()
        lose_state(tmp_path)
        fold.refused = False
        with open_counting(tmp_path / "state", log, fold=fold, options=options) as state:
            assert (state.watermark.seq, state.dead_letter_count()) == (WORDS, 1)
            assert state.retry_dead_letters().applied == (3,)
            with state.snapshot() as reader:
                assert (folded_count(reader), state.dead_letter_count()) == (WORDS, 0)
