"""The pair of engines as another process follows it: LMDB's newest moment, and RocksDB at the same commit.

LMDB has moments, so every reader takes the newest.  RocksDB's follower has one
moment at a time, so it is opened at the first look into one of its families,
and moves on only while nobody reads in it.  Both engines hold the number of
their last commit; a reader sees rows of both only where the two are equal, and
else is told to begin again: Moved.  RocksDB commits first, so the moment that
is missing is either there already or there within the writer's commit.

Source: docs/decisions/0002-atomic-pair.md.
"""

import threading
from collections.abc import Iterator, Sequence
from heapq import merge
from pathlib import Path
from typing import Final, Self

from keycodec import Engine, engine_of, meta_prefix
from stores.engines.hybrid import StoreOptions
from stores.engines.lmdb import LmdbSnapshot
from stores.engines.lmdb_reading import LmdbReading, Moment
from stores.engines.pair_folder import READ, WRITE
from stores.engines.rocks_following import RocksFollowing
from stores.errors import StoreClosed, StoreFailed

CACHE_PART: Final = 8  # of memory_bytes: what each follower of RocksDB caches; it reads what few ask for
TURN_WAIT_S: Final = 1.0  # how long a reader of a new commit waits for those of the one before

_WRITE: Final = Engine.WRITE
_COLON: Final = b":"


class Moved(Exception):
    """No moment is shown that both engines have; what was read so far is void.  Take a new snapshot and begin again."""


