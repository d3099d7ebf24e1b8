"""What an error of the disk means for a log: a refusal after which it goes on, or its end.

A lack of room, or of file handles, that a write meets is a refusal: nothing of
the group counts, and what was written of it is cut off.  A failed fsync ends
the log whatever the reason: after it the page cache may hold what the disk
does not, and asking again could be answered well.

Source: docs/format-log.md, "Writing".
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from wal.errors import DiskFull, LogError, LogFailed, OutOfHandles

_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT))
_OUT_OF_HANDLES: Final = frozenset((errno.EMFILE, errno.ENFILE))


class SyncFailed(OSError):
    """An fsync failed: the disk may hold less than the page cache says."""


@contextmanager
def syncing() -> Iterator[None]:
    """Tell a failed fsync from every other error; to find no handle for a folder is none."""
    try:
        yield
    except OSError as error:
        if error.errno in _OUT_OF_HANDLES:
            raise
        raise SyncFailed(error.errno, error.strerror) from error


def failure_of(error: BaseException, path: Path, *, can_go_on: bool) -> LogError:
    """What those are told whose frames met the error in a segment.

    can_go_on: the disk is as it was before them; then `resumable` says whether the error lets the log go on.
    """
    if isinstance(error, LogError):
        return error
    cause = (isinstance(error, OSError) and error.strerror) or error
    number = error.errno if can_go_on and isinstance(error, OSError) and not isinstance(error, SyncFailed) else None
    failure: LogError
    if number in _FULL:
        failure = DiskFull(f"{path}: {cause}; nothing of it was written: make room, then resume the log")
    elif number in _OUT_OF_HANDLES:
        failure = OutOfHandles(f"{cause}: nothing of it was written to the log; try again, or allow more open files")
    else:
        failure = LogFailed(f"{path}: {cause}; reopen the log to go on")
    failure.__cause__ = error
    return failure
