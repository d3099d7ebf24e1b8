"""LMDB by itself: its map, its table of readers, and what an opening may find."""

import errno
import logging
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from keycodec import view_key
from stores import Batch, StoreClosed, StoreFailed
from stores.engines import lmdb
from stores.engines.lmdb import LmdbEngine
from tests.support.faulty_files import WAIT_S
from tests.support.stores import ALL

KEY = view_key("Tesla", "p")
MIB = 1024 * 1024


def put(engine: LmdbEngine, number: int, size: int = 40_000) -> None:
    batch = Batch()
    batch.put(view_key("Tesla", f"p{number:04}"), b"x" * size)
    engine.commit(batch)


def run(program: str, *arguments: object) -> str:
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False).stdout.strip()


def test_map_grows_by_itself_and_ends_the_snapshots_that_are_held(tmp_path: Path) -> None:
    engine = LmdbEngine(tmp_path, map_bytes=64 * 1024)
    held = engine.snapshot()
    for number in range(40):
        put(engine, number)
    with pytest.raises(StoreClosed, match="map had to grow"):
        held.get(KEY)
    with engine.snapshot() as snapshot:
        assert len(list(snapshot.scan(b"", count_max=ALL))) == 40
    engine.close()


def test_map_larger_than_the_address_space_is_made_smaller(tmp_path: Path) -> None:
    program = """
        import resource, sys
        from pathlib import Path
        from stores import Batch
        from stores.engines.lmdb import LmdbEngine
        resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
        engine = LmdbEngine(Path(sys.argv[1]), map_bytes=2**40)
        batch = Batch()
        batch.put(b"key", b"x" * 2**20)
        engine.commit(batch)
        with engine.snapshot() as snapshot:
            print(len(snapshot.get(b"key")))
    """
    assert run(program, tmp_path) == str(2**20)


def test_growth_without_address_space_fails_the_commit_and_loses_nothing(tmp_path: Path) -> None:
    program = """
        import resource, sys
        from pathlib import Path
        from stores import Batch, StoreClosed, StoreFailed
        from stores.engines.lmdb import LmdbEngine
        engine = LmdbEngine(Path(sys.argv[1]), map_bytes=400 * 2**20)
        engine.grow()
        resource.setrlimit(resource.RLIMIT_AS, (1500 * 2**20, 1500 * 2**20))
        batch = Batch()
        batch.put(b"key", b"x")
        engine.commit(batch)
        try:
            engine.grow()
        except StoreFailed as error:
            print("address space" in str(error))
        try:
            engine.snapshot()
        except StoreClosed:
            print("closed")
        engine = LmdbEngine(Path(sys.argv[1]), map_bytes=2**20)
        with engine.snapshot() as snapshot:
            print(snapshot.get(b"key"))
    """
    assert run(program, tmp_path).split() == ["True", "closed", "b'x'"]


def test_readers_that_died_make_room_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lmdb, "READERS_MAX", 4)
    engine = LmdbEngine(tmp_path, map_bytes=MIB)
    put(engine, 0)
    program = """
        import os, sys
        from pathlib import Path
        from stores.engines.lmdb import LmdbEngine
        engine = LmdbEngine(Path(sys.argv[1]), map_bytes=2**20)
        held = [engine.snapshot() for _ in range(3)]
        print(len(held), flush=True)
        os.kill(os.getpid(), 9)
    """
    assert run(program, tmp_path) == "3"
    with caplog.at_level(logging.WARNING):
        held = [engine.snapshot() for _ in range(4)]
    assert "3 readers of processes that died" in caplog.text
    with pytest.raises(StoreFailed, match="READERS_FULL"):
        engine.snapshot()
    for snapshot in held:
        snapshot.close()
    engine.snapshot().close()
    engine.close()


def test_snapshot_is_of_no_use_once_its_engine_is_closed(tmp_path: Path) -> None:
    engine = LmdbEngine(tmp_path, map_bytes=MIB)
    put(engine, 0)
    held = engine.snapshot()
    rows = held.scan(b"", count_max=ALL)
    engine.close()
    with pytest.raises(StoreClosed, match="engine is closed"):
        held.get(KEY)
    with pytest.raises(StoreClosed):
        next(rows)
    held.close()


def test_map_grows_beside_checkpoints_and_nobody_waits_for_ever(tmp_path: Path) -> None:
    """py-lmdb's set_mapsize waits for every call that is under way, one that waits for the writer's lock included."""
    engine, done = LmdbEngine(tmp_path / "store", map_bytes=64 * 1024), threading.Event()

    def copy(folder: Path) -> None:
        while not done.is_set():
            try:
                engine.checkpoint(folder)
            except StoreClosed:  # the map had to grow
                continue
            shutil.rmtree(folder)

    def write() -> None:
        for number in range(60):
            put(engine, number)
        done.set()

    tasks = [(copy, tmp_path / "one"), (copy, tmp_path / "two"), (write,)]
    threads = [threading.Thread(target=call, args=arguments, daemon=True) for call, *arguments in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert not any(thread.is_alive() for thread in threads)
    engine.close()


def test_engine_that_closes_under_threads_leaves_no_snapshot_open_and_no_error_untranslated(tmp_path: Path) -> None:
    engine, odd = LmdbEngine(tmp_path, map_bytes=MIB), list[Exception]()
    put(engine, 0)

    def read(engine: LmdbEngine) -> None:
        try:
            while True:
                with engine.snapshot() as snapshot:
                    snapshot.get(KEY)
                engine.size_bytes()
        except StoreClosed:
            return
        except Exception as error:
            odd.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(60):
            engine.close()
            engine = LmdbEngine(tmp_path, map_bytes=MIB)
            threads = [threading.Thread(target=read, args=(engine,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            engine.close()
            for thread in threads:
                thread.join(WAIT_S)
    finally:
        sys.setswitchinterval(before)
    assert odd == []


def test_opening_that_failed_leaves_nothing_open_even_while_its_error_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> None:
        raise OSError(errno.EIO, "no luck")

    with monkeypatch.context() as patch:
        patch.setattr(lmdb, "sync_folder", fail)
        with pytest.raises(StoreFailed, match="no luck") as kept:
            LmdbEngine(tmp_path, map_bytes=MIB)
    LmdbEngine(tmp_path, map_bytes=MIB).close()
    del kept