class FollowingSnapshot:
    """One moment of the pair.  As stores.Snapshot, for one thread; any read may raise Moved."""

    __slots__ = ("_pair", "_patient", "_read", "_write", "commit", "position")

    def __init__(self, pair: "FollowingPair", read: LmdbSnapshot, moment: Moment, *, patient: bool) -> None:
        self._pair = pair
        self._read: LmdbSnapshot | None = read
        self._write: RocksFollowing | None = None
        self._patient = patient
        self.commit, self.position = moment

    def get(self, key: bytes) -> bytes | None:
        """As Reader.get."""
        if engine_of(key) is not _WRITE:
            return self._held().get(key)
        try:
            return self._held_write().get(key)
        except StoreFailed as error:
            raise self._pair.moved(error) from error

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As Reader.get_many."""
        if not keys or engine_of(keys[0]) is not _WRITE:
            return self._held().get_many(keys)
        try:
            return self._held_write().get_many(keys)
        except StoreFailed as error:
            raise self._pair.moved(error) from error

    def scan(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> Iterator[tuple[bytes, bytes]]:
        """As Reader.scan; of both engines where the prefix does not name a family."""
        is_family = prefix.find(_COLON, prefix.find(b"\x00")) >= 0
        if is_family and engine_of(prefix) is not _WRITE:
            yield from self._held().scan(prefix, after=after, count_max=count_max)
            return
        try:
            write = self._held_write().scan(prefix, after=after, count_max=count_max)
            if is_family:
                yield from write
                return
            read = self._held().scan(prefix, after=after, count_max=count_max)
            own = (pair for pair in read if not pair[0].startswith(meta_prefix()))
            for _, pair in zip(range(count_max), merge(write, own), strict=False):
                yield pair
        except StoreFailed as error:
            raise self._pair.moved(error) from error

    def postings(self, key: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """As Reader.postings."""
        return self._held().postings(key, after=after, count_max=count_max)

    def posting_count(self, key: bytes) -> int:
        """As Reader.posting_count."""
        return self._held().posting_count(key)

    def posting_keys(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """As Reader.posting_keys."""
        return self._held().posting_keys(prefix, after=after, count_max=count_max)

    def close(self) -> None:
        """Let the moment go.  A second call does nothing."""
        read, self._read = self._read, None
        if read is not None:
            self._pair.release(read, with_write=self._write is not None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _held(self) -> LmdbSnapshot:
        if self._read is None:
            raise StoreClosed("the snapshot is closed")
        return self._read

    def _held_write(self) -> RocksFollowing:
        if self._write is None:
            self._held()
            self._write = self._pair.hold_write(self.commit, patient=self._patient)
        return self._write


class FollowingPair:
    """A pair's folder, written by another process.  Thread-safe."""

    def __init__(self, folder: Path, scratch: Path, options: StoreOptions) -> None:
        """scratch: a folder of this follower's alone, made when it is needed, removed at the close.

        Raises: StoreFailed; UnsupportedStore.
        """
        self._folder = folder
        self._scratch = scratch
        self._cache_bytes = options.memory_bytes // CACHE_PART
        self._read = LmdbReading(folder / READ, map_bytes=options.map_bytes)
        self._turn = threading.Condition()  # of who reads in RocksDB's follower, or moves it on
        self._write: RocksFollowing | None = None
        self._write_reader_count = 0
        self._is_doubtful = False  # a read has failed: it is opened anew
        self._was_used = False  # since it was last tended

    def snapshot(self, *, patient: bool = True) -> FollowingSnapshot:
        """The newest moment.  patient: wait for RocksDB's follower where it has to move on; else that is Moved at once.

        Raises: StoreClosed; StoreFailed.
        """
        read, moment = self._read.snapshot()
        return FollowingSnapshot(self, read, moment, patient=patient)

    def release(self, read: LmdbSnapshot, *, with_write: bool) -> None:
        """What a snapshot calls when it ends."""
        if with_write:
            self._release_write()
        self._read.release(read)

    def hold_write(self, commit: int, *, patient: bool) -> RocksFollowing:
        """RocksDB at a commit, for one reader more.  Raises: Moved; StoreClosed."""
        if not self._turn.acquire(blocking=patient):
            raise Moved("RocksDB's follower is busy")
        try:
            self._was_used = True
            while (write := self._write) is None or write.commit != commit or self._is_doubtful:
                if not patient or (write is not None and write.commit > commit):
                    raise Moved(f"LMDB is at commit {commit}, RocksDB at {-1 if write is None else write.commit}")
                if not self._turn.wait_for(lambda: not self._write_reader_count, TURN_WAIT_S):
                    raise Moved(f"reads of a commit before {commit} go on")
                self._advance(commit)
            self._write_reader_count += 1
            return write
        finally:
            self._turn.release()

    def moved(self, cause: StoreFailed) -> Moved:
        """What a reader raises after a failure of RocksDB's follower, such as a table that is gone."""
        self._is_doubtful = True
        return Moved(str(cause))

    def tend(self) -> None:
        """Called now and then: free what dead readers hold, and removed tables; a follower that nobody reads is closed.

        Raises: StoreError.
        """
        self._read.clear_dead()
        with self._turn:
            write = self._write
            if write is None or self._write_reader_count:
                return
            if self._was_used:
                self._was_used = False
                write.catch_up()
            else:
                self._write = None
                write.close()

    def retire(self) -> None:
        """Give no more snapshots, and close when those that are held have ended."""
        self._read.retire(self._close_write)

    def _advance(self, commit: int) -> None:
        """Bring RocksDB's follower to a commit, or beyond.  Raises: Moved."""
        try:
            if self._write is None:
                self._write = RocksFollowing(self._folder / WRITE, self._scratch, cache_bytes=self._cache_bytes)
            else:
                self._write.catch_up(anew=self._is_doubtful)
            self._is_doubtful = False
            if self._write.commit < commit:
                self._write.catch_up(anew=True)
            if self._write.commit < commit:
                raise Moved(f"RocksDB's follower is at commit {self._write.commit}, LMDB at {commit}")
        except StoreFailed as error:
            raise self.moved(error) from error

    def _release_write(self) -> None:
        with self._turn:
            self._write_reader_count -= 1
            if not self._write_reader_count:
                self._turn.notify_all()

    def _close_write(self) -> None:
        with self._turn:
            write, self._write = self._write, None
            if write is not None:
                write.close()
