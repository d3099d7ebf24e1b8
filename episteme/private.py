"""Small files that only their owner may read: replaced whole and durably, refused when others can read them."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from episteme.errors import KeyProblem

FILE_HINT: Final = "See whose the file and its folder are, and whether they may be written."


class Stamp(NamedTuple):
    """What changes when a file is replaced."""

    inode: int
    mtime_ns: int
    size: int
    mode: int


def stamp_of(path: Path) -> Stamp | None:
    """The file's stamp; None if it is not there.  Raises: KeyProblem."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error
    return Stamp(found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode)


def read_private(path: Path, *, bytes_max: int) -> bytes | None:
    """The whole file; None if it is not there.  Raises: KeyProblem, also for one that others can read."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                detail = f"{path} has mode {mode:04o}: others can read it; expected 0600"
                raise KeyProblem(detail, hint="Take it away from the others with chmod 600.")
            data = file.read(bytes_max + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(data) > bytes_max:
        raise KeyProblem(f"{path} has more than {bytes_max} bytes")
    return data


def write_private(path: Path, data: bytes) -> None:
    """Replace the file; after a crash it is the old one or the new one.  Raises: KeyProblem."""
    new = path.with_name(f"{path.name}.new")
    try:
        with suppress(FileNotFoundError):  # left by a crash, perhaps with another mode
            new.unlink()
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise KeyProblem(f"{path} cannot be written: {error.strerror}", hint=FILE_HINT) from error


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold off whoever else changes the file; missing folders are made, for their owner alone.  Raises: KeyProblem."""
    try:
        for folder in (*reversed(path.parent.parents), path.parent):
            folder.mkdir(mode=0o700, exist_ok=True)  # each of them: parents=True gives those above the usual mode
        handle = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KeyProblem(f"{path} cannot be locked: {error.strerror}", hint=FILE_HINT) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unreadable(path: Path, error: OSError) -> KeyProblem:
    return KeyProblem(f"{path} cannot be read: {error.strerror}", hint=FILE_HINT)
