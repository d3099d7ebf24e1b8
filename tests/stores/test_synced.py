"""What of a pair is on the disk when, and what an opening makes of what a power cut left of the rest."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from keycodec import meta_key, view_key
from stores import Batch, HybridStore, StoreFailed
from stores.engines.redo import encode_redo, split
from stores.engines.rocks import RocksEngine
from stores.engines.syncing import REDO_PREFIXES, redo_key
from tests.support.faulty_engines import Crash, Faults, Killed, engine_numbers, open_faulty
from tests.support.stores import SMALL

KEY = view_key("Tesla", "p")
PAGE = os.sysconf("SC_PAGE_SIZE")
SLOT = 256 * 1024
LAZY = SMALL._replace(sync_commits_max=1000)


def batch_of(number: int) -> Batch:
    batch = Batch()
    batch.put(KEY, b"%d" % number)
    batch.put(b"own", b"%d" % number)
    return batch


def killed_after(folder: Path, commits: int, spoil: Callable[[Path], None] = lambda _: None) -> None:
    """A store that was killed after so many commits, none of them synced by the last."""
    faults = Faults()
    store = open_faulty(folder, faults, LAZY)
    for number in range(commits):
        store.commit(batch_of(number))
    faults.add(Crash("write.sync", "before", 1, Killed))
    with pytest.raises(Killed):
        store.close()
    spoil(folder / "read" / "data.mdb")


def check(folder: Path, commits: int) -> None:
    store = HybridStore.open(folder, LAZY)
    with store.snapshot() as snapshot:
        assert snapshot.get(KEY) == snapshot.get(b"own") == b"%d" % (commits - 1)
    store.commit(batch_of(commits))
    store.close()
    assert engine_numbers(folder) == (commits + 1, commits + 1)


def lose_meta(path: Path) -> None:
    """Its first page says nothing that holds, but for what tells an LMDB."""
    with path.open("r+b") as file:
        file.seek(24)
        file.write(b"\xff" * 100)
        file.seek(PAGE + 24)
        file.write(b"\xff" * 100)


def test_commits_that_lmdb_has_lost_in_a_power_cut_come_back_from_their_redos(tmp_path: Path) -> None:
    killed_after(tmp_path, 5, lose_meta)
    check(tmp_path, 5)


def test_torn_write_of_what_is_synced_leaves_the_one_before(tmp_path: Path) -> None:
    killed_after(tmp_path, 5, lose_meta)
    HybridStore.open(tmp_path, LAZY).close()  # the second slot
    for place in (0, SLOT):
        with (tmp_path / "read" / "SYNCED").open("r+b") as file:
            file.seek(place + 100)
            before = file.read(4)
            file.seek(place + 100)
            file.write(b"torn")
        HybridStore.open(tmp_path, LAZY).close()
        if before:
            check_value(tmp_path, b"4")


def check_value(folder: Path, value: bytes) -> None:
    store = HybridStore.open(folder, LAZY)
    with store.snapshot() as snapshot:
        assert snapshot.get(KEY) == value
    store.close()


def test_lmdb_that_has_lost_its_end_is_refused(tmp_path: Path) -> None:
    killed_after(tmp_path, 5)
    os.truncate(tmp_path / "read" / "data.mdb", 2 * PAGE)
    with pytest.raises(StoreFailed, match="at its last sync it had"):
        HybridStore.open(tmp_path, LAZY)


def test_missing_redo_between_the_two_engines_is_refused(tmp_path: Path) -> None:
    """As after a power cut that took the end of one of RocksDB's logs, and not the log that follows it."""
    killed_after(tmp_path, 5, lose_meta)
    write = RocksEngine(tmp_path / "write", memory_bytes=SMALL.memory_bytes, create=False)
    gap = Batch()
    gap.delete(redo_key(3))
    write.commit(gap)
    write.close()
    with pytest.raises(StoreFailed, match="do not belong together"):
        HybridStore.open(tmp_path, LAZY)


def test_engines_are_synced_after_so_many_commits_and_redos_go_with_the_next(tmp_path: Path) -> None:
    faults = Faults()
    store = open_faulty(tmp_path, faults, SMALL._replace(sync_commits_max=3))
    opened = faults.calls["read.sync", "after"]
    for number in range(7):
        store.commit(batch_of(number))
    assert faults.calls["write.sync", "after"] == faults.calls["read.sync", "after"] == opened + 2
    assert redos_of(store) == [redo_key(7)]
    store.close()
    assert faults.calls["read.sync", "after"] == opened + 3


def test_large_commits_are_synced_sooner(tmp_path: Path) -> None:
    faults = Faults()
    store = open_faulty(tmp_path, faults, LAZY._replace(sync_bytes_max=100))
    opened = faults.calls["read.sync", "after"]
    for number in range(4):
        store.commit(batch_of(10**80 + number))
    assert faults.calls["read.sync", "after"] == opened + 3
    store.close()


def redos_of(store: HybridStore) -> list[bytes]:
    with store.snapshot() as snapshot:
        return [key for prefix in REDO_PREFIXES for key, _ in snapshot.scan(prefix, count_max=100)]


def test_redo_stands_before_what_every_question_reads() -> None:
    assert redo_key(2**64 - 1) < min(meta_key(name) for name in ("commit", "cursor", "format", "last", "log"))


@pytest.mark.parametrize("is_behind", [False, True])
def test_store_of_the_format_before_is_opened_and_goes_on(tmp_path: Path, is_behind: bool) -> None:
    """It synced each commit, kept the last one's redo alone, and had no file beside LMDB's."""
    store = HybridStore.open(tmp_path, LAZY)
    store.commit(batch_of(0))
    store.close()
    (tmp_path / "read" / "SYNCED").unlink()
    write = RocksEngine(tmp_path / "write", memory_bytes=SMALL.memory_bytes, create=False)
    number = 1 + is_behind
    own, other = split(batch_of(number - 1))
    own.rows[meta_key("commit")] = other.rows[meta_key("commit")] = number.to_bytes(8, "little")
    own.rows[meta_key("format")] = b"1"
    own.rows[redo_key(1)] = None
    own.rows[meta_key("redo")] = encode_redo(number, other)
    write.commit(own)
    write.close()
    check(tmp_path, number)
    store = HybridStore.open(tmp_path, LAZY)
    store.commit(batch_of(9))
    assert meta_key("redo") not in redos_of(store)
    store.close()


def test_sync_that_fails_stops_the_store_even_for_want_of_room(tmp_path: Path) -> None:
    faults = Faults()
    store = open_faulty(tmp_path, faults, SMALL._replace(sync_commits_max=1))
    store.commit(batch_of(0))
    faults.add(Crash("read.sync", "before", 1, StoreFailed))
    with pytest.raises(StoreFailed):
        store.commit(batch_of(1))
    with pytest.raises(StoreFailed, match="reopened"):
        store.resume()
    store.close()
    check(tmp_path, 1)
