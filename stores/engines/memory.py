"""The reference engine: plain maps in memory, for tests, rebuild checks and states of the past.

The maps hold what is newest.  A snapshot holds, of what commits have changed
since it was taken, how it was; taking one therefore costs nothing, and a commit
costs what it writes, once more for each snapshot that is held.  Nothing is
durable but a checkpoint.
"""

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self
from weakref import WeakSet

import msgspec

from keycodec import prefix_end
from stores.engines.folders import appearing, translated, write_file
from stores.engines.sorted_keys import SortedKeys
from stores.errors import StoreClosed, UnsupportedStore
from stores.kv import Batch, check_keys, position_of

_DUMP: Final = "memory.dump"
_FORMAT: Final = "episteme memory store 1"
_SCAN_CHUNK: Final = 256  # keys looked at under the lock at a time


class _Maps:
    """What is newest, and the snapshots that hold how it was."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.lists: dict[bytes, list[bytes]] = {}
        self.row_keys = SortedKeys()
        self.list_keys = SortedKeys()
        self.size_bytes = 0
        self.held: WeakSet[MemorySnapshot] = WeakSet()
        self.lock = threading.Lock()

    def set_row(self, key: bytes, value: bytes | None) -> bytes | None:
        """Set or delete a row; give the value before."""
        old = self.rows.get(key)
        if value is not None:
            self.rows[key] = value
            self.size_bytes += len(value)
            if old is None:
                self.row_keys.add(key)
                self.size_bytes += len(key)
        elif old is not None:
            del self.rows[key]
            self.row_keys.remove(key)
            self.size_bytes -= len(key)
        self.size_bytes -= len(old or b"")
        return old

    def add_postings(self, key: bytes, added: set[bytes]) -> set[bytes]:
        """Add entries to a list; give those that were not there."""
        entries = self.lists.get(key)
        if entries is None:
            entries = self.lists[key] = []
            self.list_keys.add(key)
        new = {entry for entry in added if not _is_in(entries, entry)}
        for entry in sorted(new):
            insort(entries, entry)
        self.size_bytes += sum(map(len, new))
        return new


class MemorySnapshot:
    """One moment of the maps.  Thread-safe."""

    def __init__(self, maps: _Maps) -> None:
        self._maps = maps
        self._before: dict[bytes, bytes | None] = {}  # rows that later commits have changed, as they were
        self._added: dict[bytes, set[bytes]] = {}  # postings that later commits have added
        self._why_closed: str | None = None

    @property
    def position(self) -> int:
        """As RowSnapshot.position."""
        return position_of(self)

    def get(self, key: bytes) -> bytes | None:
        """As Reader.get."""
        with self._maps.lock:
            self._check_open()
            return self._value(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As Reader.get_many."""
        with self._maps.lock:
            self._check_open()
            return [self._value(key) for key in keys]

    def scan(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> Iterator[tuple[bytes, bytes]]:
        """As Reader.scan."""
        start: bytes | None = _start(prefix, after)
        end = prefix_end(prefix)
        left = count_max
        while start is not None and left > 0:
            page, start = self._page(start, end)
            yield from page[:left]
            left -= len(page)

    def postings(self, key: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """As Reader.postings."""
        with self._maps.lock:
            self._check_open()
            entries = self._maps.lists.get(key, [])
            start = 0 if after is None else bisect_right(entries, after)
            added = self._added.get(key)
            if not added:
                return entries[start : start + count_max]
            return [entry for entry in entries[start : start + count_max + len(added)] if entry not in added][
                :count_max
            ]

    def posting_count(self, key: bytes) -> int:
        """As Reader.posting_count."""
        with self._maps.lock:
            self._check_open()
            return self._count(key)

    def posting_keys(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """As Reader.posting_keys."""
        with self._maps.lock:
            self._check_open()
            # Lists that came later are read and left out, so ask for that many more.
            keys = self._maps.list_keys.between(_start(prefix, after), prefix_end(prefix), count_max + len(self._added))
            return [key for key in keys if self._count(key)][:count_max]

    def close(self, why: str = "the snapshot is closed") -> None:
        """Refuse further reads."""
        with self._maps.lock:
            self._why_closed = self._why_closed or why
            self._maps.held.discard(self)
            self._before.clear()
            self._added.clear()

    def keep(self, rows: dict[bytes, bytes | None], postings: dict[bytes, set[bytes]]) -> None:
        """Remember how rows were, and which postings were not there.  Under the lock."""
        for key, value in rows.items():
            self._before.setdefault(key, value)  # what an earlier commit has changed stays as it was before that
        for key, entries in postings.items():
            self._added.setdefault(key, set()).update(entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _value(self, key: bytes) -> bytes | None:
        return self._before[key] if key in self._before else self._maps.rows.get(key)

    def _count(self, key: bytes) -> int:
        return len(self._maps.lists.get(key, ())) - len(self._added.get(key, ()))

    def _page(self, start: bytes, end: bytes | None) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """Some rows from start on and before end, and where the next page starts, if there is one."""
        with self._maps.lock:
            self._check_open()
            keys = self._maps.row_keys.between(start, end, _SCAN_CHUNK)
            after = None if len(keys) < _SCAN_CHUNK else keys[-1] + b"\x00"
            stop = end if after is None else after
            gone = (key for key in self._before if key not in self._maps.rows)
            keys += [key for key in gone if start <= key and (stop is None or key < stop)]
            keys.sort()
            return [(key, value) for key in keys if (value := self._value(key)) is not None], after

    def _check_open(self) -> None:
        if self._why_closed:
            raise StoreClosed(self._why_closed)


class MemoryEngine:
    """A KV with nothing behind it."""

    def __init__(self) -> None:
        self._maps = _Maps()
        self._closed = False

    @classmethod
    def open(cls, folder: Path) -> Self:
        """An engine with what a checkpoint holds.  Raises: UnsupportedStore; StoreFailed."""
        with translated(folder):
            data = (folder / _DUMP).read_bytes()
        try:
            dump = msgspec.msgpack.decode(data, type=tuple[str, dict[bytes, bytes], dict[bytes, set[bytes]]])
        except msgspec.DecodeError as error:
            raise UnsupportedStore(f"{folder / _DUMP} is no copy of a store in memory: {error}") from error
        if dump[0] != _FORMAT:
            raise UnsupportedStore(f"{folder / _DUMP} is of format {dump[0]!r:.80}; this program reads {_FORMAT!r}")
        engine, batch = cls(), Batch()
        batch.rows.update(dump[1])
        batch.postings.update(dump[2])
        engine.commit(batch)
        return engine

    def snapshot(self) -> MemorySnapshot:
        """As KV.snapshot."""
        with self._maps.lock:
            self._check_open()
            snapshot = MemorySnapshot(self._maps)
            self._maps.held.add(snapshot)
            return snapshot

    def commit(self, batch: Batch) -> None:
        """As KV.commit, but durable only as long as the process."""
        check_keys(batch)
        with self._maps.lock:
            self._check_open()
            rows = {key: self._maps.set_row(key, value) for key, value in batch.rows.items()}
            postings = {key: self._maps.add_postings(key, added) for key, added in batch.postings.items()}
            for snapshot in self._maps.held:
                snapshot.keep(rows, postings)

    def resume(self) -> None:
        """As KV.resume: memory never lacks room."""

    def checkpoint(self, folder: Path) -> None:
        """As KV.checkpoint: one file, which open reads."""
        with self._maps.lock:
            self._check_open()
            rows = dict(self._maps.rows)
            lists = {key: tuple(entries) for key, entries in self._maps.lists.items()}
        with appearing(folder) as making:
            making.mkdir(mode=0o700)
            write_file(making / _DUMP, msgspec.msgpack.encode((_FORMAT, rows, lists)))

    def size_bytes(self) -> int:
        """The bytes of all keys, values and entries."""
        return self._maps.size_bytes

    def close(self) -> None:
        """Refuse further work, and further reads of snapshots."""
        with self._maps.lock:
            self._closed = True
            held = list(self._maps.held)
        for snapshot in held:
            snapshot.close("the memory engine is closed")

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the memory engine is closed")


def _is_in(entries: list[bytes], entry: bytes) -> bool:
    place = bisect_left(entries, entry)
    return entries[place : place + 1] == [entry]


def _start(prefix: bytes, after: bytes | None) -> bytes:
    return prefix if after is None else max(prefix, after + b"\x00")
