"""RocksDB behind the KV protocol, for families that are written often and read by exact key.

Keeps no posting lists.  Every commit is one write.  All errors of
rocksdict, which are bare Exceptions told apart by their text, are translated
here.

There is no prefix extractor.  rocksdict offers only prefixes of a fixed length,
and an iterator with one finds nothing under a prefix that is shorter or longer
unless it is told to look at everything, which is what it does without.  Where
the lengths fit, scans were measured no faster.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self, cast
from weakref import WeakSet

import rocksdict

from stores.engines.folders import appearing, failed, translated
from stores.errors import InvalidBatch, StoreClosed, StoreFull, StoreLocked
from stores.kv import Batch, check_keys, position_of

ROOM_WAIT_S: Final = 0.5  # one try; between two of them a close comes in
_ROOM_LOOK_S: Final = 0.005  # a look costs some microseconds
STALL_S: Final = 5.0  # that long RocksDB may hold a write up before it is asked whether it lacks room
_RATE_MIN: Final = 1024 * 1024  # bytes a second: slower is no better than not at all
_STALLED: Final = "Write stall"
FLUSH_WAIT_S: Final = 30.0  # of what a checkpoint can do as well, in a longer pause
CLOSE_WAIT_S: Final = 30.0  # writing out full buffers takes about a second
_LOGGER = logging.getLogger(__name__)

_NOT_FOUND: Final = "key not found"  # what a rocksdict snapshot raises, as a bare Exception, for a missing key
_STILL_FULL: Final = "Writer has previous error"  # of a file that found no room, until RocksDB begins the next
_LOCKED_SIGNS: Final = ("lock hold by", "While lock file")  # this process, another process
_SCAN_CHUNK: Final = 256  # rows copied under the lock at a time

_BLOOM_BITS_PER_KEY: Final = 10  # about one false positive in a hundred: most writes ask for a key that is not there
# The same for write buffers, as a part of their size: a miss there takes 0.4 us, and 1.9 without.
_BUFFER_BLOOM_RATIO: Final = 0.02
# Write buffers may take half of the memory; one is an eighth, so that flushing runs beside writing, and
# so that after a kill no more than four of them are to be read again from RocksDB's log.
_BUFFERS_PART: Final = 2
_BUFFER_PART: Final = 8
_BUFFER_COUNT_MAX: Final = 4
_NEARLY_FULL: Final = 0.75  # of a write buffer: RocksDB finds it full only at the write after one that left it fuller
_ACTIVE_BUFFER: Final = "rocksdb.cur-size-active-mem-table"
_FULL_BUFFERS: Final = "rocksdb.num-immutable-mem-table"
_LEVEL0_COMPACTED: Final = 8  # tables: twice its own number, for each time the level below is written again
# Tables that are not compacted yet, at which RocksDB slows writers down and stops them: its own numbers.  Where little
# memory makes these tables small there may be more, or a small disk without room to compact would soon stop writes.
_LEVEL0_SLOW: Final = 20
_LEVEL0_STOP: Final = 36
_SMALL_BYTES: Final = 16 * 1024 * 1024
_OPEN_FILES_MAX: Final = 512  # tables of 64 MiB: 32 GiB before one has to be opened again
_LOG_FILES_KEPT: Final = 3
_MANIFEST_BYTES: Final = 256 * 1024  # allocated ahead; the usual 4 MiB are much of a small disk
_LOG_FILE_BYTES_MAX: Final = 4 * 1024 * 1024  # RocksDB's own diary


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
        self._why_closed = "the snapshot is closed"

    @property
    def position(self) -> int:
        """As RowSnapshot.position."""
        return position_of(self)

    def get(self, key: bytes) -> bytes | None:
        """As Reader.get."""
        snapshot = self._snapshot
        if snapshot is None:
            raise StoreClosed(self._why_closed)
        try:
            return cast("bytes", snapshot[key])
        except Exception as error:
            if str(error) != _NOT_FOUND:
                raise failed(f"RocksDB read: {error}") from error
            return None

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As Reader.get_many.  (A multi-get was measured no faster than one get after another.)"""
        get = self.get
        return [get(key) for key in keys]

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

    def close(self, why: str = "the snapshot is closed") -> None:
        """Let the moment go; a read in another thread ends first, and those after it raise why."""
        with self._lock:
            if self._snapshot is not None:
                self._why_closed = why
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
                raise StoreClosed(self._why_closed)
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
                raise failed(f"RocksDB scan: {error}") from error
        return page


