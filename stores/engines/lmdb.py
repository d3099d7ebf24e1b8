"""LMDB behind the KV protocol, for families that are read far more often than written.

Posting lists are duplicate keys with values of one size, so adding to a list
of a million costs what adding to one of ten does.  Readers never block the
writer.  The map is address space and not disk, so it begins large; where it
fills all the same it is doubled, for which there must be no reader: those that
are left are ended.  Who wants to give them time applies batches with apply, and
sees MapFull first.
"""

import errno
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self, cast
from weakref import WeakSet

import lmdb

from keycodec import prefix_end
from stores.engines.folders import appearing, failed, has_room, sync_folder, translated
from stores.errors import MapFull, StoreClosed, StoreFailed, StoreLocked, UnsupportedStore
from stores.kv import POSTING_BYTES, Batch, check_keys, position_of

if TYPE_CHECKING:
    from lmdb import _Database

READERS_MAX: Final = 512  # the reader table: one entry for each moment that is held, of every process

_LOGGER = logging.getLogger(__name__)

DATA: Final = "data.mdb"
_SHORT_WRITE: Final = os.strerror(errno.EIO)
_META_PAGES: Final = 2  # at the start of the file; the newer of the two is the last commit
_MAP_BYTES_MIN: Final = 1024 * 1024  # where even this does not fit, nothing does
_CROWDED: Final = 0.75  # of the map in use: grow when nobody reads, before the writer has to wait
_SCAN_CHUNK: Final = 256  # rows copied under the lock at a time
_COPY_BYTES: Final = 4 * 1024 * 1024


