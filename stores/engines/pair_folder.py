"""The folder of a pair: what says that it is one, of which format, and that both engines are there.

    FORMAT      one line, written when both engines have been made
    write/      RocksDB
    read/       LMDB

A folder without FORMAT is new, half made, or not ours.  While a pair is being
made, FORMAT.new stands in its place; what a crash leaves behind with it holds
no commit, and is made again.  A folder that is refused is not touched.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from stores.engines.folders import remove_tree, sync_folder, translated, write_file
from stores.errors import StoreFailed, StoreLocked, UnsupportedStore

WRITE: Final = "write"
READ: Final = "read"

_FORMAT: Final = "FORMAT"
_MAKING: Final = "FORMAT.new"
_LINE: Final = b"episteme hybrid store 1\n"
_FOUND_MAX: Final = 200  # of a file that is not ours, in an error
_PROOFS: Final = {WRITE: "CURRENT", READ: "data.mdb"}  # without this file an engine would begin anew


@contextmanager
def opening(folder: Path) -> Iterator[bool]:
    """Check a pair's folder and hold it while its engines are opened; give whether they are to be made.

    Raises: StoreLocked; UnsupportedStore; StoreFailed; StoreFull.
    """
    with translated(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(folder):
            is_new = _is_new(folder)
            if is_new:
                for name in (WRITE, READ):
                    remove_tree(folder / name)
                write_file(folder / _MAKING, _LINE)
                sync_folder(folder)
            yield is_new
            if is_new:
                # Folders alone: to close a file of an engine's that is a lock would give the lock up.
                for name in (WRITE, READ, "."):
                    sync_folder(folder / name)
                (folder / _MAKING).rename(folder / _FORMAT)
                sync_folder(folder)
                sync_folder(folder.parent)


def seal(folder: Path) -> None:
    """Say of a copy, in which both engines' parts are, that it is a pair."""
    write_file(folder / _FORMAT, _LINE)


def _is_new(folder: Path) -> bool:
    names = set(os.listdir(folder))
    if _FORMAT in names:
        _check_whole(folder)
        return False
    if not names or (_MAKING in names and names <= {_MAKING, WRITE, READ}):
        return True
    raise UnsupportedStore(
        f"{folder} is no store that this program knows: it holds {', '.join(sorted(names)):.{_FOUND_MAX}} and no "
        f"file {_FORMAT}. Name the store's own folder or an empty one; a state can be removed, it is made anew "
        "from the log"
    )


def _check_whole(folder: Path) -> None:
    with (folder / _FORMAT).open("rb") as file:
        found = file.read(_FOUND_MAX)
    if found != _LINE:
        raise UnsupportedStore(
            f"{folder / _FORMAT} says {found!r}; this program reads {_LINE!r}. Open it with the program that made "
            "it, or remove the folder: a state is made anew from the log"
        )
    for engine, proof in _PROOFS.items():
        if not (folder / engine / proof).is_file():
            raise StoreFailed(
                f"{folder} has lost {engine}/{proof}: half of the pair is gone. Restore the whole folder from a "
                "copy, or remove it: a state is made anew from the log"
            )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder is nobody else's.  After opening RocksDB's own lock goes on to say so."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreLocked(f"{folder} is being opened elsewhere; stop that one first") from error
    else:
        yield
    finally:
        os.close(handle)