class RocksEngine:
    """A RocksDB folder, owned by this process."""

    def __init__(self, folder: Path, *, memory_bytes: int, background_jobs: int = 2, create: bool = True) -> None:
        """Open it, or create it if create is set.

        memory_bytes bounds cached blocks, indexes, filters and write buffers together; background_jobs
        the threads that flush and compact.
        Raises: StoreLocked; StoreFull; StoreFailed.
        """
        if create:
            with translated(folder):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._held: WeakSet[RocksSnapshot] = WeakSet()
        self._was_full = False  # the last write found no room
        self._met_full = False  # any has
        self._folder = folder
        self._nearly_full_bytes = int(memory_bytes // _BUFFER_PART * _NEARLY_FULL)
        options = _options(memory_bytes, background_jobs)
        options.create_if_missing(create)
        try:
            # Said for its one column family too: without that, a folder that is there is opened with what RocksDB's
            # own file of options can hold, which is neither the cache nor the filter.
            families = {"default": options}
            self._db: rocksdict.Rdict | None = rocksdict.Rdict(str(folder), options, column_families=families)
        except Exception as error:
            if any(sign in str(error) for sign in _LOCKED_SIGNS):
                raise StoreLocked(f"{folder} is open elsewhere; stop that one first") from error
            raise failed(f"RocksDB cannot open {folder}: {error}") from error

    def snapshot(self) -> RocksSnapshot:
        """As RowKV.snapshot.  Not while another thread commits: the store's owner sees to that."""
        db = self._open()
        try:
            snapshot = RocksSnapshot(db.snapshot(), db.iter())
        except Exception as error:
            raise failed(f"RocksDB snapshot: {error}") from error
        self._held.add(snapshot)
        return snapshot

    def commit(self, batch: Batch) -> None:
        """As RowKV.commit: one atomic write, then a sync of RocksDB's own log.

        The two are apart because rocksdict keeps the interpreter lock through a synced write, and lets
        go of it in flush_wal.  A snapshot taken between them could see what is not durable yet.
        """
        self.write(batch)
        self.sync()

    def write(self, batch: Batch) -> None:
        """Commit a batch, all of it or nothing, that is durable at the next sync.

        RocksDB begins another log when a write buffer is full.  A power cut could then leave the newer log
        without all of the older, so a nearly full one is synced here.

        RocksDB recovers from a full disk by itself, some seconds after as much as a write buffer is free, and
        refuses writes until then.  A batch that it refused may be in its buffers; the same one may be tried again.
        """
        check_keys(batch)
        if batch.postings:
            raise InvalidBatch("RocksDB keeps no posting lists")
        db = self._open()
        with self._translated():
            self._write(db, batch)
            if (db.property_int_value(_ACTIVE_BUFFER) or 0) > self._nearly_full_bytes:
                db.flush_wal(sync=True)

    def sync(self) -> None:
        """What was written is durable on return.  Raises: StoreFull; StoreFailed."""
        db = self._open()
        with self._translated():
            db.flush_wal(sync=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except StoreFull:
            self._was_full = self._met_full = True
            raise
        except Exception as error:
            still_full = self._was_full and _STILL_FULL in str(error)
            failure = failed(f"RocksDB write: {error}", is_full=still_full or None)
            self._was_full = isinstance(failure, StoreFull)
            self._met_full = self._met_full or self._was_full
            raise failure from error
        self._was_full = False

    def await_room(self) -> None:
        """Wait a little until RocksDB takes writes again after a full disk.  Raises: StoreFull; StoreFailed.

        It is asked often: once it does, it soon compacts, which takes room that a small write must come before.
        """
        db, until_s = self._open(), time.monotonic() + ROOM_WAIT_S
        while True:
            try:
                db.write(rocksdict.WriteBatch(raw_mode=True), _NO_WAIT)
            except Exception as error:
                if time.monotonic() >= until_s:
                    raise failed(f"RocksDB write: {error}", is_full=self._was_full or None) from error
                time.sleep(_ROOM_LOOK_S)
            else:
                return

    def begin_flush(self) -> None:
        """Have the buffers written to tables, so that a checkpoint that comes soon has little left to write.

        Nobody commits meanwhile: it begins another log, and the older one is synced before.
        """
        db = self._open()
        try:
            db.flush_wal(sync=True)
            db.flush(wait=False)
        except Exception as error:
            raise failed(f"RocksDB flush: {error}") from error

    def await_flushed(self) -> None:
        """Wait until the buffers that are full, or were flushed, are written; for a while: a copy writes the rest."""
        until_s = time.monotonic() + FLUSH_WAIT_S
        while self._open().property_int_value(_FULL_BUFFERS) and time.monotonic() < until_s:
            time.sleep(_ROOM_LOOK_S)

    def copy(self, folder: Path) -> None:
        """Make a new folder with the newest state: buffers are flushed, tables linked; not synced."""
        db = self._open()
        try:
            rocksdict.Checkpoint(db).create_checkpoint(str(folder))
        except Exception as error:
            raise failed(f"RocksDB copy to {folder}: {error}") from error

    def checkpoint(self, folder: Path) -> None:
        """As RowKV.checkpoint."""
        with appearing(folder) as making:
            self.copy(making)

    def size_bytes(self) -> int:
        """Live table files and the write buffers."""
        db = self._open()
        names = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")
        return sum(db.property_int_value(name) or 0 for name in names)

    def close(self) -> None:
        """As RowKV.close; what was committed is durable already, so a failure here loses nothing."""
        db, self._db = self._db, None
        if db is not None:
            for snapshot in list(self._held):
                snapshot.close("the RocksDB engine is closed")
            # RocksDB may wait for ever in a close that meets its own recovery from a full disk
            # (facebook/rocksdb, issue 11440), so the wait has a bound; the thread dies with the process.
            closing = threading.Thread(target=_close, args=(db, self._met_full), name="rocks-close", daemon=True)
            closing.start()
            closing.join(CLOSE_WAIT_S)
            if closing.is_alive():
                _LOGGER.warning(
                    "RocksDB has not closed in %s s; nothing is lost, its folder is free when this process ends",
                    CLOSE_WAIT_S,
                )

    def _write(self, db: rocksdict.Rdict, batch: Batch) -> None:
        """Write a batch, and wait where RocksDB holds writers up, but not for ever: it may lack room to compact.

        Raises: StoreFull; what rocksdict raises.
        """
        options = _NO_WAIT
        while True:
            try:
                db.write(_encoded(batch), options)  # which consumes it
            except Exception as error:
                if _STALLED not in str(error):
                    raise
            else:
                return
            options = self._await_turn(db)

    def _await_turn(self, db: rocksdict.Rdict) -> rocksdict.WriteOptions:
        """Wait until RocksDB takes writes, or merely slows them down; give the options to write with then."""
        until_s = time.monotonic() + STALL_S
        while True:
            rate = db.property_int_value("rocksdb.actual-delayed-write-rate") or 0
            if not db.property_int_value("rocksdb.is-write-stopped") and (not rate or rate >= _RATE_MIN):
                return _WAIT if rate else _NO_WAIT
            if time.monotonic() >= until_s and self._lacks_room(db):
                raise failed("RocksDB has no room to compact its tables, and takes no more before it has", is_full=True)
            time.sleep(_ROOM_LOOK_S)

    def _lacks_room(self, db: rocksdict.Rdict) -> bool:
        """Whether all tables could not be written once more."""
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize < (db.property_int_value("rocksdb.total-sst-files-size") or 0)

    def _open(self) -> rocksdict.Rdict:
        if self._db is None:
            raise StoreClosed("the RocksDB engine is closed")
        return self._db


def _close(db: rocksdict.Rdict, met_full: bool) -> None:
    try:
        if met_full:  # its recovery would go on meanwhile
            db.cancel_all_background(wait=False)
        db.close()
    except Exception as error:
        _LOGGER.warning("RocksDB did not close well: %s", error)


def _encoded(batch: Batch) -> rocksdict.WriteBatch:
    writes = rocksdict.WriteBatch(raw_mode=True)
    put = writes.put
    for key, value in batch.rows.items():
        if value is None:
            writes.delete(key)
        else:
            put(key, value)
    return writes


def _write_options(*, no_slowdown: bool) -> rocksdict.WriteOptions:
    options = rocksdict.WriteOptions()
    options.no_slowdown = no_slowdown
    return options


_WAIT: Final = _write_options(no_slowdown=False)
_NO_WAIT: Final = _write_options(no_slowdown=True)  # a write that RocksDB would hold up fails at once


def _options(memory_bytes: int, background_jobs: int) -> rocksdict.Options:
    cache = rocksdict.Cache(memory_bytes)
    buffers = rocksdict.WriteBufferManager.new_write_buffer_manager_with_cache(
        memory_bytes // _BUFFERS_PART, False, cache
    )
    options = rocksdict.Options(raw_mode=True)
    options.set_keep_log_file_num(_LOG_FILES_KEPT)
    options.set_max_log_file_size(_LOG_FILE_BYTES_MAX)
    options.set_manifest_preallocation_size(_MANIFEST_BYTES)
    options.set_write_buffer_manager(buffers)
    options.set_write_buffer_size(memory_bytes // _BUFFER_PART)
    options.set_max_write_buffer_number(_BUFFER_COUNT_MAX)
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(_BUFFER_BLOOM_RATIO)
    options.set_max_background_jobs(background_jobs)
    options.set_level_zero_file_num_compaction_trigger(_LEVEL0_COMPACTED)
    small = max(1, _SMALL_BYTES // memory_bytes)
    options.set_level_zero_slowdown_writes_trigger(small * _LEVEL0_SLOW)
    options.set_level_zero_stop_writes_trigger(small * _LEVEL0_STOP)
    options.set_max_open_files(_OPEN_FILES_MAX)
    options.set_compression_type(rocksdict.DBCompressionType.lz4())
    table = rocksdict.BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_bloom_filter(_BLOOM_BITS_PER_KEY, False)
    table.set_cache_index_and_filter_blocks(True)
    options.set_block_based_table_factory(table)
    return options
