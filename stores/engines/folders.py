"""Folders of stores: one that appears whole or not at all, and the system's errors in a store's words."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from stores.errors import StoreFailed, StoreFull

_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_FULL_SIGNS: Final = tuple(os.strerror(number) for number in _FULL)  # how the engines' libraries say it

_LITTLE_BYTES: Final = 16 * 1024 * 1024
_PROBE_BYTES: Final = 4 * 1024 * 1024  # less room than that comes and goes by itself on a disk that is full


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Give a path beside folder to be made and filled; at the end all in it is synced and it takes folder's name.

    Raises: FileExistsError if the folder is there; StoreFull; StoreFailed.
    """
    if os.path.lexists(folder):
        raise FileExistsError(f"{folder} is there already; a copy is never made over something")
    making = folder.with_name(f"{folder.name}.making")
    with translated(folder):
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_tree(making)  # what a crash has left
        try:
            yield making
            sync_tree(making)
            making.rename(folder)
            sync_folder(folder.parent)
        except Exception:
            shutil.rmtree(making, ignore_errors=True)
            raise


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Turn an OSError into StoreFull or StoreFailed."""
    try:
        yield
    except OSError as error:
        raise failed(f"{folder}: {error}", is_full=error.errno in _FULL) from error


def failed(message: str, *, is_full: bool | None = None) -> StoreFailed:
    """StoreFull if there is no room, as the caller knows or the message says; else StoreFailed."""
    if is_full or (is_full is None and any(sign in message for sign in _FULL_SIGNS)):
        return StoreFull(f"{message}; make room on the disk")
    return StoreFailed(message)


def has_room(path: Path) -> bool:
    """Whether a file can grow.  Tried at its end and taken back, for only a write meets every limit there is.

    Where little is free, room may have come back between the write that fell short and this question: no.
    """
    found = os.statvfs(path)
    if found.f_bavail * found.f_frsize < _LITTLE_BYTES:
        return False
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(handle).st_size
        try:
            return os.pwrite(handle, bytes(_PROBE_BYTES), size) == _PROBE_BYTES
        except OSError as error:
            return error.errno not in _FULL
        finally:
            os.ftruncate(handle, size)
    finally:
        os.close(handle)


def write_file(path: Path, data: bytes) -> None:
    """Write a new file; durable once its folder is synced."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """The names in a folder are on the disk on return."""
    _sync(folder, os.O_DIRECTORY)


def sync_tree(folder: Path) -> None:
    """All files and names under a folder are on the disk on return.

    Not for the folder of an engine that is open: to close one of its lock files, even one opened to be
    read, gives the lock up.
    """
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            sync_tree(Path(entry.path))
        else:
            _sync(Path(entry.path), 0)
    sync_folder(folder)


def remove_tree(folder: Path) -> None:
    """Remove a folder and all in it, if it is there."""
    if folder.exists():
        shutil.rmtree(folder)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
