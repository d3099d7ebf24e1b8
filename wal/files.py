"""Durable file operations: the one door between this package and the disk.

A test replaces `Files` with one that fails, tears or forgets.  Nothing else in
the package calls the operating system.
"""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path


def after_fork(call: Callable[[], None]) -> None:
    """Let call run in every child that a fork makes from now on, before anything else there."""
    os.register_at_fork(after_in_child=call)


class Files:
    """The real disk.  Every method may raise OSError; what is durable on return is said at each."""

    def make_folder(self, path: Path) -> None:
        """Create a folder and its parents (0700); each new entry is durable on return."""
        if path.is_dir():
            self.sync_folder(path.parent)  # a crash may have come between its making and this
            return
        self.make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        self.sync_folder(path.parent)

    def names(self, path: Path) -> list[str]:
        """The names in a folder, sorted."""
        return sorted(os.listdir(path))

    def create(self, path: Path) -> int:
        """Open a new file for reading and writing; an existing one is emptied. Not durable."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def open_write(self, path: Path) -> int:
        """Open an existing file for reading and writing."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def open_read(self, path: Path) -> int:
        """Open an existing file for reading."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def open_or_create(self, path: Path) -> int:
        """Open a file for reading and writing; a missing one is made, empty. Not durable."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def lock(self, path: Path) -> int | None:
        """Take the lock file, creating it; None if somebody holds it, in this process or another."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle

    def size(self, handle: int) -> int:
        """The file's length in bytes."""
        return os.fstat(handle).st_size

    def read(self, handle: int, size: int, offset: int) -> bytes:
        """Up to size bytes; fewer only at the end of the file."""
        return os.pread(handle, size, offset)

    def write(self, handle: int, data: bytes, offset: int) -> None:
        """Write all of data, going on after short writes. Not durable before sync."""
        written = os.pwrite(handle, data, offset)
        while written < len(data):
            written += os.pwrite(handle, memoryview(data)[written:], offset + written)

    def reserve(self, handle: int, offset: int, size: int) -> None:
        """Make the file longer by size zeros at offset, its end, with space for them. Not durable before sync."""
        os.posix_fallocate(handle, offset, size)

    def publish(self, handle: int, data: bytes) -> None:
        """Overwrite the start of a small file, within one sector. Not durable."""
        os.pwrite(handle, data, 0)

    def replace(self, path: Path, data: bytes) -> None:
        """Put a file in place of what path names, if anything, whole or not at all. Not durable."""
        temporary = path.with_name(f"{path.name}.new")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            Files.write(self, handle, data, 0)
        finally:
            os.close(handle)
        temporary.replace(path)

    def sync(self, handle: int) -> None:
        """The file's data, and its length, are on the disk on return (fdatasync)."""
        os.fdatasync(handle)

    def sync_folder(self, path: Path) -> None:
        """Creations, renames and removals in the folder are on the disk on return."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def truncate(self, handle: int, size: int) -> None:
        """Cut the file. Not durable before sync."""
        os.ftruncate(handle, size)

    def rename(self, source: Path, target: Path) -> None:
        """Replace target by source, atomically. Not durable before sync_folder."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file. Not durable before sync_folder."""
        path.unlink()

    def remove_if_there(self, path: Path) -> None:
        """Remove a file that may be missing. Not durable before sync_folder."""
        path.unlink(missing_ok=True)

    def close(self, handle: int) -> None:
        """Give a handle, or a lock, back."""
        os.close(handle)

    def still_at(self, handle: int, path: Path) -> bool:
        """Whether path names the open file: it was not removed or replaced, nor a folder above it renamed."""
        try:
            return os.path.samestat(os.fstat(handle), path.stat())
        except FileNotFoundError:
            return False

    def remove_folder(self, path: Path) -> bool:
        """Remove an empty folder; False if something is in it, or it is a link. Not durable before sync_folder."""
        try:
            path.rmdir()
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                return False
            raise
        return True
