"""Real engines that fail, or are killed, at the call that a test names."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, Literal, NamedTuple

from keycodec import meta_key
from stores import Batch, HybridStore, StoreOptions
from stores.engines.hybrid import engines
from stores.engines.lmdb import LmdbEngine, LmdbSnapshot, Pages
from stores.engines.rocks import RocksEngine, RocksSnapshot
from stores.engines.synced import Mark, SyncedLmdb
from stores.errors import MapFull
from stores.kv import RowSnapshot

When = Literal["before", "after"]
WriteCall = Literal["write.commit", "write.sync", "write.snapshot", "write.flush", "write.copy"]
ReadCall = Literal["read.commit", "read.sync", "read.snapshot", "read.grow", "read.pages", "read.copy"]
Call = WriteCall | ReadCall


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
        self.on_copy: Callable[[], None] = lambda: None  # LMDB's pages are about to be copied, while commits go on

        self.freeze: Callable[[], None] = lambda: None  # the engines' own threads change no file any more
        self.on_before: Callable[[Call], None] = lambda _: None
        self.on_after: Callable[[Call], None] = lambda _: None

    def clear(self) -> None:
        """Nothing fails any more."""
        self._planned.clear()

    def add(self, crash: Crash) -> None:
        number = self.calls[crash.call, crash.when] + crash.at
        self._planned[crash.call, crash.when, number] = crash.error

    def reach(self, call: Call, when: When) -> None:
        """Where every call comes by, before its work and after."""
        self.calls[call, when] += 1
        (self.on_before if when == "before" else self.on_after)(call)
        error = self._planned.pop((call, when, self.calls[call, when]), None)
        if error is not None:
            raise error(f"{when} {call}")


class FaultyWriteEngine:
    """RocksDB, with faults."""

    def __init__(self, engine: RocksEngine, faults: Faults) -> None:
        self._engine = engine
        self._faults = faults
        faults.freeze = lambda: engine._open().cancel_all_background(wait=True)

    def snapshot(self) -> RocksSnapshot:
        self._faults.reach("write.snapshot", "before")
        return self._engine.snapshot()

    def write(self, batch: Batch) -> None:
        self._faults.reach("write.commit", "before")
        self._engine.write(batch)
        self._faults.reach("write.commit", "after")

    def sync(self) -> None:
        self._faults.reach("write.sync", "before")
        self._engine.sync()
        self._faults.reach("write.sync", "after")

    def await_room(self) -> None:
        self._engine.await_room()

    def begin_flush(self) -> None:
        self._faults.reach("write.flush", "before")
        self._engine.begin_flush()
        self._faults.reach("write.flush", "after")

    def await_flushed(self) -> None:
        self._engine.await_flushed()

    def copy(self, folder: Path) -> None:
        self._faults.reach("write.copy", "before")
        self._engine.copy(folder)
        self._faults.reach("write.copy", "after")

    def size_bytes(self) -> int:
        return self._engine.size_bytes()

    def close(self) -> None:
        self._engine.close()


class FaultyReadEngine:
    """LMDB, with faults."""

    def __init__(self, engine: SyncedLmdb, faults: Faults) -> None:
        self._engine = engine
        self._faults = faults

    def snapshot(self) -> LmdbSnapshot:
        self._faults.reach("read.snapshot", "before")
        return self._engine.snapshot()

    def apply(self, batch: Batch) -> None:
        self._faults.reach("read.commit", "before")
        try:
            self._engine.apply(batch)
        except MapFull:
            self._faults.on_map_full()
            raise
        self._faults.reach("read.commit", "after")

    def mark(self) -> Mark:
        return self._engine.mark()

    def sync(self, mark: Mark) -> None:
        self._faults.reach("read.sync", "before")
        self._engine.sync(mark)
        self._faults.reach("read.sync", "after")

    def is_crowded(self) -> bool:
        return self._engine.is_crowded()

    def grow(self) -> None:
        self._faults.reach("read.grow", "before")
        self._engine.grow()
        self._faults.reach("read.grow", "after")

    def pages(self) -> tuple[LmdbSnapshot, "FaultyPages"]:
        self._faults.reach("read.pages", "before")
        snapshot, pages = self._engine.pages()
        return snapshot, FaultyPages(pages, self._faults)

    def size_bytes(self) -> int:
        return self._engine.size_bytes()

    def close(self) -> None:
        self._engine.close()


class FaultyPages:
    """LMDB's file of one moment, with faults."""

    def __init__(self, pages: Pages, faults: Faults) -> None:
        self._pages = pages
        self._faults = faults

    def copy(self, folder: Path) -> None:
        self._faults.reach("read.copy", "before")
        self._faults.on_copy()
        self._pages.copy(folder)
        self._faults.reach("read.copy", "after")


TINY: Final = StoreOptions(memory_bytes=1024 * 1024, map_bytes=64 * 1024)


def open_faulty(folder: Path, faults: Faults, options: StoreOptions = TINY) -> HybridStore:
    """The pair over real engines; both are closed again if it cannot come up."""
    with engines(folder, options) as (write, read):
        return HybridStore(FaultyWriteEngine(write, faults), FaultyReadEngine(read, faults), options)


def engine_numbers(folder: Path) -> tuple[int, int]:
    """The commit that each engine of a closed pair is at: write, then read."""
    with closing(RocksEngine(folder / "write", memory_bytes=TINY.memory_bytes, create=False)) as write:
        own = _number(write.snapshot())
    with closing(LmdbEngine(folder / "read", map_bytes=TINY.map_bytes)) as read:
        other = _number(read.snapshot())
    return own, other


def _number(snapshot: RowSnapshot) -> int:
    with snapshot:
        return int.from_bytes(snapshot.get(meta_key("commit")) or b"", "little")
