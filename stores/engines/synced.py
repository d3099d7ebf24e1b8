"""LMDB for a pair: what a commit writes is on the disk at the next sync, and a power cut takes back what came after.

LMDB by itself is damaged by a power cut if it does not sync at each commit: its
meta page may be on the disk before the pages that it points to.  Here the meta
pages of the last moment that was synced are kept in a file beside it, and that
moment's reader is held, for LMDB never writes over a page that a reader can
reach.  So the pages of that moment stay on the disk as they are; opening puts its
meta pages back, and LMDB is at that moment again.  What was committed since is
for the pair's redo.

    SYNCED      two slots of 256 KiB, written in turn: BLAKE3 (32 bytes) of the rest, u64 LE number, u64 LE bytes of
                LMDB's file, u32 LE bytes of the meta pages, the meta pages

Without that file LMDB's own meta page is the last commit, and synced: of a copy,
and of a store that an earlier program has closed.

Source: docs/decisions/0002-atomic-pair.md, "Syncing".
"""

import fcntl
import os
import struct
from pathlib import Path
from typing import Final, NamedTuple

from blake3 import blake3

from stores.engines.folders import sync_folder, translated
from stores.engines.lmdb import DATA, LmdbEngine, LmdbSnapshot
from stores.errors import StoreFailed, StoreTorn

SYNCED: Final = "SYNCED"
_LOCK: Final = "lock.mdb"
_MAGIC: Final = slice(16, 20)  # of a meta page, behind the page's own head; each write of it has the same
_DIGEST_BYTES: Final = 32
_HEAD: Final = struct.Struct("<QQI")
_SLOT_BYTES: Final = 256 * 1024  # two pages of the largest system there is, and the head


class Mark(NamedTuple):
    """A moment that is to be synced: its reader, which keeps its pages, and its meta pages."""

    snapshot: LmdbSnapshot
    meta: bytes


class _Slot(NamedTuple):
    """What a slot says; of two, the one of the higher number holds."""

    number: int
    file_bytes: int
    meta: bytes


class SyncedLmdb(LmdbEngine):
    """An LMDB folder whose commits are durable at a sync, and that is at the last synced moment when it is opened."""

    def __init__(self, folder: Path, *, map_bytes: int) -> None:
        """As LmdbEngine.  While another process reads there, that machine has not gone down: its pages are used."""
        with translated(folder):
            if (folder / SYNCED).exists() and not _is_read_elsewhere(folder):
                _put_back(folder)
        super().__init__(folder, map_bytes=map_bytes, sync=False)
        try:
            with translated(folder):
                self._file = _SyncedFile(folder)
        except BaseException:
            self.close()
            raise

    def mark(self) -> Mark:
        """The last commit, whose pages stay as they are until its snapshot is closed."""
        snapshot, pages = self.pages()
        return Mark(snapshot, pages.meta)

    def sync(self, mark: Mark) -> None:
        """Make all up to a mark durable.  Raises: StoreFailed."""
        self.flush()
        with translated(self._folder):
            self._file.write((self._folder / DATA).stat().st_size, mark.meta)

    def close(self) -> None:
        """As KV.close; what was not synced may be lost in a power cut."""
        super().close()
        file = self.__dict__.pop("_file", None)
        if file is not None:
            file.close()


class _SyncedFile:
    """The file, open to be written."""

    def __init__(self, folder: Path) -> None:
        path = folder / SYNCED
        is_new = not path.exists()
        found = None if is_new else _read(path)
        self._number = 0 if found is None else found.number
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if is_new:
            sync_folder(folder)

    def write(self, file_bytes: int, meta: bytes) -> None:
        """Over the older slot, so that a torn write leaves the other; on the disk on return."""
        number = self._number + 1
        body = _HEAD.pack(number, file_bytes, len(meta)) + meta
        data = blake3(body).digest() + body
        if os.pwrite(self._handle, data, number % 2 * _SLOT_BYTES) < len(data):
            raise StoreFailed("a write fell short")
        os.fdatasync(self._handle)
        self._number = number

    def close(self) -> None:
        os.close(self._handle)


def _put_back(folder: Path) -> None:
    """Raises: StoreTorn if LMDB's file has lost its end, which LMDB would not see; one that is no LMDB's is left."""
    found = _read(folder / SYNCED)
    if found is None:  # nothing was committed before the first slot was whole
        return
    with (folder / DATA).open("r+b") as file:
        there = file.read(len(found.meta))
        if there == found.meta or there[_MAGIC] != found.meta[_MAGIC]:
            return
        size = file.seek(0, os.SEEK_END)
        if size < found.file_bytes:
            raise StoreTorn(f"{file.name} has {size} bytes; at its last sync it had {found.file_bytes}")
        file.seek(0)
        file.write(found.meta)


def _read(path: Path) -> _Slot | None:
    """The newer whole slot says; None if neither is whole."""
    with path.open("rb") as file:
        slots = []
        for place in range(2):
            file.seek(place * _SLOT_BYTES)
            slots.append(_parse(file.read(_SLOT_BYTES)))
    return max((slot for slot in slots if slot is not None), default=None)


def _parse(slot: bytes) -> _Slot | None:
    start = _DIGEST_BYTES + _HEAD.size
    if len(slot) < start:
        return None
    number, file_bytes, length = _HEAD.unpack_from(slot, _DIGEST_BYTES)
    body = slot[_DIGEST_BYTES : start + length]
    if blake3(body).digest() != slot[:_DIGEST_BYTES]:
        return None
    return _Slot(number, file_bytes, slot[start : start + length])


def _is_read_elsewhere(folder: Path) -> bool:
    """Whether another process has the folder open: each holds a share of LMDB's lock.

    Not while this process has it open, for to close the file gives its own share up.
    """
    try:
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
