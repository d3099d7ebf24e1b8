"""RocksDB behind the KV protocol, for families that are written often and read by exact key.

Keeps no posting lists.  Every commit is one synced write.  All errors of
rocksdict, which are bare Exceptions told apart by their text, are translated
here.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn, Self

import rocksdict

from stores.errors import StoreClosed, StoreFailed, StoreLocked
from stores.kv import Batch

_LOGGER = logging.getLogger(__name__)

_NOT_FOUND = "key not found"  # what a rocksdict snapshot raises, as a bare Exception, for a missing key
_LOCKED_SIGNS = ("lock hold by", "While lock file")  # this process, another process
_SCAN_CHUNK = 256  # rows copied under the lock at a time
_BLOOM_BITS_PER_KEY = 10  # about one false positive in a hundred: most writes ask for a key that is not there
_LOG_FILES_KEPT = 3


class RocksSnapshot:
    """One moment of a RocksDB.  Thread-safe.

    rocksdict's own snapshot serves gets; its scans read what is newest, so an iterator that was made
    at the same moment, and keeps to it, serves those.
    """

    def __init__(self, snapshot: rocksdict.Snapshot, iterator: rocksdict.RdictIter) -> None:
        """Both of one moment: nothing may be written between their making."""
        self._snapshot: rocksdict.Snapshot | None = snapshot
        self._iterator: rocksdict.RdictIter | None = iterator
        self._lock = threading.Lock()  # an iterator has one place at a time

    def get(self, key: bytes) -> bytes | None:
        """As Reader.get."""
        return self.get_many((key,))[0]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As Reader.get_many.  (A multi-get was measured no faster than one get after another.)"""
        if self._snapshot is None:
            raise StoreClosed("the snapshot is closed")
        get = self._snapshot.__getitem__
        values: list[bytes | None] = []
        for key in keys:
            try:
                values.append(get(key))
            except Exception as error:
                if str(error) != _NOT_FOUND:
                    raise StoreFailed(f"RocksDB read: {error}") from error
                values.append(None)
        return values

    def scan(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> Iterator[tuple[bytes, bytes]]:
        """As Reader.scan."""
        left = count_max
        while left > 0:
            size = min(left, _SCAN_CHUNK)
            page = self._page(prefix, after, size)
            yield from page
            if len(page) < size:
                return
            left -= len(page)
            after = page[-1][0]

    def close(self) -> None:
        """Let the moment go."""
        with self._lock:
            self._snapshot = self._iterator = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _page(self, prefix: bytes, after: bytes | None, count: int) -> list[tuple[bytes, bytes]]:
        page: list[tuple[bytes, bytes]] = []
        with self._lock:
            iterator = self._iterator
            if iterator is None:
                raise StoreClosed("the snapshot is closed")
            try:
                iterator.seek(prefix if after is None else max(prefix, after + b"\x00"))
                while len(page) < count and iterator.valid():
                    key: bytes = iterator.key()
                    if not key.startswith(prefix):
                        break
                    page.append((key, iterator.value()))
                    iterator.next()
                iterator.status()
            except Exception as error:
                raise StoreFailed(f"RocksDB scan: {error}") from error
        return page


class RocksEngine:
    """A RocksDB folder, owned by this process."""

    def __init__(self, folder: Path, *, memory_bytes: int) -> None:
        """Open or create it.  memory_bytes bounds block cache and write buffers together.

        Raises: StoreLocked; StoreFailed.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._db: rocksdict.Rdict | None = rocksdict.Rdict(str(folder), _options(memory_bytes))
        except Exception as error:
            if any(sign in str(error) for sign in _LOCKED_SIGNS):
                raise StoreLocked(f"{folder} is open elsewhere; stop that one first") from error
            raise StoreFailed(f"RocksDB cannot open {folder}: {error}") from error

    def snapshot(self) -> RocksSnapshot:
        """As KV.snapshot.  Not while another thread commits: the store's owner sees to that."""
        db = self._open()
        try:
            return RocksSnapshot(db.snapshot(), db.iter())
        except Exception as error:
            raise StoreFailed(f"RocksDB snapshot: {error}") from error

    def commit(self, batch: Batch) -> None:
        """As KV.commit: one atomic write, then a sync of RocksDB's own log.

        The two are apart because rocksdict keeps the interpreter lock through a synced write, and lets
        go of it in flush_wal.  A snapshot taken between them could see what is not durable yet; the
        hybrid store takes its snapshots after.
        """
        assert not batch.postings, "RocksDB keeps no posting lists"
        writes = rocksdict.WriteBatch(raw_mode=True)
        for key, value in batch.rows.items():
            if value is None:
                writes.delete(key)
            else:
                writes.put(key, value)
        try:
            db = self._open()
            db.write(writes)
            db.flush_wal(sync=True)
        except StoreClosed:
            raise
        except Exception as error:
            _raise_failed(error)

    def size_bytes(self) -> int:
        """Live table files and the write buffers."""
        db = self._open()
        names = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")
        return sum(db.property_int_value(name) or 0 for name in names)

    def close(self) -> None:
        """Close the folder; what was committed is durable already, so a failure here loses nothing."""
        db, self._db = self._db, None
        if db is not None:
            try:
                db.close()
            except Exception as error:
                _LOGGER.warning("RocksDB did not close well: %s", error)

    def _open(self) -> rocksdict.Rdict:
        if self._db is None:
            raise StoreClosed("the RocksDB engine is closed")
        return self._db


def _options(memory_bytes: int) -> rocksdict.Options:
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_keep_log_file_num(_LOG_FILES_KEPT)
    options.set_write_buffer_size(memory_bytes // 4)
    options.set_max_write_buffer_number(2)
    options.set_db_write_buffer_size(memory_bytes // 2)
    options.set_compression_type(rocksdict.DBCompressionType.lz4())
    table = rocksdict.BlockBasedOptions()
    table.set_block_cache(rocksdict.Cache(memory_bytes // 2))
    table.set_bloom_filter(_BLOOM_BITS_PER_KEY, False)
    table.set_cache_index_and_filter_blocks(True)
    options.set_block_based_table_factory(table)
    return options


def _raise_failed(error: Exception) -> NoReturn:
    raise StoreFailed(f"RocksDB write: {error}") from error
