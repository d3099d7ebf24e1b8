"""Durable file operations: the one door between this package and the disk.

A test replaces `Files` with one that fails, tears or forgets.  Nothing else in
the package calls the operating system.
"""

import fcntl
import os
from pathlib import Path


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

    def close(self, handle: int) -> None:
        """Give a handle, or a lock, back."""
        os.close(handle)
