"""A backup: an exact copy of a running database's log in a folder, with a manifest that says what was verified.

Owns: the backup's folder.  Refuses: the folder of another database, or of this
one gone another way.  Invariant: what the manifest tells of was durable, opened
again and walked to the last byte before the manifest was written; frames behind
it are of a run that was broken off, and count for nothing until the next.

Source: docs/operations.md, "Backup and restore".
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

import msgspec
from blake3 import blake3
from msgspec import Struct

from cortex.folders import put_durably
from episteme.check import check_claims
from episteme.errors import BadCopy, CannotOpen
from episteme.moving.copying import Copy, FrameSource, OnProgress
from episteme.moving.digest import add_frame
from model import FRAME_KIND_EVENT
from wal import Corrupt, Diverged, Files, Frame, LogError, LogLocked, NotOwner, WrongLog, wall_ms

MANIFEST: Final = "MANIFEST.json"
FRAMES: Final = "frames"  # not "log": a backup must not be served by mistake
SCRATCH: Final = "scratch"  # of a comparison; removed after it
FORMAT: Final = 1
_OWN_NAMES: Final = frozenset({MANIFEST, f"{MANIFEST}.new", FRAMES, SCRATCH})
_OWNER: Final = "the database that this is a backup of; `episteme restore` makes a database of it"


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a backup is of, and what was found when it was last walked.

    frames: positions 0 to frames - 1.  last_time_ms: of the last one; None: there is none.
    chain: CRC-32C of the last frame, 8 hex digits.  digest: BLAKE3 of all frames' bytes in order.
    signatures: whether all were verified then.  made_ms: when.  version: of the program.
    """

    format: int
    database: str
    frames: int
    events: int
    last_time_ms: int | None
    chain: str
    digest: str
    signatures: bool
    made_ms: int
    version: str


class Phase(Protocol):
    """How a long step tells how far it is: a progress bar, or nothing."""

    def __call__(self, what: str, *, in_bytes: bool = False) -> AbstractContextManager[OnProgress]:
        """For as long as the block runs."""


class Taken(Struct, frozen=True):
    """What a run of a backup did: how many frames are new, and what there is now."""

    new_frames: int
    manifest: Manifest


def take_backup(
    folder: Path,
    source: FrameSource,
    phase: Phase,
    *,
    clock_ms: Callable[[], int],
    version: str,
    signatures: bool = False,
    files: Files | None = None,
) -> Taken:
    """Copy what the source has now and the backup does not; then open it again, walk it, and write the manifest.

    signatures: verify them all too.
    Raises: CannotOpen for a folder that is something else; BadCopy; LogError; EpistemeError; OSError.
    """
    files = files or Files()
    _check_folder(folder)
    files.make_folder(folder)
    end = source.end
    try:
        with Copy.open(folder / FRAMES, source, owner=_OWNER, clock_ms=clock_ms, files=files) as copy:
            _check_not_shorter(folder, copy.end)
            with phase("copying") as moved:
                new_frames = copy.follow(source, end, moved)
    except (WrongLog, Diverged, NotOwner) as error:
        raise CannotOpen(f"{folder} is a backup of something else: {error}") from error
    except LogLocked as error:
        raise CannotOpen(f"another backup into {folder} is under way") from error
    except Corrupt as error:
        if not error.path.is_relative_to(folder):
            raise
        raise BadCopy(f"the backup is damaged: {error}") from error
    manifest = _walked(folder, None, phase, clock_ms(), version, signatures=signatures)
    put_durably(files, folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    return Taken(new_frames, manifest)


def check_backup(folder: Path, phase: Phase, *, signatures: bool = False) -> Manifest:
    """Open a backup, walk it, and compare it with its manifest, which is given; nothing is changed.

    Raises: BadCopy for one that must not be relied on; CannotOpen for a folder that is none; OSError.
    """
    manifest = read_manifest(folder)
    found = _walked(folder, manifest.frames, phase, manifest.made_ms, manifest.version, signatures=signatures)
    expected = msgspec.structs.replace(manifest, signatures=signatures)
    if found != expected:
        wrong = [name for name in Manifest.__struct_fields__ if getattr(found, name) != getattr(expected, name)]
        told = "; ".join(f"{name} is {getattr(found, name)}, not {getattr(expected, name)}" for name in wrong)
        raise BadCopy(f"{folder} is not as its manifest says: {told}")
    return msgspec.structs.replace(manifest, signatures=manifest.signatures or signatures)


def read_manifest(folder: Path) -> Manifest:
    """What a backup says of itself.  Raises: CannotOpen for a folder that is none; BadCopy; OSError."""
    path = folder / MANIFEST
    if not path.is_file():
        if (folder / FRAMES).is_dir():
            raise BadCopy(f"{folder} is a backup that was never finished: run `episteme backup` once more")
        raise CannotOpen(f"{folder} is no backup: it has no {MANIFEST}", hint="Name the folder of a backup.")
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadCopy(f"{path} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise CannotOpen(f"{folder} is a backup of format {manifest.format}; this program reads {FORMAT}")
    return manifest


def _walked(folder: Path, end: int | None, phase: Phase, made_ms: int, version: str, *, signatures: bool) -> Manifest:
    """Walk what is on the disk, up to, and without, end, as far as it goes; give the manifest of that.

    Raises: BadCopy for any damage.
    """
    hasher, chain, count, events, last_time = blake3(), 0, 0, 0, None

    def look_at(frame: Frame) -> None:
        nonlocal chain, count, events, last_time
        if end is None or frame.seq < end:
            chain, count, last_time = add_frame(hasher, frame), count + 1, frame.time
            events += frame.kind == FRAME_KIND_EVENT

    try:
        with phase("verifying", in_bytes=True) as moved:
            found = check_claims(folder / FRAMES, moved, signatures=signatures, on_frame=look_at)
    except LogError as error:
        raise BadCopy(f"the backup is damaged: {error}") from error
    if found.damaged:
        first = next(one for one in found.findings if one.severity == "damage")
        raise BadCopy(f"the backup is damaged: {first.path} at byte {first.offset}: {first.detail}")
    return Manifest(
        format=FORMAT,
        database=found.log.log_id.hex(),
        frames=count,
        events=events,
        last_time_ms=None if last_time is None else wall_ms(last_time),
        chain=f"{chain:08x}",
        digest=hasher.hexdigest(),
        signatures=signatures,
        made_ms=made_ms,
        version=version,
    )


def _check_folder(folder: Path) -> None:
    """Raises: CannotOpen for a folder that is not empty, and no backup."""
    if folder.is_symlink() and not folder.exists():
        raise CannotOpen(f"{folder} leads nowhere")
    if folder.exists() and not folder.is_dir():
        raise CannotOpen(f"{folder} is not a folder")
    if folder.is_dir():
        others = sorted({path.name for path in folder.iterdir()} - _OWN_NAMES)
        if others:
            raise CannotOpen(f"{folder} is not empty, and no backup: there is {others[0][:80]!r} in it")


def _check_not_shorter(folder: Path, end: int) -> None:
    """Raises: BadCopy if frames that were verified once are gone: the copy may have holes that nobody knows."""
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder)
        if end < manifest.frames:
            raise BadCopy(f"{folder} ends at seq {end - 1}; its manifest says {manifest.frames - 1}")
