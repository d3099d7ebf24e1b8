"""A data folder made from a backup: beside its place, opened, folded, and only then put there.

Refuses: a place where something is; a backup that is not as its manifest says,
before anything is made.  Invariant: the new folder has its name only once all
of it is durable and was opened.

Source: docs/operations.md, "Backup and restore".
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from cortex.folders import remove_tree
from episteme.errors import CannotOpen, InvalidParameter
from episteme.moving.backup import FRAMES, Phase, check_backup
from episteme.moving.copying import Copy, LogSource, make_own
from episteme.moving.folding import LOG_FOLDER, Folded, fold_folder
from episteme.state import STATE_FOLDER
from wal import Files, ReadOnlyLog
from wal.opening import LOCK_NAME

UNFINISHED: Final = ".unfinished"
_OWNER: Final = "the database that is being restored"


class Restored(Struct, frozen=True):
    """What a restore made: the database, its last position (-1: none), and what its state came to."""

    database: str
    last_seq: int
    folded: Folded


def restore(
    backup: Path,
    data: Path,
    phase: Phase,
    *,
    clock_ms: Callable[[], int],
    to_seq: int | None = None,
    signatures: bool = False,
    files: Files | None = None,
) -> Restored:
    """Make the data folder of a backup; to_seq: of its positions up to this one alone.

    Raises: CannotOpen if something is at data; InvalidParameter for a to_seq that the backup does not have;
    BadCopy; LogError; CortexError; StoreError; OSError.
    """
    files = files or Files()
    check_free(data)
    manifest = check_backup(backup, phase, signatures=signatures)
    if to_seq is not None and to_seq >= manifest.frames:
        raise InvalidParameter(f"the backup ends at seq {manifest.frames - 1}; it has no {to_seq}")
    end = manifest.frames if to_seq is None else to_seq + 1

    def fill(log_folder: Path) -> None:
        with (
            ReadOnlyLog.open(backup / FRAMES, files=files) as log,
            Copy.open(log_folder, LogSource(log), owner=_OWNER, clock_ms=clock_ms, files=files) as copy,
            phase("restoring") as moved,
        ):
            copy.follow(LogSource(log), end, moved)

    folded = make_data_folder(data, fill, phase, clock_ms, files)
    return Restored(manifest.database, end - 1, folded)


def make_data_folder(
    data: Path, fill: Callable[[Path], None], phase: Phase, clock_ms: Callable[[], int], files: Files
) -> Folded:
    """Let fill make a copy of a log in the folder that it is given, fold it, and put both in place as data.

    What fails, whatever it is, leaves nothing behind; what a kill leaves goes at the next try.
    Raises: CannotOpen if something is at data; as fill and the folding do.
    """
    check_free(data)
    making = data.with_name(f"{data.name}{UNFINISHED}")
    lock = _take(making, files)
    try:
        fill(making / LOG_FOLDER)
        make_own(making / LOG_FOLDER, files)
        with phase("folding") as moved:
            folded = fold_folder(making, clock_ms, moved)
        files.remove_if_there(making / LOCK_NAME)
        files.sync_folder(making)
        if data.is_dir():
            data.rmdir()  # empty: nothing is ever written over
        files.rename(making, data)
        files.sync_folder(data.parent)
    except BaseException:
        remove_tree(making)
        raise
    finally:
        files.close(lock)
    return folded


def check_free(data: Path) -> None:
    """Raises: CannotOpen if anything but an empty folder is at data."""
    if data.is_symlink() or (data.exists() and (not data.is_dir() or any(data.iterdir()))):
        raise CannotOpen(f"{data} is there and not empty; a database is never written over: name a new folder")


def _take(making: Path, files: Files) -> int:
    """The unfinished folder, empty and locked.  Raises: CannotOpen if somebody is at work in it, or it is not ours."""
    files.make_folder(making)
    lock = files.lock(making / LOCK_NAME)
    if lock is None:
        raise CannotOpen(f"{making}: another restore or import is at work there")
    others = sorted({path.name for path in making.iterdir()} - {LOCK_NAME, LOG_FOLDER, STATE_FOLDER})
    if others:
        files.close(lock)
        raise CannotOpen(f"{making} is in the way: there is {others[0][:80]!r} in it; move it away")
    for name in (LOG_FOLDER, STATE_FOLDER):
        remove_tree(making / name)
    return lock
