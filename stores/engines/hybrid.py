"""Two engines that behave as one: routing by key family, and a commit that no crash can split.

A batch is split by family.  RocksDB takes its own part, plus a redo copy of
LMDB's part and the commit's number, in one write; then LMDB applies its part
with the same number.  Both are synced together now and then, RocksDB first, and
the redos since are kept.  RocksDB is therefore never behind: opening applies the
redos that LMDB has not seen, by the same call that a commit uses.  Nothing is
applied twice, because the numbers say what is there.

Readers share a view: one snapshot of each engine, made together after a
commit, so the two never disagree and no reader waits for a commit.

Source: docs/decisions/0002-atomic-pair.md.
"""

import logging
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from heapq import merge
from pathlib import Path
from typing import Annotated, Final, NamedTuple, Self

from msgspec import Meta

from keycodec import Engine, engine_of, engine_under, meta_key, meta_prefix
from stores.engines.folders import appearing
from stores.engines.pair import PageCopy, ReadEngine, WriteEngine
from stores.engines.pair_folder import READ, WRITE, opening, seal
from stores.engines.redo import decode_redo, encode_redo, split
from stores.engines.rocks import RocksEngine
from stores.engines.synced import SyncedLmdb
from stores.engines.syncing import REDO_PREFIXES, Syncing, redo_key, redo_number
from stores.engines.views import View, Views
from stores.errors import MapFull, StoreClosed, StoreError, StoreFailed, StoreFull, StoreTorn, UnsupportedStore
from stores.kv import Batch, check_keys

FORMAT_VERSION: Final = b"2"
_READ_FORMATS: Final = (None, b"1", FORMAT_VERSION)  # 1: every commit synced, one redo

_FORMAT_KEY: Final = meta_key("format")
_COMMIT_KEY: Final = meta_key("commit")
_LOG_KEY: Final = meta_key("log")
_COMMIT: Final = struct.Struct("<Q")
_READ: Final = Engine.READ

_REDOS_MAX: Final = 1_000_000  # more than any bound on commits between two syncs
_LOGGER = logging.getLogger(__name__)


def is_bookkeeping(key: bytes) -> bool:
    """Whether a row belongs to the pair's own bookkeeping and not to the state it keeps."""
    return key in (_COMMIT_KEY, _FORMAT_KEY) or key.startswith(REDO_PREFIXES)


class StoreOptions(NamedTuple):
    """Bounds of the two engines."""

    memory_bytes: Annotated[
        int, Meta(ge=1024 * 1024), "RocksDB's blocks, indexes and buffers; LMDB uses the page cache"
    ] = 256 * 1024 * 1024
    map_bytes: Annotated[
        int, Meta(ge=1024 * 1024), "LMDB's first map: address space, not disk; it doubles when full"
    ] = 64 * 1024 * 1024 * 1024
    background_jobs: Annotated[
        int, Meta(ge=1), "threads that flush and compact RocksDB; for a machine of two cores"
    ] = 2
    held_growth_bytes_max: Annotated[int, "what a snapshot that is held may cost LMDB's file on the disk"] = (
        1024 * 1024 * 1024
    )
    grow_wait_s: Annotated[float, "how long a full map waits for readers before it ends their snapshots"] = 5.0
    sync_commits_max: Annotated[
        int, Meta(ge=1), "commits between two syncs: what a power cut takes back is folded from the log again"
    ] = 64
    sync_bytes_max: Annotated[
        int, Meta(ge=1), "bytes of LMDB's rows between two syncs: RocksDB keeps them twice until then"
    ] = 32 * 1024 * 1024


