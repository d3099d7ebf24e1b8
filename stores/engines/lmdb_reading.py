"""LMDB's folder, read by a process that does not write it.

A reader has a slot in the folder's lock file, so the writer does not use its
pages again while it reads; and LMDB gives a moment for less than a microsecond,
for it keeps the slots of those that are done.  A map that the writer has grown
is adopted here as soon as nobody in this process reads.

The slot of a process that was killed holds its pages until somebody looks for
such slots: every opening does, and clear_dead.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import lmdb

from keycodec import meta_key
from stores.engines.folders import failed
from stores.engines.lmdb import LmdbSnapshot
from stores.errors import StoreClosed, UnsupportedStore
from stores.kv import position_of

SPARE_MAX: Final = 16  # slots that are kept for the next readers: as many as read at a time in one process
ADOPT_WAIT_S: Final = 5.0  # how long a map that has grown waits for the readers of the old one

_COMMIT_KEY: Final = meta_key("commit")


class Moment(NamedTuple):
    """Which moment of the store a snapshot shows."""

    commit: int  # the pair's number of it; 0 in a new store
    position: int  # events that are folded


class LmdbReading:
    """Thread-safe.  Every snapshot is given back by release."""

    def __init__(self, folder: Path, *, map_bytes: int) -> None:
        """Open a folder that a writer has made.  map_bytes: of the first map, or what the writer's has if that is more.

        Raises: StoreFailed; UnsupportedStore.
        """
        self._folder = folder
        self._changed = threading.Condition()
        self._reader_count = 0
        self._when_closed: Callable[[], None] | None = None
        self._known: tuple[int, Moment] = (-1, Moment(0, 0))  # of the last transaction that was looked into
        self._env: lmdb.Environment | None = None
        try:
            env = lmdb.open(
                str(folder),
                map_size=map_bytes,
                max_dbs=2,
                max_spare_txns=SPARE_MAX,
                readonly=True,
                create=False,
            )
            try:
                env.reader_check()
                self._rows = env.open_db(b"rows", create=False)
                self._lists = env.open_db(b"postings", create=False, dupsort=True, dupfixed=True)
            except BaseException:
                env.close()
                raise
            self._env = env
        except lmdb.VersionMismatchError as error:
            raise UnsupportedStore(f"{folder} was written by another version of LMDB: {error}") from error
        except lmdb.Error as error:
            raise failed(f"LMDB cannot open {folder} to read it: {error}") from error

    def snapshot(self) -> tuple[LmdbSnapshot, Moment]:
        """The newest moment, to be given back.  Raises: StoreClosed; StoreFailed."""
        with self._changed:
            transaction = self._begin()
            self._reader_count += 1
        snapshot = LmdbSnapshot(transaction, self._rows, self._lists)
        try:
            number, moment = self._known
            if number != transaction.id():
                moment = Moment(int.from_bytes(snapshot.get(_COMMIT_KEY) or b"", "little"), position_of(snapshot))
                self._known = transaction.id(), moment
        except BaseException:
            self.release(snapshot)
            raise
        return snapshot, moment

    def release(self, snapshot: LmdbSnapshot) -> None:
        """End a snapshot."""
        snapshot.close()
        with self._changed:
            self._reader_count -= 1
            if self._reader_count:
                return
            self._changed.notify_all()
            is_last = self._when_closed is not None
        if is_last:
            self._close()

    def clear_dead(self) -> int:
        """Free the slots of processes that died, the pages of which could not be used again; how many there were."""
        with self._changed:
            try:
                return self._open().reader_check()
            except lmdb.Error as error:
                raise failed(f"LMDB readers: {error}") from error

    def retire(self, when_closed: Callable[[], None]) -> None:
        """Give no more snapshots, and close with the last that is held; then call back.  A second call does nothing."""
        with self._changed:
            if self._when_closed is not None:
                return
            self._when_closed = when_closed
            is_idle = not self._reader_count
        if is_idle:
            self._close()

    def _close(self) -> None:
        with self._changed:
            env, self._env = self._env, None
        if env is not None:
            env.close()
            assert self._when_closed is not None, "it was retired"
            self._when_closed()

    def _begin(self) -> lmdb.Transaction:
        """A transaction, in a map that has all of the file."""
        until_s = None
        while True:
            env = self._open()
            try:
                return env.begin()
            except lmdb.MapResizedError as error:
                until_s = until_s or time.monotonic() + ADOPT_WAIT_S
                if not self._changed.wait_for(lambda: not self._reader_count, until_s - time.monotonic()):
                    raise failed(f"{self._folder}: LMDB's map has grown, and a reader keeps the old one") from error
                self._open().set_mapsize(0)  # what the writer has; nobody reads in the old one
            except lmdb.Error as error:
                raise failed(f"LMDB read: {error}") from error

    def _open(self) -> lmdb.Environment:
        if self._env is None or self._when_closed is not None:
            raise StoreClosed("the LMDB reader is closed")
        return self._env
