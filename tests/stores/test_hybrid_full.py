"""A disk, or a quota on it, that fills: a clear error, and with room again the state of what it reports."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from keycodec import assertion_key, meta_key, subject_postings_key, view_key
from stores import Batch, HybridStore, Reader, StoreFull
from tests.support.faulty_engines import Crash, Faults, Killed, engine_numbers, open_faulty
from tests.support.faulty_files import WAIT_S
from tests.support.stores import ALL, SMALL, entry, hash_hex

MIB = 1024 * 1024
LIST = subject_postings_key("Tesla")


def batch_of(number: int, size: int = 20_000) -> Batch:
    batch = Batch()
    batch.put(assertion_key("Tesla", hash_hex(number)), os.urandom(size))
    batch.put(view_key("Tesla", f"p{number}"), b"x" * size)
    batch.add_posting(LIST, entry(number))
    batch.put(meta_key("cursor"), (number + 1).to_bytes(8, "little"))
    return batch


def check(reader: Reader, count: int) -> None:
    assert reader.postings(LIST, count_max=ALL) == [entry(number) for number in range(count)]
    for number in range(count + 1):
        expected = number < count
        assert (reader.get(assertion_key("Tesla", hash_hex(number))) is not None) is expected
        assert (reader.get(view_key("Tesla", f"p{number}")) is not None) is expected


def commit_until_full(store: HybridStore, count: int) -> int:
    for number in range(count, 10_000):
        try:
            store.commit(batch_of(number))
        except StoreFull:
            return number
    raise AssertionError("the disk never filled")


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 14 MiB, 4 of them taken by a file that can be removed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=14m", "tmpfs", str(disk)]
    try:
        mounted = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("needs to mount a small file system")
    (disk / "ballast").write_bytes(bytes(4 * MIB))
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True, timeout=WAIT_S)


def test_full_disk_stops_commits_and_with_room_the_state_is_what_it_reports(small_disk: Path) -> None:
    """The first process ends without a close, as after a kill: RocksDB's may wait for ever on a full disk."""
    program = """
        import os, sys
        from pathlib import Path
        import pytest
        from stores import HybridStore, StoreFull
        from tests.stores.test_hybrid_full import SMALL, batch_of, check, commit_until_full
        store = HybridStore.open(Path(sys.argv[1]), SMALL)
        done = commit_until_full(store, 0)
        with pytest.raises(StoreFull, match=r"refuses work.*make room"):
            store.commit(batch_of(done))
        with store.snapshot() as snapshot:
            check(snapshot, done)
        print(done, flush=True)
        os._exit(0)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(small_disk / "state")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert found.returncode == 0, found.stderr
    done = int(found.stdout)
    assert done > 10
    (small_disk / "ballast").unlink()
    store = HybridStore.open(small_disk / "state", SMALL)
    with store.snapshot() as snapshot:
        position = snapshot.position
        assert done <= position <= done + 1
        check(snapshot, position)
    store.commit(batch_of(position))
    with store.snapshot() as snapshot:
        check(snapshot, position + 1)
    store.close()


def test_redo_that_finds_no_room_is_applied_by_the_opening_that_does(small_disk: Path) -> None:
    folder, faults = small_disk / "state", Faults()
    store = open_faulty(folder, faults, SMALL)
    store.commit(batch_of(0))
    faults.add(Crash("read.commit", "before", 1, Killed))
    with pytest.raises(Killed):
        store.commit(batch_of(1, 500_000))
    store.close()
    (small_disk / "more").write_bytes(bytes(free_bytes(small_disk) - 400_000))
    for _ in range(2):
        with pytest.raises(StoreFull):
            HybridStore.open(folder, SMALL)
    (small_disk / "more").unlink()
    assert engine_numbers(folder) == (2, 1)
    store = HybridStore.open(folder, SMALL)
    with store.snapshot() as snapshot:
        check(snapshot, 2)
    store.close()


def test_copy_that_finds_no_room_leaves_nothing_and_the_store_goes_on(small_disk: Path) -> None:
    store = HybridStore.open(small_disk / "state", SMALL)
    batch = batch_of(0)
    batch.put(view_key("Tesla", "p0"), b"x" * 2 * MIB)
    store.commit(batch)
    store.checkpoint(small_disk.parent / "on another disk")  # and RocksDB has no more to flush
    (small_disk / "more").write_bytes(bytes(free_bytes(small_disk) - MIB))
    with pytest.raises(StoreFull):
        store.checkpoint(small_disk / "copy")
    assert sorted(path.name for path in small_disk.iterdir()) == ["ballast", "more", "state"]
    (small_disk / "more").unlink()
    store.commit(batch_of(1))
    with store.snapshot() as snapshot:
        check(snapshot, 2)
    store.close()


def test_new_store_on_a_full_disk_says_so_and_is_made_when_there_is_room(small_disk: Path) -> None:
    (small_disk / "more").write_bytes(bytes(10 * MIB))
    with pytest.raises(StoreFull):
        HybridStore.open(small_disk / "state", SMALL)
    (small_disk / "more").unlink()
    store = HybridStore.open(small_disk / "state", SMALL)
    store.commit(batch_of(0))
    store.close()


@pytest.mark.parametrize("limit_mib", [1, 3])
def test_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path, limit_mib: int) -> None:
    """RocksDB's log meets the lower one first, LMDB's file the higher one."""
    program = """
        import resource, sys
        from pathlib import Path
        from stores import HybridStore
        from tests.stores.test_hybrid_full import SMALL, check, commit_until_full
        folder, limit = Path(sys.argv[1]), int(sys.argv[2])
        store = HybridStore.open(folder, SMALL._replace(memory_bytes=64 * 2**20 if limit == 2**20 else 2**20))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        done = commit_until_full(store, 0)
        store.close()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store = HybridStore.open(folder, SMALL)
        with store.snapshot() as snapshot:
            assert done <= snapshot.position <= done + 1, (done, snapshot.position)
            check(snapshot, snapshot.position)
        print(done > 5)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "state"), str(limit_mib * MIB)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert found.stdout.strip() == "True", found.stderr
