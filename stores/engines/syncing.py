"""When a pair is brought onto the disk: now and then, both engines together, and never one of them alone.

A commit is not synced: the log has its events.  After so many commits, or so many bytes
of redo, RocksDB's log is synced, then LMDB's pages, then what says which moment of
LMDB's that is.  So whatever a power cut takes, LMDB is at the last synced commit, RocksDB at that one or
a later one, and the redo of every commit between the two is in RocksDB.

Source: docs/decisions/0002-atomic-pair.md, "Syncing".
"""

from collections.abc import Iterable
from typing import Final

from keycodec import meta_key
from stores.engines.pair import ReadEngine, WriteEngine
from stores.engines.synced import Mark
from stores.errors import StoreFailed, StoreFull

# Before all other META rows: RocksDB reads a row with all that shares its block, and ends a block behind the row that
# fills it.  A redo may have megabytes, and each question reads the cursor.
_REDO: Final = "0redo."
_FIRST_REDO: Final = "redo"  # where it stood at first; of format 1, that of the last commit alone
REDO_PREFIXES: Final = (meta_key(_REDO), meta_key(_FIRST_REDO))


class Syncing:
    """Which commit of a pair is synced, and what RocksDB keeps for those after it.  For the committing thread."""

    def __init__(self, write: WriteEngine, read: ReadEngine, commits_max: int, bytes_max: int) -> None:
        """commits_max: a sync comes after so many commits; bytes_max: or when their redos have so many bytes."""
        self._write = write
        self._read = read
        self._commits_max = commits_max
        self._bytes_max = bytes_max
        self._mark: Mark | None = None  # the last synced moment, or the one before while the next is made so
        self._bytes = 0
        self._needed: list[bytes] = []  # keys of the redos of the commits since
        self._stale: list[bytes] = []  # of those before
        self._leaving: list[bytes] = []  # of those that the commit in hand removes

    def take_stale(self) -> Iterable[bytes]:
        """Keys of redos that nobody needs, for the next commit to remove."""
        self._leaving += self._stale
        self._stale = []
        return self._leaving

    def sync(self) -> None:
        """Make the last commit durable in both engines.  Nobody commits meanwhile.

        Raises: StoreFailed.  What a failed sync has left undone cannot be known, so a full disk is no exception.
        """
        mark = self._read.mark()
        try:
            self._write.sync()
            self._read.sync(mark)
        except BaseException as error:
            mark.snapshot.close()
            if isinstance(error, StoreFull):
                raise StoreFailed(f"a sync failed: {error}") from error
            raise
        self._hold(mark)
        self._stale += self._needed
        self._needed = []
        self._bytes = 0

    def sync_if_due(self) -> None:
        """As sync, if that many commits or bytes are not."""
        if len(self._needed) >= self._commits_max or self._bytes >= self._bytes_max:
            self.sync()

    def hold(self) -> None:
        """Keep the pages of the last commit, which is synced, after a growth of the map has ended all readers."""
        assert not self._needed, "a commit is not synced and its pages are not held"
        self._hold(self._read.mark())

    def committed(self, key: bytes, redo_bytes: int) -> None:
        """A commit is done; its redo stands under a key."""
        self._leaving = []
        self._needed.append(key)
        self._bytes += redo_bytes

    def found(self, needed: Iterable[bytes], stale: Iterable[bytes]) -> None:
        """What redos there are when the pair is opened: of commits that LMDB has not seen, and of others."""
        self._needed += needed
        self._stale += stale

    @property
    def is_behind(self) -> bool:
        """Whether there are commits that are not synced."""
        return bool(self._needed)

    def close(self) -> None:
        """Hold no moment any more."""
        mark, self._mark = self._mark, None
        if mark is not None:
            mark.snapshot.close()

    def _hold(self, mark: Mark) -> None:
        self.close()
        self._mark = mark


def redo_key(number: int) -> bytes:
    """Where the redo of a commit stands."""
    return meta_key(f"{_REDO}{number:016x}")


def redo_number(key: bytes, last: int) -> int:
    """The commit whose redo stands under a key; last: the last there is, as of format 1."""
    digits = key.rpartition(b".")[2]
    return last if digits == REDO_PREFIXES[1] else int(digits, 16)