class HybridSnapshot:
    """A reader's hold on a view."""

    def __init__(self, view: View, release: Callable[[View], None]) -> None:
        self._view: View | None = view
        self._release = release

    @property
    def position(self) -> int:
        """As RowSnapshot.position; read when the view was made."""
        return self._held().position

    def get(self, key: bytes) -> bytes | None:
        """As Reader.get."""
        view = self._view or self._held()
        return view.read.get(key) if engine_of(key) is _READ else view.write.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As Reader.get_many."""
        view = self._held()
        if not keys:
            return []
        return view.read.get_many(keys) if engine_of(keys[0]) is _READ else view.write.get_many(keys)

    def scan(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> Iterator[tuple[bytes, bytes]]:
        """As Reader.scan, over both engines if the prefix does not say which; META rows come from the write engine."""
        view, engine = self._held(), engine_under(prefix)
        if engine is None:
            return self._scan_both(prefix, after, count_max)
        return (view.read if engine is _READ else view.write).scan(prefix, after=after, count_max=count_max)

    def _scan_both(self, prefix: bytes, after: bytes | None, count_max: int) -> Iterator[tuple[bytes, bytes]]:
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

    def _held(self) -> View:
        if self._view is None:
            raise StoreClosed("the snapshot is closed")
        return self._view


class HybridStore:
    """The pair.  One thread commits; any thread takes snapshots and checkpoints."""

    def __init__(
        self,
        write: WriteEngine,
        read: ReadEngine,
        options: StoreOptions = StoreOptions(),  # noqa: B008  (immutable)
    ) -> None:
        """Bring the two engines together; a redo that LMDB has not seen is applied.

        Raises: StoreTorn if what is there is no one state; StoreFailed; StoreFull; UnsupportedStore.
        """
        self._write = write
        self._read = read
        self._options = options
        self._commits = threading.Lock()  # a commit, the fast part of a checkpoint, or the close
        self._views = Views(options.held_growth_bytes_max)
        self._failure: BaseException | None = None
        self._unfinished: Batch | None = None  # what met a full disk
        self._is_half_done = False  # of that, RocksDB has its part
        self._closed = False
        self._syncing = Syncing(write, read, options.sync_commits_max, options.sync_bytes_max)
        self._number = self._recover()
        self._publish()

    @classmethod
    def open(cls, folder: Path, options: StoreOptions = StoreOptions()) -> Self:  # noqa: B008  (immutable)
        """Open a pair's folder, or make one where there is none or an empty one.

        Raises: StoreLocked; StoreTorn; StoreFailed; StoreFull; UnsupportedStore; a folder that is refused is not
        touched.
        """
        with engines(folder, options) as (write, read):
            return cls(write, read, options)

    def snapshot(self) -> HybridSnapshot:
        """The state after the last commit, the same in both engines."""
        return HybridSnapshot(self._views.hold(), self._views.release)

    def commit(self, batch: Batch) -> None:
        """Put a batch into both engines, then show it; all of it is durable by the next sync.

        A power cut may take back the newest commits, whole ones in both engines, a killed process none.
        After an error readers keep the state before the batch, or are told of the failure if LMDB's map
        had to grow for it; the store takes no more.  Reopening it either finishes the batch or finds no
        trace of it; resume, after a full disk, finishes it.
        """
        with self._commits:
            self._check_usable()
            check_keys(batch)
            self._finish(batch)

    def resume(self) -> Batch | None:
        """As KV.resume: the same rows under the same number, so what an engine has of them already does no harm."""
        with self._commits:
            batch = self._unfinished
            if batch is None or self._closed:
                self._check_usable()
                return None
            if not self._is_half_done:
                self._write.await_room()
            self._finish(batch)
            return batch

    def checkpoint(self, folder: Path) -> None:
        """As KV.checkpoint: both parts are of one commit.  RocksDB's tables are linked, LMDB's pages copied.

        A copy that holds LMDB's pages beyond the bounds on snapshots is given up.  Raises: also StoreClosed then.
        """
        with appearing(folder) as making:
            self._check_usable()
            making.mkdir(mode=0o700)
            with self._commits:  # synced, then another log, and no commit between the two
                self._check_usable()
                self._write.begin_flush()
            self._write.await_flushed()  # here, or the pause below would be as long as that takes
            with self._commits:
                self._check_usable()
                self._write.sync()  # the copy begins another log
                self._write.copy(making / WRITE)
                view, pages = self._copy_view()
            try:
                pages.copy(making / READ)
                view.read.check_open()
            finally:
                self._views.release(view)
            seal(making)

    def size_bytes(self) -> int:
        """Both engines together."""
        return self._write.size_bytes() + self._read.size_bytes()

    def close(self) -> None:
        """Close both engines, after the commit in hand; snapshots that are still held refuse further reads."""
        with self._commits:
            if self._closed:
                return
            self._closed = True
            try:
                self._sync_last()
            finally:
                self._close_engines()

    def _close_engines(self) -> None:
        self._views.close(StoreClosed("the store is closed"))
        try:
            self._read.close()
        finally:
            self._write.close()

    def _finish(self, batch: Batch) -> None:
        """Make a batch the next commit."""
        number = self._number + 1
        own, other = split(batch)
        other.rows[_COMMIT_KEY] = own.rows[_COMMIT_KEY] = _COMMIT.pack(number)
        own.rows[_FORMAT_KEY] = FORMAT_VERSION
        key, redo = redo_key(number), encode_redo(number, other)
        try:
            if not self._is_half_done:  # once more, it would only take more room
                self._syncing.sync_if_due()
                self._make_room()
                own.rows.update(dict.fromkeys(self._syncing.take_stale()))
                own.rows[key] = redo
                self._write.write(own)
                self._is_half_done = True
            self._apply_read(other)
            self._publish()
            self._views.bound(self._read.size_bytes())
        except BaseException as error:  # whatever it is: another commit must not take this one's number
            self._failure = error
            self._unfinished = batch if isinstance(error, StoreFull) else None
            self._views.end(self._failed())
            raise
        self._number = number
        self._syncing.committed(key, len(redo))
        self._failure = self._unfinished = None
        self._is_half_done = False
        self._views.go_on()

    def _check_usable(self) -> None:
        if self._closed:
            raise StoreClosed("the store is closed")
        if self._failure is not None:
            raise self._failed()

    def _failed(self) -> StoreFailed:
        kind = StoreFull if isinstance(self._failure, StoreFull) else StoreFailed
        reason = str(self._failure) if isinstance(self._failure, StoreError) else repr(self._failure)
        until = "resumed" if self._unfinished is not None else "reopened"
        return kind(f"the store refuses work until it is {until}: {reason}")

    def _recover(self) -> int:
        with self._write.snapshot() as write, self._read.snapshot() as read:
            own, other = [_commit_number(snapshot.get(_COMMIT_KEY)) for snapshot in (write, read)]
            own_log, other_log = [snapshot.get(_LOG_KEY) for snapshot in (write, read)]
            found_format = write.get(_FORMAT_KEY)
            rows = [row for prefix in REDO_PREFIXES for row in write.scan(prefix, count_max=_REDOS_MAX)]
            found = [(redo_number(key, own), key, data) for key, data in rows]
        if found_format not in _READ_FORMATS:
            raise UnsupportedStore(f"store format {found_format!r}; this program reads {_READ_FORMATS[1:]!r}")
        redos = sorted(redo for redo in found if redo[0] > other)
        if other_log not in (own_log, None):  # an engine without a commit knows no log
            raise StoreFailed("the engines do not belong together: they are of two logs")
        if own < other or [number for number, _, _ in redos] != list(range(other + 1, own + 1)):
            raise StoreTorn(f"the engines do not belong together: commit {own} beside {other}, and redos are missing")
        self._syncing.sync()  # so that LMDB is here again if the machine goes down before it is further
        for number, _, data in redos:
            self._apply_read(decode_redo(data, number))
        self._syncing.found([key for _, key, _ in redos], [key for number, key, _ in found if number <= other])
        return own

    def _apply_read(self, batch: Batch) -> None:
        """Commit to LMDB, growing its map as often as it takes."""
        while True:
            try:
                self._read.apply(batch)
            except MapFull:
                self._views.withdraw(self._options.grow_wait_s)
                self._grow()
            else:
                return

    def _make_room(self) -> None:
        """Grow a map that is nearly full while nobody reads, so that no commit has to wait for it."""
        if self._read.is_crowded() and self._views.withdraw_if_idle():
            self._grow()
            self._publish()

    def _grow(self) -> None:
        """Grow the map, which ends all readers, also the one that keeps the synced pages: so all is synced before."""
        self._syncing.sync()
        self._read.grow()
        self._syncing.hold()

    def _sync_last(self) -> None:
        """What a close leaves is durable if it can be; what is not is folded again."""
        try:
            if self._failure is None and self._syncing.is_behind:
                self._syncing.sync()
        except StoreError as error:
            _LOGGER.warning("the store is closed without its last sync: %s", error)
        self._syncing.close()

    def _publish(self) -> None:
        """Show the new moment to readers from now on."""
        write = self._write.snapshot()
        try:
            view = View(write, self._read.snapshot(), self._read.size_bytes())
        except BaseException:
            write.close()
            raise
        self._views.publish(view)

    def _copy_view(self) -> tuple[View, PageCopy]:
        """The last commit's pages, and a view of its own that keeps them: a copy must not hold up other readers."""
        read, pages = self._read.pages()
        try:
            view = View(self._write.snapshot(), read, self._read.size_bytes())
        except BaseException:
            read.close()
            raise
        self._views.keep(view)
        return view, pages


@contextmanager
def engines(folder: Path, options: StoreOptions) -> Iterator[tuple[RocksEngine, SyncedLmdb]]:
    """The two engines of a pair's folder; closed again if what they are for cannot come up."""
    with opening(folder) as is_new:
        write = RocksEngine(
            folder / WRITE,
            memory_bytes=options.memory_bytes,
            background_jobs=options.background_jobs,
            create=is_new,
        )
        try:
            read = SyncedLmdb(folder / READ, map_bytes=options.map_bytes)
            try:
                yield write, read
            except BaseException:
                read.close()
                raise
        except BaseException:
            write.close()
            raise


def _commit_number(value: bytes | None) -> int:
    return 0 if value is None else int(_COMMIT.unpack(value)[0])
