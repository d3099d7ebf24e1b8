"""RocksDB's folder, followed by a process that does not write it: RocksDB calls it a secondary.

It shows one moment, a commit, and moves on only when it is told to catch up;
nobody may read meanwhile, for a secondary has no snapshots.  Its own catching
up says that all is well in three cases where it is not, so they are looked for:

*  The writer flushes a buffer between this secondary's look at the manifest and
   its look at the logs: a log is gone and its table not known yet, rows are
   missing.  Then the manifest has grown meanwhile: catch up again.
*  The writer has flushed what this secondary has read of a log, and more: what
   is in memory here hides newer rows of the table until the next log is read
   (facebook/rocksdb, issue 15051).  Then sequence numbers go on and the commit,
   a row that every commit writes, does not: open anew.
*  The writer was opened anew (issue 14444): the manifest has another name: open
   anew.

Tables that the writer removes stay readable, for all are kept open, and take
their room on the disk until the next catching up.  Nothing is written in the
writer's folder, but that rocksdict writes its own little file anew, with the
same bytes, at every opening; an opening with options does not need it.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, cast

import rocksdict

from keycodec import meta_key
from stores.engines.folders import failed, remove_tree, translated
from stores.errors import StoreClosed, StoreFailed

_COMMIT_KEY: Final = meta_key("commit")
_TRIES: Final = 8  # of a catching up that the writer overtakes: a flush or a compaction ends in each
_ALL_FILES: Final = -1  # tables that are kept open
_OPENING_THREADS: Final = 1  # the usual 16 are begun and ended at every catching up, which takes 900 us and 10 without
_SCAN_CHUNK: Final = 256  # rows copied at a time
_NAME_BYTES_MAX: Final = 256  # of a manifest
_DIARY_BYTES_MAX: Final = 1024 * 1024
_DIARY_FILES_KEPT: Final = 1
_BLOOM_BITS_PER_KEY: Final = 10  # as the writer has them: without, those in its tables are not used


class _Manifest(NamedTuple):
    """The file in which RocksDB says what its tables are: it grows with every change of them."""

    name: str
    size: int


class RocksFollowing:
    """A secondary.  Not thread-safe in catch_up and close; all else may be called by many threads between them."""

    def __init__(self, folder: Path, scratch: Path, *, cache_bytes: int) -> None:
        """scratch: a folder for RocksDB's diary, made here and removed at the close; what is there goes.

        Raises: StoreFailed; StoreFull.
        """
        self._folder = folder
        self._scratch = scratch
        self._current = folder / "CURRENT"
        self._cache_bytes = cache_bytes
        self._db: rocksdict.Rdict | None = None
        self._manifest_name = ""
        self._sequence = -1
        self.commit = -1  # the number of the commit that is shown
        self.open_count = 0
        self.catch_up()

    def catch_up(self, *, anew: bool = False) -> None:
        """Show the writer's last commit, or one that it makes meanwhile; never one before the last call's.

        anew: by another opening, whatever is known.
        Raises: StoreFailed, and nothing can be read until another call succeeds; StoreFull.
        """
        try:
            if not self._catch_up(anew=anew) and not self._catch_up(anew=True):
                raise StoreFailed(f"{self._folder}: the writer's last commit is not to be seen")
        except BaseException:
            self._drop()
            raise

    def get(self, key: bytes) -> bytes | None:
        """As Reader.get."""
        try:
            return cast("bytes | None", self._open().get(key))
        except StoreClosed:
            raise
        except Exception as error:
            raise failed(f"RocksDB read: {error}") from error

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As Reader.get_many."""
        get = self._open().get
        try:
            return [cast("bytes | None", get(key)) for key in keys]
        except Exception as error:
            raise failed(f"RocksDB read: {error}") from error

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
        """Close it and remove what it wrote.  A second call does nothing."""
        self._drop()
        with translated(self._scratch):
            remove_tree(self._scratch)

    def _catch_up(self, *, anew: bool) -> bool:
        """One try; whether what is shown now is a moment of the writer's."""
        sequence, commit, opened_before = self._sequence, self.commit, self.open_count
        self._replay(anew=anew)
        db = self._open()
        self._sequence = db.latest_sequence_number()
        self.commit = int.from_bytes(self.get(_COMMIT_KEY) or b"", "little")
        if self.open_count > opened_before:
            return self.commit >= commit
        return self.commit > commit or (self.commit, self._sequence) == (commit, sequence)

    def _replay(self, *, anew: bool) -> None:
        """Take in what the writer has written, by a manifest that stays the same meanwhile."""
        before = self._manifest()
        for _ in range(_TRIES):
            if anew or self._db is None or before.name != self._manifest_name:
                self._reopen()
                anew, self._manifest_name = False, before.name
            else:
                self._step(self._db)
            after = self._manifest()
            if after == before:
                return
            before = after
        raise StoreFailed(f"{self._folder}: its tables change faster than they can be followed")

    def _step(self, db: rocksdict.Rdict) -> None:
        try:
            db.try_catch_up_with_primary()
        except Exception:  # whatever it was, such as a file that is gone: opening looks at all files anew, or raises
            self._reopen()

    def _reopen(self) -> None:
        self._drop()
        with translated(self._scratch):
            remove_tree(self._scratch)
            self._scratch.mkdir(parents=True, mode=0o700)
        access = rocksdict.AccessType.secondary(str(self._scratch))
        try:
            options = _options(self._cache_bytes)
            families = {"default": options}  # as the writer says it, or the cache and the filter would not be in force
            self._db = rocksdict.Rdict(str(self._folder), options, column_families=families, access_type=access)
        except Exception as error:
            raise failed(f"RocksDB cannot follow {self._folder}: {error}") from error
        self.open_count += 1

    def _manifest(self) -> _Manifest:
        """Raises: StoreFailed; OSError as StoreFailed."""
        with translated(self._folder):
            for _ in range(_TRIES):
                name = _first_line(self._current)
                try:
                    return _Manifest(name, (self._folder / name).stat().st_size)
                except FileNotFoundError:  # the writer has gone on to the next meanwhile
                    continue
        raise StoreFailed(f"{self._folder}: CURRENT names {name!r:.100}, which is not there")

    def _page(self, prefix: bytes, after: bytes | None, count: int) -> list[tuple[bytes, bytes]]:
        page: list[tuple[bytes, bytes]] = []
        db = self._open()
        try:
            iterator = db.iter()
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

    def _drop(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _open(self) -> rocksdict.Rdict:
        if self._db is None:
            raise StoreClosed("the RocksDB follower is closed")
        return self._db


def _first_line(path: Path) -> str:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(handle, _NAME_BYTES_MAX).decode().strip()
    finally:
        os.close(handle)


def _options(cache_bytes: int) -> rocksdict.Options:
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(False)
    options.set_max_open_files(_ALL_FILES)
    options.set_max_file_opening_threads(_OPENING_THREADS)
    options.set_keep_log_file_num(_DIARY_FILES_KEPT)
    options.set_max_log_file_size(_DIARY_BYTES_MAX)
    table = rocksdict.BlockBasedOptions()
    table.set_block_cache(rocksdict.Cache(cache_bytes))
    table.set_bloom_filter(_BLOOM_BITS_PER_KEY, False)
    table.set_cache_index_and_filter_blocks(True)
    options.set_block_based_table_factory(table)
    return options
