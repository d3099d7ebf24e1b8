"""Folders that a state keeps beside its log: small durable files, whole trees, and what they hold."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from blake3 import blake3

from wal import Files

_CHUNK_BYTES: Final = 1024 * 1024


def put_durably(files: Files, path: Path, data: bytes) -> None:
    """Put a small file in place of what path names, whole or not at all; durable on return."""
    temporary = path.with_name(f"{path.name}.new")
    handle = files.create(temporary)
    try:
        files.write(handle, data, 0)
        files.sync(handle)
    finally:
        files.close(handle)
    files.rename(temporary, path)
    files.sync_folder(path.parent)


def remove_tree(path: Path) -> None:
    """Remove a folder with all in it, if it is there."""
    shutil.rmtree(path, ignore_errors=False) if path.is_dir() else path.unlink(missing_ok=True)


def copy_tree(files: Files, source: Path, target: Path, linked_suffixes: frozenset[str]) -> None:
    """Copy a folder into a new one, durably; files with these suffixes never change, so they are linked.

    A file that cannot be linked, for it is on another disk, is copied.
    """
    files.make_folder(target)
    for name in files.names(source):
        found = source / name
        if found.is_dir():
            copy_tree(files, found, target / name, linked_suffixes)
        elif not (found.suffix in linked_suffixes and _linked(found, target / name)):
            shutil.copyfile(found, target / name)
            _sync_file(files, target / name)
    files.sync_folder(target)


def sync_tree(files: Files, folder: Path) -> None:
    """All files and names under a folder are on the disk on return."""
    for name in files.names(folder):
        found = folder / name
        if found.is_dir():
            sync_tree(files, found)
        else:
            _sync_file(files, found)
    files.sync_folder(folder)


def file_digests(folder: Path) -> Iterator[tuple[str, int, str]]:
    """The path within the folder, the size in bytes and the BLAKE3 of every file, in path order."""
    for path in sorted(found for found in folder.rglob("*") if found.is_file()):
        digest = blake3()
        size = 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
        yield path.relative_to(folder).as_posix(), size, digest.hexdigest()


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def _sync_file(files: Files, path: Path) -> None:
    handle = files.open_read(path)
    try:
        files.sync(handle)
    finally:
        files.close(handle)
