"""The reference engine: sorted maps in memory.  Tests and rebuild checks use it; nothing is durable."""

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import Self

from keycodec import prefix_end
from stores.errors import StoreClosed
from stores.kv import Batch


class MemorySnapshot:
    """A copy of the maps: simple before fast."""

    def __init__(self, rows: dict[bytes, bytes], lists: dict[bytes, list[bytes]]) -> None:
        self._rows = rows
        self._lists = lists
        self._keys = sorted(rows)
        self._closed = False

    def get(self, key: bytes) -> bytes | None:
        """As Reader.get."""
        self._check_open()
        return self._rows.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As Reader.get_many."""
        self._check_open()
        return [self._rows.get(key) for key in keys]

    def scan(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> Iterator[tuple[bytes, bytes]]:
        """As Reader.scan."""
        self._check_open()
        for key in _page(self._keys, prefix, after, count_max):
            yield key, self._rows[key]

    def postings(self, key: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """As Reader.postings."""
        self._check_open()
        entries = self._lists.get(key, [])
        start = 0 if after is None else bisect_right(entries, after)
        return entries[start : start + count_max]

    def posting_count(self, key: bytes) -> int:
        """As Reader.posting_count."""
        self._check_open()
        return len(self._lists.get(key, []))

    def posting_keys(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """As Reader.posting_keys."""
        self._check_open()
        return _page(sorted(self._lists), prefix, after, count_max)

    def close(self) -> None:
        """Refuse further reads."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the snapshot is closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MemoryEngine:
    """A KV with nothing behind it."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self._lists: dict[bytes, list[bytes]] = {}
        self._closed = False
        self._lock = threading.Lock()

    def snapshot(self) -> MemorySnapshot:
        """As KV.snapshot."""
        self._check_open()
        with self._lock:
            return MemorySnapshot(dict(self._rows), {key: list(entries) for key, entries in self._lists.items()})

    def commit(self, batch: Batch) -> None:
        """As KV.commit, but durable only as long as the process."""
        self._check_open()
        with self._lock:
            self._apply(batch)

    def _apply(self, batch: Batch) -> None:
        for key, value in batch.rows.items():
            if value is None:
                self._rows.pop(key, None)
            else:
                self._rows[key] = value
        for key, added in batch.postings.items():
            entries = self._lists.setdefault(key, [])
            for entry in added:
                place = bisect_left(entries, entry)
                if entries[place : place + 1] != [entry]:
                    insort(entries, entry)

    def size_bytes(self) -> int:
        """The bytes of all keys and values."""
        return sum(len(key) + len(value) for key, value in self._rows.items())

    def close(self) -> None:
        """Refuse further work."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the memory engine is closed")


def _page(keys: list[bytes], prefix: bytes, after: bytes | None, count_max: int) -> list[bytes]:
    start = bisect_left(keys, prefix) if after is None else max(bisect_right(keys, after), bisect_left(keys, prefix))
    end = prefix_end(prefix)
    stop = len(keys) if end is None else bisect_left(keys, end)
    return keys[start : min(stop, start + count_max)]
