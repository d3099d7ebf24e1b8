"""RocksDB by itself: its bound on memory and on its log, scans in order, and openings that make nothing."""

import os
import random
import subprocess
import sys
import textwrap
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import cast

import pytest
import rocksdict

from stores import Batch, StoreClosed, StoreFailed
from stores.engines.rocks import RocksEngine
from tests.support.faulty_files import WAIT_S
from tests.support.stores import ALL, Model

MIB = 1024 * 1024
MEMORY_MIB = 16
BESIDE_MIB = 24  # what RocksDB takes outside of its cache: threads, tables being written, malloc's waste

WRITE_THEN_READ = """
    import os, random, sys
    from pathlib import Path
    from stores import Batch
    from stores.engines.rocks import RocksEngine

    def anonymous_kib():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

    before, peak = anonymous_kib(), 0
    engine = RocksEngine(Path(sys.argv[1]), memory_bytes=int(sys.argv[2]))
    generator = random.Random(1)
    keys = []
    for number in range(120):
        batch = Batch()
        for _ in range(1000):
            batch.put(b"%032x" % generator.getrandbits(128), generator.randbytes(400))
        keys.append(next(iter(batch.rows)))
        engine.commit(batch)
        peak = max(peak, anonymous_kib())
    with engine.snapshot() as snapshot:
        assert all(snapshot.get(key) for key in keys)
        for count, _ in enumerate(snapshot.scan(b"", count_max=10**6), 1):
            if count % 1000 == 0:
                peak = max(peak, anonymous_kib())
    assert count == 120_000
    print(peak - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads RssAnon")
def test_memory_stays_within_its_bound_while_more_is_written_and_read(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(WRITE_THEN_READ), str(tmp_path), str(MEMORY_MIB * MIB)]
    grown_kib = int(subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=True).stdout)
    assert grown_kib < (MEMORY_MIB + BESIDE_MIB) * 1024


@pytest.mark.parametrize("opening", ["a new folder", "the same again"])
def test_the_cache_and_the_filter_are_in_force_in_a_folder_that_was_there_too(tmp_path: Path, opening: str) -> None:
    for _ in range(1 if opening == "a new folder" else 2):
        RocksEngine(tmp_path, memory_bytes=MEMORY_MIB * MIB).close()
    diary = (tmp_path / "LOG").read_text()
    assert f"capacity : {MEMORY_MIB * MIB}\n" in diary
    assert "filter_policy: bloomfilter\n" in diary


def size_of(path: Path) -> int:
    """Of a file that RocksDB may remove at any time."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_log_that_an_opening_reads_again_is_bounded(tmp_path: Path) -> None:
    engine = RocksEngine(tmp_path, memory_bytes=4 * MIB)
    generator = random.Random(1)
    longest = 0
    for _ in range(60):
        batch = Batch()
        for _ in range(1000):
            batch.put(generator.randbytes(16), generator.randbytes(400))
        engine.commit(batch)
        longest = max(longest, sum(map(size_of, tmp_path.glob("*.log"))))
    engine.close()
    assert longest < 8 * MIB


def test_scans_are_in_order_and_whole_over_tables_and_buffers_for_prefixes_of_any_length(tmp_path: Path) -> None:
    engine, model, generator = RocksEngine(tmp_path, memory_bytes=4 * MIB), Model(), random.Random(5)
    letters = b"\x00a:\xff"
    for step in range(6):
        batch = Batch()
        for _ in range(300):
            key = bytes(generator.choices(letters, k=generator.randrange(1, 12)))
            if generator.random() < 0.2:
                batch.delete(key)
            else:
                batch.put(key, b"%d" % step)
        model.apply(batch)
        engine.commit(batch)
        if step % 2 == 0:
            engine._open().flush()
    with engine.snapshot() as snapshot:
        for _ in range(300):
            prefix = bytes(generator.choices(letters, k=generator.randrange(12)))
            after = generator.choice([None, bytes(generator.choices(letters, k=5))])
            found = list(snapshot.scan(prefix, after=after, count_max=ALL))
            assert found == model.scan(prefix, after, ALL), (prefix, after)
    engine.close()


def test_opening_without_leave_to_create_makes_nothing(tmp_path: Path) -> None:
    for folder in (tmp_path / "missing", tmp_path / "empty"):
        if folder.name == "empty":
            folder.mkdir()
        with pytest.raises(StoreFailed):
            RocksEngine(folder, memory_bytes=MIB, create=False)
        assert not (folder / "CURRENT").exists()


def test_open_files_are_bounded_by_the_tables_there_are_and_closed_at_the_end(tmp_path: Path) -> None:
    def open_here() -> int:
        links = [Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd")]
        return sum(link.is_symlink() and str(tmp_path) in str(link.readlink()) for link in links)

    engine = RocksEngine(tmp_path, memory_bytes=MIB)
    held = engine.snapshot()
    assert open_here() > 0
    engine.close()
    assert open_here() == 0, "a snapshot that is held keeps no file open"
    held.close()


def test_a_close_that_never_ends_is_left_behind_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:  # type: ignore[no-untyped-def]
    engine, leave = RocksEngine(tmp_path / "rocks", memory_bytes=MIB), threading.Event()
    monkeypatch.setattr("stores.engines.rocks.CLOSE_WAIT_S", 0.0)
    monkeypatch.setattr("stores.engines.rocks._close", lambda *_: leave.wait(WAIT_S))
    engine.close()
    leave.set()
    assert "has not closed" in caplog.text
    with pytest.raises(StoreClosed):
        engine.snapshot()


class Watched:
    """RocksDB as it is, and how much of each of its logs is synced."""

    def __init__(self, db: rocksdict.Rdict, folder: Path) -> None:
        self._db = db
        self._folder = folder
        self.synced: dict[str, int] = {}

    def flush_wal(self, *, sync: bool) -> None:
        self._db.flush_wal(sync=sync)
        self.synced |= self.logs()

    def logs(self) -> dict[str, int]:
        found = {}
        for path in self._folder.glob("*.log"):
            with suppress(FileNotFoundError):  # its rows are in a table by now
                found[path.name] = path.stat().st_size
        return found

    def __getattr__(self, name: str) -> object:
        return getattr(self._db, name)


@pytest.mark.parametrize("kib", [4, 40, 100, 300, 1500])  # a write buffer has 128
def test_log_is_synced_as_a_whole_before_another_begins_however_large_commits_are(tmp_path: Path, kib: int) -> None:
    generator = random.Random(kib)
    with closing(RocksEngine(tmp_path, memory_bytes=MIB)) as engine:
        db = engine._open()
        watched = Watched(db, tmp_path)
        engine._db = cast("rocksdict.Rdict", watched)
        begun, last = 0, max(watched.logs())
        for _ in range(max(20, 600 // kib)):
            batch = Batch()
            for _ in range(generator.randrange(1, kib)):
                batch.put(generator.randbytes(8), generator.randbytes(2048))
            before = watched.logs()
            engine.write(batch)
            newest = max(watched.logs())
            if newest != last and last in before:
                assert before[last] == watched.synced.get(last)
                begun += 1
            last = newest
        engine._db = db
    assert begun > 2
