"""Two engines that behave as one: routing by key family, and a commit that no crash can split.

A batch is split by family.  RocksDB takes its own part, plus a redo copy of
LMDB's part and the commit's number, in one synced write; then LMDB applies its
part with the same number.  RocksDB is therefore never behind, and LMDB at most
one commit behind: opening applies the redo, by the same call that a commit
uses.  Nothing is applied twice, because the numbers say what is there.

Readers share a view: one snapshot of each engine, made together after a
commit, so the two never disagree and no reader waits for a commit.

Source: docs/decisions/0002-atomic-pair.md.
"""

import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from pathlib import Path
from typing import Final, NamedTuple, Protocol, Self

import msgspec

from keycodec import Engine, Kind, family_of, meta_key, meta_prefix
from stores.engines.lmdb import LmdbEngine, LmdbSnapshot
from stores.engines.rocks import RocksEngine, RocksSnapshot
from stores.errors import MapFull, StoreClosed, StoreError, StoreFailed, UnsupportedStore
from stores.kv import Batch

FORMAT_VERSION: Final = b"1"
GROW_WAIT_S: Final = 30.0  # how long a full map waits for readers to finish before the commit fails

_FORMAT_KEY: Final = meta_key("format")
_COMMIT_KEY: Final = meta_key("commit")
_REDO_KEY: Final = meta_key("redo")
_LOG_KEY: Final = meta_key("log")
_COMMIT: Final = struct.Struct("<Q")

# Rows that belong to the pair's own bookkeeping and not to the state it keeps.
BOOKKEEPING_KEYS: Final = frozenset((_COMMIT_KEY, _REDO_KEY, _FORMAT_KEY))


class WriteEngine(Protocol):
    """What the pair needs of the write-heavy engine."""

    def snapshot(self) -> RocksSnapshot: ...
    def commit(self, batch: Batch) -> None: ...
    def size_bytes(self) -> int: ...
    def close(self) -> None: ...


class ReadEngine(Protocol):
    """What the pair needs of the read-heavy engine."""

    def snapshot(self) -> LmdbSnapshot: ...
    def commit(self, batch: Batch) -> None: ...
    def grow(self) -> None: ...
    def size_bytes(self) -> int: ...
    def close(self) -> None: ...


class StoreOptions(NamedTuple):
    """Bounds of the two engines."""

    memory_bytes: int = 128 * 1024 * 1024  # RocksDB's cache and buffers; LMDB uses the page cache
    map_bytes: int = 1024 * 1024 * 1024  # LMDB's first map: address space, not disk; it doubles when full


class _Redo(msgspec.Struct, array_like=True, frozen=True):
    """The read engine's part of the last commit."""

    number: int
    rows: list[tuple[bytes, bytes | None]]
    postings: list[tuple[bytes, list[bytes]]]


class _View:
    """One moment of both engines, shared by the readers that came while it was the newest."""

    def __init__(self, write: RocksSnapshot, read: LmdbSnapshot) -> None:
        self.write = write
        self.read = read
        self.readers = 0
        self.retired = False

    def close(self) -> None:
        self.write.close()
        self.read.close()


