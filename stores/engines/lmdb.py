"""LMDB behind the KV protocol, for families that are read far more often than written.

Posting lists are duplicate keys with values of one size, so adding to a list
of a million costs what adding to one of ten does.  Readers never block the
writer.  A full map raises MapFull inside the package: growing needs a moment
without readers, which only the owner of the snapshots can make.
"""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import lmdb

from keycodec import prefix_end
from stores.errors import MapFull, StoreClosed, StoreFailed, StoreLocked
from stores.kv import POSTING_BYTES, Batch

if TYPE_CHECKING:
    from lmdb import _Database

_READERS_MAX = 512
_SCAN_CHUNK = 256  # rows copied under the lock at a time


class LmdbSnapshot:
    """One moment of an LMDB.  Thread-safe: a lock guards the transaction, which LMDB's own calls do not."""

    def __init__(self, transaction: lmdb.Transaction, rows: "_Database", lists: "_Database") -> None:
        self._transaction: lmdb.Transaction | None = transaction
        self._rows = rows
        self._lists = lists
        self._lock = threading.Lock()

    def get(self, key: bytes) -> bytes | None:
        """As Reader.get."""
        with self._lock:
            return cast("bytes | None", self._open().get(key, db=self._rows))

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As Reader.get_many."""
        with self._lock:
            transaction = self._open()
            return [cast("bytes | None", transaction.get(key, db=self._rows)) for key in keys]

    def scan(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> Iterator[tuple[bytes, bytes]]:
        """As Reader.scan."""
        left = count_max
        while left > 0:
            page = self._page(prefix, after, min(left, _SCAN_CHUNK))
            yield from page
            left -= len(page)
            if len(page) < _SCAN_CHUNK:
                return
            after = page[-1][0]

    def postings(self, key: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """As Reader.postings."""
        entries: list[bytes] = []
        with self._lock, self._open().cursor(db=self._lists) as cursor:
            if after is None:
                found = cursor.set_key(key)
            else:
                found = cursor.set_range_dup(key, after)
                if found and cursor.value() == after:
                    found = cursor.next_dup()
            if not found:
                return []
            for value in cursor.iternext_dup():
                entries.append(cast("bytes", value))
                if len(entries) == count_max:
                    break
        return entries

    def posting_count(self, key: bytes) -> int:
        """As Reader.posting_count."""
        with self._lock, self._open().cursor(db=self._lists) as cursor:
            return cursor.count() if cursor.set_key(key) else 0

    def posting_keys(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """As Reader.posting_keys."""
        keys: list[bytes] = []
        with self._lock, self._open().cursor(db=self._lists) as cursor:
            found = cursor.set_range(_start(prefix, after))
            while found and len(keys) < count_max:
                key = cast("bytes", cursor.key())
                if not key.startswith(prefix):
                    break
                keys.append(key)
                found = cursor.next_nodup()
        return keys

    def close(self) -> None:
        """Let the moment go."""
        with self._lock:
            if self._transaction is not None:
                self._transaction.abort()
                self._transaction = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _page(self, prefix: bytes, after: bytes | None, count: int) -> list[tuple[bytes, bytes]]:
        page: list[tuple[bytes, bytes]] = []
        end = prefix_end(prefix)
        with self._lock, self._open().cursor(db=self._rows) as cursor:
            if cursor.set_range(_start(prefix, after)):
                for key, value in cast("Iterator[tuple[bytes, bytes]]", cursor.iternext()):
                    if (end is not None and key >= end) or len(page) == count:
                        break
                    page.append((key, value))
        return page

    def _open(self) -> lmdb.Transaction:
        if self._transaction is None:
            raise StoreClosed("the snapshot is closed")
        return self._transaction


class LmdbEngine:
    """An LMDB folder, written by this process."""

    def __init__(self, folder: Path, *, map_bytes: int) -> None:
        """Open or create it with room for map_bytes, or for what is there if that is more.

        Raises: StoreLocked; StoreFailed.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._env: lmdb.Environment | None = lmdb.open(
                str(folder), map_size=map_bytes, max_dbs=2, max_readers=_READERS_MAX, mode=0o600
            )
            self._env.reader_check()  # slots of processes that died
            self._rows = self._env.open_db(b"rows")
            self._lists = self._env.open_db(b"postings", dupsort=True, dupfixed=True)
        except (lmdb.LockError, lmdb.ReadersFullError) as error:
            raise StoreLocked(f"{folder}: {error}") from error
        except lmdb.Error as error:
            if "already open" in str(error):
                raise StoreLocked(f"{folder} is open elsewhere in this process") from error
            raise StoreFailed(f"LMDB cannot open {folder}: {error}") from error

    def snapshot(self) -> LmdbSnapshot:
        """As KV.snapshot."""
        try:
            return LmdbSnapshot(self._open().begin(), self._rows, self._lists)
        except lmdb.Error as error:
            raise StoreFailed(f"LMDB read: {error}") from error

    def commit(self, batch: Batch) -> None:
        """As KV.commit: one synced transaction.

        Raises: MapFull, and nothing is written; the caller makes room with grow() and commits again.
        """
        puts = sorted((key, value) for key, value in batch.rows.items() if value is not None)
        entries = [(key, entry) for key in sorted(batch.postings) for entry in sorted(batch.postings[key])]
        try:
            with self._open().begin(write=True) as transaction:
                for key, value in batch.rows.items():
                    if value is None:
                        transaction.delete(key, db=self._rows)
                # One call for many rows: each call gives up the interpreter lock and must win it back.
                if puts:
                    transaction.cursor(db=self._rows).putmulti(puts)
                if entries:
                    transaction.cursor(db=self._lists).putmulti(entries, dupdata=True)
        except lmdb.MapFullError as error:
            raise MapFull(str(error)) from error
        except lmdb.Error as error:
            raise StoreFailed(f"LMDB write: {error}") from error

    def grow(self) -> None:
        """Double the map.  No snapshot may be open."""
        env = self._open()
        env.set_mapsize(env.info()["map_size"] * 2)

    def size_bytes(self) -> int:
        """Pages in use."""
        env = self._open()
        return int((env.info()["last_pgno"] + 1) * env.stat()["psize"])

    def close(self) -> None:
        """Close the folder; what was committed is durable already."""
        if self._env is not None:
            self._env.close()
            self._env = None

    def _open(self) -> lmdb.Environment:
        if self._env is None:
            raise StoreClosed("the LMDB engine is closed")
        return self._env


def _start(prefix: bytes, after: bytes | None) -> bytes:
    return prefix if after is None else max(prefix, after + b"\x00")


assert POSTING_BYTES <= 511, "LMDB keeps duplicate values of at most 511 bytes"