class LmdbSnapshot:
    """One moment of an LMDB.  Thread-safe: a lock guards the transaction, which LMDB's own calls do not."""

    def __init__(self, transaction: lmdb.Transaction, rows: "_Database", lists: "_Database") -> None:
        self._transaction: lmdb.Transaction | None = transaction
        self._rows = rows
        self._lists = lists
        self._lock = threading.Lock()
        self._why_closed = "the snapshot is closed"

    @property
    def position(self) -> int:
        """As RowSnapshot.position."""
        return position_of(self)

    def get(self, key: bytes) -> bytes | None:
        """As Reader.get."""
        return self.get_many((key,))[0]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As Reader.get_many."""
        with self._lock:  # as _reading, which costs as much again as a get
            transaction = self._open()
            try:
                return [cast("bytes | None", transaction.get(key, db=self._rows)) if key else None for key in keys]
            except lmdb.Error as error:
                raise _failed("LMDB read", error) from error

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
        if not key or count_max < 1:
            return entries
        with self._reading() as transaction, transaction.cursor(db=self._lists) as cursor:
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
        with self._reading() as transaction, transaction.cursor(db=self._lists) as cursor:
            return cursor.count() if key and cursor.set_key(key) else 0

    def posting_keys(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """As Reader.posting_keys."""
        keys: list[bytes] = []
        with self._reading() as transaction, transaction.cursor(db=self._lists) as cursor:
            found = cursor.set_range(_start(prefix, after))
            while found and len(keys) < count_max:
                key = cast("bytes", cursor.key())
                if not key.startswith(prefix):
                    break
                keys.append(key)
                found = cursor.next_nodup()
        return keys

    def check_open(self) -> None:
        """Raises: StoreClosed."""
        self._open()

    def close(self, why: str = "the snapshot is closed") -> None:
        """Let the moment go; a read in another thread ends first, and those after it raise why."""
        with self._lock:
            if self._transaction is not None:
                self._transaction.abort()
                self._transaction = None
                self._why_closed = why

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _page(self, prefix: bytes, after: bytes | None, count: int) -> list[tuple[bytes, bytes]]:
        page: list[tuple[bytes, bytes]] = []
        end = prefix_end(prefix)
        with self._reading() as transaction, transaction.cursor(db=self._rows) as cursor:
            if cursor.set_range(_start(prefix, after)):
                for key, value in cast("Iterator[tuple[bytes, bytes]]", cursor.iternext()):
                    if (end is not None and key >= end) or len(page) == count:
                        break
                    page.append((key, value))
        return page

    @contextmanager
    def _reading(self) -> Iterator[lmdb.Transaction]:
        """The transaction, for one reader at a time.  Raises: StoreClosed; StoreFailed for pages that are damaged."""
        with self._lock:
            try:
                yield self._open()
            except lmdb.Error as error:
                raise _failed("LMDB read", error) from error

    def _open(self) -> lmdb.Transaction:
        if self._transaction is None:
            raise StoreClosed(self._why_closed)
        return self._transaction


class Pages(NamedTuple):
    """What a copy of the file as of one moment is made of.

    LMDB never writes over a page that an open reader can reach, and writes its two meta pages last.  So the
    meta pages as they were at that moment, and the file's other pages read at leisure while its reader is
    open, are that moment; pages that were free then are copied as they come, and mean nothing.
    """

    path: Path
    meta: bytes
    end: int  # bytes in use; the file may be shorter, by pages that were given back before they were written

    def copy(self, folder: Path) -> None:
        """Write the file into a new folder; not synced.  Raises: OSError."""
        folder.mkdir(mode=0o700)
        source = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        target = os.open(folder / DATA, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            offset, chunk = 0, self.meta
            while chunk:
                _write_all(target, chunk)
                offset += len(chunk)
                chunk = os.pread(source, min(_COPY_BYTES, self.end - offset), offset)
        finally:
            os.close(target)
            os.close(source)


class LmdbEngine:
    """An LMDB folder, written by this process."""

    def __init__(self, folder: Path, *, map_bytes: int, sync: bool = True) -> None:
        """Open or create it with room for map_bytes, or for what is there if that is more.

        sync: at each commit.  A map that the system has no address space for is halved until it fits.
        Raises: StoreLocked; StoreFull; StoreFailed; UnsupportedStore.
        """
        self._folder = folder
        self._held: WeakSet[LmdbSnapshot] = WeakSet()
        # The map must not move or go under a snapshot, nor while one is taken or a copy waits to begin.
        self._growing = threading.RLock()
        try:
            with translated(folder):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._env: lmdb.Environment | None = _open_env(folder, map_bytes, sync=sync)
            try:
                self._env.reader_check()  # slots of processes that died
                self._rows = self._env.open_db(b"rows")
                self._lists = self._env.open_db(b"postings", dupsort=True, dupfixed=True)
                with translated(folder):
                    sync_folder(folder)  # LMDB syncs its file, and leaves the file's name to the system
            except BaseException:
                self.close()
                raise
        except (lmdb.LockError, lmdb.ReadersFullError) as error:
            raise StoreLocked(f"{folder}: {error}") from error
        except lmdb.VersionMismatchError as error:
            raise UnsupportedStore(f"{folder} was written by another version of LMDB: {error}") from error
        except lmdb.Error as error:
            if "already open" in str(error):
                raise StoreLocked(f"{folder} is open elsewhere in this process") from error
            raise _failed(f"LMDB cannot open {folder}", error) from error

    def snapshot(self) -> LmdbSnapshot:
        """As KV.snapshot."""
        with self._growing:
            try:
                snapshot = LmdbSnapshot(self._begin(self._open()), self._rows, self._lists)
            except lmdb.Error as error:
                raise _failed("LMDB read", error) from error
            self._held.add(snapshot)
            return snapshot

    def commit(self, batch: Batch) -> None:
        """As KV.commit.  Where the map has to grow for it, snapshots that are held are ended."""
        while True:
            try:
                self.apply(batch)
            except MapFull:
                self.grow()
            else:
                return

    def apply(self, batch: Batch) -> None:
        """Commit a batch if the map has room for it: one transaction.

        Raises: MapFull, and nothing is written; the caller makes room with grow() and applies it again.
        """
        check_keys(batch)
        puts = sorted((key, value) for key, value in batch.rows.items() if value is not None)
        entries = [(key, entry) for key in sorted(batch.postings) for entry in sorted(batch.postings[key])]
        try:
            with self._open().begin(write=True) as transaction:
                if len(puts) < len(batch.rows):
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
            raise _failed("LMDB write", error, is_full=self._fell_short(error)) from error

    def flush(self) -> None:
        """All that was committed before is on the disk on return, where commits are not synced."""
        try:
            self._open().sync(True)
        except lmdb.Error as error:
            raise _failed("LMDB sync", error) from error

    def is_crowded(self) -> bool:
        """Whether the map should grow before it must."""
        env = self._open()
        info = env.info()
        return bool(info["last_pgno"] * env.stat()["psize"] > info["map_size"] * _CROWDED)

    def grow(self) -> None:
        """Double the map; snapshots that are held are ended.  Raises: StoreFailed, and the engine is closed."""
        with self._growing:
            env = self._open()
            self._end_held("the snapshot was ended: LMDB's map had to grow; take a new one")
            try:
                env.set_mapsize(env.info()["map_size"] * 2)
            except lmdb.Error as error:
                self.close()  # there may be no map at all now
                raise StoreFailed(
                    f"LMDB's map in {self._folder} cannot grow: {error}; allow more address space"
                ) from error

    def pages(self) -> tuple[LmdbSnapshot, Pages]:
        """The last commit, to be copied: its snapshot, to be held meanwhile, and what to copy."""
        try:
            # So that nobody commits between the two.  set_mapsize would wait for a begin that waits for its own lock.
            with self._growing, (env := self._open()).begin(write=True):
                snapshot = self.snapshot()
                page_bytes, last = env.stat()["psize"], env.info()["last_pgno"]
                path = self._folder / DATA
                try:
                    return snapshot, Pages(path, _read_meta(path, page_bytes), (last + 1) * page_bytes)
                except BaseException:
                    snapshot.close()
                    raise
        except lmdb.Error as error:
            raise _failed("LMDB copy", error) from error

    def resume(self) -> None:
        """As KV.resume: a transaction that found no room has left nothing."""

    def checkpoint(self, folder: Path) -> None:
        """As KV.checkpoint."""
        with appearing(folder) as making:
            snapshot, pages = self.pages()
            with snapshot:
                pages.copy(making)
                snapshot.check_open()

    def size_bytes(self) -> int:
        """Pages in use."""
        with self._growing:
            env = self._open()
            return int((env.info()["last_pgno"] + 1) * env.stat()["psize"])

    def close(self) -> None:
        """As KV.close; what was committed is durable already."""
        with self._growing:
            env, self._env = self._env, None
            if env is not None:
                self._end_held("the LMDB engine is closed")
                env.close()

    def _fell_short(self, error: lmdb.Error) -> bool:
        """Whether a write failed for want of room: one that fell short is an input/output error to LMDB."""
        return _SHORT_WRITE in str(error) and not has_room(self._folder / DATA)

    def _end_held(self, why: str) -> None:
        for snapshot in list(self._held):
            snapshot.close(why)

    @staticmethod
    def _begin(env: lmdb.Environment) -> lmdb.Transaction:
        try:
            return env.begin()
        except lmdb.ReadersFullError:
            stale = env.reader_check()
            _LOGGER.warning("LMDB's reader table was full; %s readers of processes that died are removed", stale)
            return env.begin()

    def _open(self) -> lmdb.Environment:
        if self._env is None:
            raise StoreClosed("the LMDB engine is closed")
        return self._env


def _open_env(folder: Path, map_bytes: int, *, sync: bool) -> lmdb.Environment:
    while True:
        try:
            return lmdb.open(str(folder), map_size=map_bytes, max_dbs=2, max_readers=READERS_MAX, mode=0o600, sync=sync)
        except lmdb.MemoryError:
            if map_bytes < 2 * _MAP_BYTES_MIN:
                raise
            map_bytes //= 2


def _failed(doing: str, error: lmdb.Error, *, is_full: bool = False) -> StoreFailed:
    return failed(f"{doing}: {error}", is_full=is_full or isinstance(error, lmdb.DiskError) or None)


def _read_meta(path: Path, page_bytes: int) -> bytes:
    with translated(path), path.open("rb") as file:
        return file.read(_META_PAGES * page_bytes)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _start(prefix: bytes, after: bytes | None) -> bytes:
    return prefix if after is None else max(prefix, after + b"\x00")


assert POSTING_BYTES <= 511, "LMDB keeps duplicate values of at most 511 bytes"