class HybridSnapshot:
    """A reader's hold on a view."""

    def __init__(self, view: _View, release: Callable[[_View], None]) -> None:
        self._view: _View | None = view
        self._release = release

    def get(self, key: bytes) -> bytes | None:
        """As Reader.get."""
        view = self._held()
        return view.read.get(key) if _is_read(key) else view.write.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As Reader.get_many."""
        view = self._held()
        if not keys:
            return []
        return view.read.get_many(keys) if _is_read(keys[0]) else view.write.get_many(keys)

    def scan(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> Iterator[tuple[bytes, bytes]]:
        """As Reader.scan, over both engines; META rows come from the write engine."""
        view = self._held()
        write = view.write.scan(prefix, after=after, count_max=count_max)
        read = view.read.scan(prefix, after=after, count_max=count_max)
        own = (pair for pair in read if not pair[0].startswith(meta_prefix()))
        for _, pair in zip(range(count_max), merge(write, own), strict=False):
            yield pair

    def postings(self, key: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """As Reader.postings."""
        return self._held().read.postings(key, after=after, count_max=count_max)

    def posting_count(self, key: bytes) -> int:
        """As Reader.posting_count."""
        return self._held().read.posting_count(key)

    def posting_keys(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """As Reader.posting_keys."""
        return self._held().read.posting_keys(prefix, after=after, count_max=count_max)

    def close(self) -> None:
        """Let the view go."""
        view, self._view = self._view, None
        if view is not None:
            self._release(view)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _held(self) -> _View:
        if self._view is None:
            raise StoreClosed("the snapshot is closed")
        return self._view


class HybridStore:
    """The pair.  One thread commits; any thread takes snapshots."""

    def __init__(self, write: WriteEngine, read: ReadEngine) -> None:
        """Bring the two engines together; a redo that LMDB has not seen is applied.

        Raises: StoreFailed if the two do not belong together; UnsupportedStore.
        """
        self._write = write
        self._read = read
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)  # a view went, or a new one is there
        self._view: _View | None = None
        self._open_views = 0
        self._failure: StoreError | None = None
        self._closed = False
        self._number = self._recover()
        self._publish()

    @classmethod
    def open(cls, folder: Path, options: StoreOptions = StoreOptions()) -> Self:  # noqa: B008  (immutable)
        """Open or create the two engines in a folder.  Raises: StoreLocked; StoreFailed; UnsupportedStore."""
        write = RocksEngine(folder / "write", memory_bytes=options.memory_bytes)
        try:
            read = LmdbEngine(folder / "read", map_bytes=options.map_bytes)
        except BaseException:
            write.close()
            raise
        try:
            return cls(write, read)
        except BaseException:
            read.close()
            write.close()
            raise

    def snapshot(self) -> HybridSnapshot:
        """The state after the last commit, the same in both engines."""
        with self._lock:
            self._idle.wait_for(lambda: self._view is not None or self._closed or self._failure is not None)
            if self._closed:
                raise StoreClosed("the store is closed")
            if self._view is None:
                raise self._failed()
            self._view.readers += 1
            return HybridSnapshot(self._view, self._release)

    def commit(self, batch: Batch) -> None:
        """Make a batch durable in both engines, then visible.

        After an error readers keep the state before the batch, or are told of the failure if LMDB's map
        had to grow for it; the store takes no more.  Reopening it either finishes the batch or finds no
        trace of it.
        """
        if self._closed:
            raise StoreClosed("the store is closed")
        if self._failure is not None:
            raise self._failed()
        number = self._number + 1
        own, other = _split(batch)
        other.put(_COMMIT_KEY, _COMMIT.pack(number))
        own.put(_COMMIT_KEY, _COMMIT.pack(number))
        own.put(_REDO_KEY, _encode_redo(number, other))
        try:
            self._write.commit(own)
            self._apply_read(other)
            self._publish()
        except StoreError as error:
            with self._lock:
                self._failure = error
                self._idle.notify_all()
            raise
        self._number = number

    def size_bytes(self) -> int:
        """Both engines together."""
        return self._write.size_bytes() + self._read.size_bytes()

    def close(self) -> None:
        """Close both engines; snapshots that are still held must not be used any more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._idle.notify_all()
        try:
            self._retire()
        finally:
            self._read.close()
            self._write.close()

    def _failed(self) -> StoreFailed:
        return StoreFailed(f"the store refuses work until it is reopened: {self._failure}")

    def _recover(self) -> int:
        with self._write.snapshot() as write, self._read.snapshot() as read:
            own, other = [_commit_number(snapshot.get(_COMMIT_KEY)) for snapshot in (write, read)]
            own_log, other_log = [snapshot.get(_LOG_KEY) for snapshot in (write, read)]
            found_format = write.get(_FORMAT_KEY)
            redo_bytes = write.get(_REDO_KEY)
        if found_format not in (None, FORMAT_VERSION):
            raise UnsupportedStore(f"store format {found_format!r}; this program reads {FORMAT_VERSION!r}")
        related = other_log in (own_log, None)  # an engine that has no commit yet knows no log
        if own == other and related:
            return own
        if own != other + 1 or redo_bytes is None or not related:
            raise StoreFailed(
                f"the engines do not belong together: commit {own} beside {other}; "
                "remove the state folder, it is rebuilt from the log"
            )
        self._apply_read(_decode_redo(redo_bytes, own))
        return own

    def _apply_read(self, batch: Batch) -> None:
        """Commit to LMDB, growing its map as often as it takes."""
        while True:
            try:
                self._read.commit(batch)
            except MapFull:
                self._retire()
                self._read.grow()
            else:
                return

    def _publish(self) -> None:
        """Show the new moment to readers from now on."""
        write = self._write.snapshot()
        try:
            view = _View(write, self._read.snapshot())
        except StoreError:
            write.close()
            raise
        with self._lock:
            old, self._view = self._view, view
            self._open_views += 1
            close_old = old is not None and self._drop(old)
            self._idle.notify_all()
        if close_old and old is not None:
            self._close_view(old)

    def _retire(self) -> None:
        """Take the view away and wait until no reader holds one; new readers wait for the next."""
        with self._lock:
            old, self._view = self._view, None
            close_old = old is not None and self._drop(old)
        if close_old and old is not None:
            self._close_view(old)
        with self._lock:
            if not self._idle.wait_for(lambda: self._open_views == 0, GROW_WAIT_S):
                raise StoreFailed(f"readers still hold {self._open_views} views after {GROW_WAIT_S} s")

    def _release(self, view: _View) -> None:
        with self._lock:
            view.readers -= 1
            last = view.retired and view.readers == 0
        if last:
            self._close_view(view)

    @staticmethod
    def _drop(view: _View) -> bool:
        view.retired = True
        return view.readers == 0

    def _close_view(self, view: _View) -> None:
        view.close()
        with self._lock:
            self._open_views -= 1
            self._idle.notify_all()


def _is_read(key: bytes) -> bool:
    return family_of(key).engine is Engine.READ


def _split(batch: Batch) -> tuple[Batch, Batch]:
    """The write engine's part and the read engine's; META rows go to both."""
    own, other = Batch(), Batch()
    own.put(_FORMAT_KEY, FORMAT_VERSION)
    for key, value in batch.rows.items():
        engine = family_of(key).engine
        if engine is not Engine.READ:
            own.rows[key] = value
        if engine is not Engine.WRITE:
            other.rows[key] = value
    for key, entries in batch.postings.items():
        assert family_of(key).kind is Kind.POSTINGS, key
        other.postings[key] = entries
    return own, other


def _commit_number(value: bytes | None) -> int:
    return 0 if value is None else int(_COMMIT.unpack(value)[0])


def _encode_redo(number: int, batch: Batch) -> bytes:
    postings = [(key, sorted(entries)) for key, entries in sorted(batch.postings.items())]
    return msgspec.msgpack.encode(_Redo(number, list(batch.rows.items()), postings))


def _decode_redo(data: bytes, number: int) -> Batch:
    redo = msgspec.msgpack.decode(data, type=_Redo)
    assert redo.number == number, (redo.number, number)
    batch = Batch()
    batch.rows.update(redo.rows)
    batch.postings.update((key, set(entries)) for key, entries in redo.postings)
    return batch
