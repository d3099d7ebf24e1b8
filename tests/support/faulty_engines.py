"""Real engines that fail, or are killed, at the call that a test names."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, NamedTuple

from keycodec import meta_key
from stores import Batch, HybridStore, StoreOptions
from stores.engines.lmdb import LmdbEngine, LmdbSnapshot
from stores.engines.rocks import RocksEngine, RocksSnapshot
from stores.errors import MapFull

When = Literal["before", "after"]
Call = Literal["write.commit", "read.commit", "read.grow", "write.snapshot", "read.snapshot"]


class Killed(BaseException):
    """The process ends here: nobody catches it."""


class Crash(NamedTuple):
    """The at-th such call from now ends in an error before, or after, it does its work."""

    call: Call
    when: When
    at: int
    error: type[BaseException]


class Faults:
    """What fails next, what was called, and who wants to know of it."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[Call, When]] = Counter()
        self._planned: dict[tuple[Call, When, int], type[BaseException]] = {}
        self.on_map_full: Callable[[], None] = lambda: None

    def add(self, crash: Crash) -> None:
        number = self.calls[crash.call, crash.when] + crash.at
        self._planned[crash.call, crash.when, number] = crash.error

    def reach(self, call: Call, when: When) -> None:
        """Where every call comes by, before its work and after."""
        self.calls[call, when] += 1
        error = self._planned.pop((call, when, self.calls[call, when]), None)
        if error is not None:
            raise error(f"{when} {call}")


class FaultyWriteEngine:
    """RocksDB, with faults."""

    def __init__(self, engine: RocksEngine, faults: Faults) -> None:
        self._engine = engine
        self._faults = faults

    def snapshot(self) -> RocksSnapshot:
        self._faults.reach("write.snapshot", "before")
        return self._engine.snapshot()

    def commit(self, batch: Batch) -> None:
        self._faults.reach("write.commit", "before")
        self._engine.commit(batch)
        self._faults.reach("write.commit", "after")

    def size_bytes(self) -> int:
        return self._engine.size_bytes()

    def close(self) -> None:
        self._engine.close()


class FaultyReadEngine:
    """LMDB, with faults."""

    def __init__(self, engine: LmdbEngine, faults: Faults) -> None:
        self._engine = engine
        self._faults = faults

    def snapshot(self) -> LmdbSnapshot:
        self._faults.reach("read.snapshot", "before")
        return self._engine.snapshot()

    def commit(self, batch: Batch) -> None:
        self._faults.reach("read.commit", "before")
        try:
            self._engine.commit(batch)
        except MapFull:
            self._faults.on_map_full()
            raise
        self._faults.reach("read.commit", "after")

    def grow(self) -> None:
        self._faults.reach("read.grow", "before")
        self._engine.grow()
        self._faults.reach("read.grow", "after")

    def size_bytes(self) -> int:
        return self._engine.size_bytes()

    def close(self) -> None:
        self._engine.close()


TINY: Final = StoreOptions(memory_bytes=1024 * 1024, map_bytes=64 * 1024)


def open_faulty(folder: Path, faults: Faults, options: StoreOptions = TINY) -> HybridStore:
    """The pair over real engines; both are closed again if it cannot come up."""
    write = RocksEngine(folder / "write", memory_bytes=options.memory_bytes)
    try:
        read = LmdbEngine(folder / "read", map_bytes=options.map_bytes)
    except BaseException:
        write.close()
        raise
    try:
        return HybridStore(FaultyWriteEngine(write, faults), FaultyReadEngine(read, faults))
    except BaseException:
        read.close()
        write.close()
        raise


def engine_numbers(folder: Path) -> tuple[int, int]:
    """The commit that each engine of a closed pair is at: write, then read."""
    write = RocksEngine(folder / "write", memory_bytes=TINY.memory_bytes)
    read = LmdbEngine(folder / "read", map_bytes=TINY.map_bytes)
    try:
        found = []
        for engine in (write, read):
            with engine.snapshot() as snapshot:
                found.append(int.from_bytes(snapshot.get(meta_key("commit")) or b"", "little"))
        return found[0], found[1]
    finally:
        read.close()
        write.close()
