"""Snapshots of a state: checkpoints with a manifest that says of which log, how far, and with which folds.

A snapshot is opened once when it is made, so that none is kept that cannot be;
what its manifest says is checked when it is used.  Its position is the number
of events that it has folded, never of those that were merely read.

Source: docs/state.md, "Snapshots".
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from cortex.errors import BadSnapshot, WrongLog
from cortex.folders import copy_tree, file_digests, put_durably, remove_tree, sync_tree
from stores import KV, MetaStore, state_digest
from wal import Files

MANIFEST: Final = "MANIFEST.json"
FORMAT: Final = 1
_STORE: Final = "store"
_MAKING: Final = "making-"
_NAME: Final = re.compile(r"[0-9]{20}")
_NEVER_CHANGED: Final = frozenset((".sst",))  # RocksDB writes a table once

OpenStore = Callable[[Path], KV]


class SnapshotFile(Struct, frozen=True):
    """One file of a snapshot."""

    name: str
    bytes: int
    blake3: str


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a snapshot is of; digest is of the state, None if it was not asked for."""

    format: int
    log: str
    position: int
    folds: dict[str, int]
    digest: str | None
    files: list[SnapshotFile]

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.bytes for file in self.files)


class SavedSnapshot(Struct, frozen=True):
    """A snapshot on the disk."""

    path: Path
    manifest: Manifest


def save_snapshot(store: KV, folder: Path, open_store: OpenStore, files: Files, *, digest: bool) -> SavedSnapshot:
    """Copy a running store into folder/<position>, durably; one that is there of the same position is replaced."""
    files.make_folder(folder)
    _remove_unfinished(folder, files)
    making = folder / f"{_MAKING}{len(files.names(folder))}"
    files.make_folder(making)
    try:
        store.checkpoint(making / _STORE)
        manifest = _describe(making / _STORE, open_store, digest=digest)
        sync_tree(files, making)
        put_durably(files, making / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        target = folder / f"{manifest.position:020d}"
        _remove(target, files)
        files.rename(making, target)
        files.sync_folder(folder)
    except BaseException:
        remove_tree(making)
        raise
    return SavedSnapshot(target, manifest)


def list_snapshots(folder: Path) -> list[SavedSnapshot]:
    """The snapshots in a folder, oldest position first; what cannot be read is left out."""
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(entry for entry in folder.iterdir() if _NAME.fullmatch(entry.name)):
        try:
            found.append(read_snapshot(path))
        except BadSnapshot:
            continue
    return found


def read_snapshot(path: Path) -> SavedSnapshot:
    """A snapshot by its folder; its files are not looked at.  Raises: BadSnapshot."""
    try:
        manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise BadSnapshot(f"{path / MANIFEST} cannot be read: {error}; use another snapshot") from error
    if manifest.format != FORMAT:
        raise BadSnapshot(f"{path} is a snapshot of format {manifest.format}; this program reads {FORMAT}")
    return SavedSnapshot(path, manifest)


def check_belongs(snapshot: SavedSnapshot, log_id: bytes, folds: Mapping[str, int]) -> None:
    """Raises: WrongLog for a snapshot of another log; BadSnapshot for one by other folds."""
    _check_log(snapshot, log_id)
    if snapshot.manifest.folds != dict(folds):
        raise BadSnapshot(
            f"{snapshot.path} was made by folds {snapshot.manifest.folds}, this program has {dict(folds)}"
        )


def restore_snapshot(snapshot: SavedSnapshot, target: Path, log_id: bytes, files: Files) -> None:
    """Copy the store of a snapshot of this log into a new folder, durably, once every file is as the manifest says.

    Raises: WrongLog; BadSnapshot; FileExistsError if the folder is there.
    """
    _check_log(snapshot, log_id)
    if target.exists():
        raise FileExistsError(f"{target} is there already; a snapshot is never restored over something")
    source = snapshot.path / _STORE
    found = [SnapshotFile(*file) for file in file_digests(source)]
    if found != snapshot.manifest.files:
        expected = {file.name: file for file in snapshot.manifest.files}
        bad = sorted(
            {file.name for file in found if expected.get(file.name) != file}
            | (expected.keys() - {f.name for f in found})
        )
        raise BadSnapshot(f"{source}: not as the manifest says: {', '.join(bad)}; use another snapshot")
    copy_tree(files, source, target, _NEVER_CHANGED)


def prune_snapshots(folder: Path, kept_count: int, position: int, files: Files) -> None:
    """Remove all but the newest up to position, where the state is: those beyond are of events that its log lost."""
    listed = list_snapshots(folder)
    kept = [one for one in listed if one.manifest.position <= position][-kept_count:]
    for snapshot in listed:
        if snapshot not in kept:
            _remove(snapshot.path, files)
    if folder.is_dir():
        files.sync_folder(folder)


def _check_log(snapshot: SavedSnapshot, log_id: bytes) -> None:
    if snapshot.manifest.log != log_id.hex():
        raise WrongLog(f"{snapshot.path} is a snapshot of log {snapshot.manifest.log}, this log is {log_id.hex()}")


def _describe(store_folder: Path, open_store: OpenStore, *, digest: bool) -> Manifest:
    """Open the copy, which proves that it can be, and say what it is."""
    store = open_store(store_folder)
    try:
        with store.snapshot() as reader:
            meta = MetaStore(reader)
            log_id = meta.log_id()
            assert log_id is not None, "a state is bound to its log before it can be copied"
            position, folds = meta.cursor(), meta.fold_versions()
            state = state_digest(reader) if digest else None
    finally:
        store.close()
    listed = [SnapshotFile(*file) for file in file_digests(store_folder)]
    return Manifest(FORMAT, log_id.hex(), position, folds, state, listed)


def _remove(path: Path, files: Files) -> None:
    """Remove a snapshot, if it is there, by way of a name that says so: a half of one is no snapshot."""
    if path.is_dir():
        going = path.with_name(f"{_MAKING}{path.name}")
        files.rename(path, going)
        remove_tree(going)


def _remove_unfinished(folder: Path, files: Files) -> None:
    for name in files.names(folder):
        if name.startswith(_MAKING):
            remove_tree(folder / name)
