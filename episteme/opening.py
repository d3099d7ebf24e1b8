"""Why a data folder cannot be opened, in words that say what to do about it.

Source: docs/operations.md, "When something fails".
"""

import errno
import os
from pathlib import Path
from typing import Final

from episteme.errors import CannotOpen, DiskFull, EpistemeError

_LOCKS: Final = Path("/proc/locks")  # Linux: who holds which lock, a line each
_FLOCK: Final = "FLOCK"


def check_folder(folder: Path) -> None:
    """Raises: CannotOpen for what is there and no folder."""
    if folder.exists() and not folder.is_dir():
        raise CannotOpen(f"{folder} is a file, and a database is a folder; name another")


def in_use(folder: Path, lock: Path) -> CannotOpen:
    """Somebody holds the folder's lock; who, if the system says."""
    pid = _holder(lock)
    if pid == os.getpid():
        return CannotOpen(f"{folder} is open in this process already; close it there first, or use what is open")
    by = "another process" if pid is None else f"another process, pid {pid}"
    return CannotOpen(f"{folder} is open in {by}; stop that one first, or ask it by its address")


def cannot_open(folder: Path, error: OSError) -> EpistemeError:
    """What an error of the system means for who wants to open the folder."""
    where = f"{folder} cannot be opened: {error}"
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return DiskFull(f"{where}; make room on its disk, then open it again")
        case errno.EROFS:
            return CannotOpen(f"{where}; make its file system writable, or copy the folder to one that is")
        case errno.EACCES | errno.EPERM:
            return CannotOpen(
                f"{where}; a database writes in its folder: give it to user {os.geteuid()}, or be who owns it"
            )
        case errno.EMFILE | errno.ENFILE:
            return CannotOpen(f"{where}; allow this process more open files (ulimit -n)")
        case _:
            return CannotOpen(where)


def _holder(lock: Path) -> int | None:
    """The process that holds a file's lock; None where that is not told."""
    try:
        found = lock.stat()
        lines = _LOCKS.read_text().splitlines()
    except (OSError, ValueError):
        return None
    inode = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in lines:
        fields = line.split()
        if len(fields) > 5 and fields[1] == _FLOCK and fields[5] == inode and fields[4].isdigit():
            return int(fields[4]) or None
    return None
