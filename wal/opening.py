"""Taking hold of a log's folder: the lock, the fencing epoch, and a first segment where there is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from wal.errors import Corrupt, LogLocked, NotOwner
from wal.files import Files
from wal.format import LOGICAL_BITS, SEQ_MAX, TIME_MS_MAX, SegmentHeader
from wal.mark import NAME as MARK_NAME
from wal.options import LogOptions, check_options
from wal.recovery import Progress, Recovered, recover
from wal.segment import create_segment, open_segment, segment_paths

LOCK_NAME: Final = "LOCK"
LOG_ID_BYTES: Final = 16
OWNER_NAME: Final = "OWNER"
_OWNER_BYTES_MAX: Final = 4096
_EPOCH_DIGITS: Final = 20


class Origin(NamedTuple):
    """How a new log begins."""

    log_id: bytes
    first_seq: int
    created: int  # hybrid clock; below the time of the first frame
    chain: int  # crc of the frame before the first


class Opened(NamedTuple):
    """A folder that this process alone writes."""

    lock_handle: int
    epoch: int
    recovered: Recovered
    owner: str | None  # of a replica


def open_folder(
    files: Files,
    folder: Path,
    options: LogOptions,
    origin: Callable[[], Origin],
    progress: Progress | None,
    new_owner: str | None = None,
) -> Opened:
    """Lock a log's folder, count the opening, and recover the log, or create it from origin.

    new_owner: make a replica, or open one that is of that owner.
    Raises: LogLocked at once; NotOwner if new_owner contradicts what is there; Corrupt; UnsupportedFormat;
    ValueError for bad options; OSError.
    """
    check_options(options)
    files.make_folder(folder)
    lock_handle = files.lock(folder / LOCK_NAME)
    if lock_handle is None:
        raise LogLocked(f"{folder} is open in another writer; stop that one first")
    try:
        if not files.still_at(lock_handle, folder / LOCK_NAME):
            raise LogLocked(f"{folder} is being removed; try again")
        is_new = not segment_paths(files, folder)
        epoch = _next_epoch(files, lock_handle, 0 if is_new else _newest_epoch(files, folder))
        owner = _owner(files, folder, new_owner, is_new=is_new)
        if is_new:
            _create(files, folder, epoch, origin)
        return Opened(lock_handle, epoch, recover(files, folder, replica=owner is not None, progress=progress), owner)
    except BaseException:
        files.close(lock_handle)
        raise


def first_origin(clock_ms: Callable[[], int], new_log_id: Callable[[], bytes]) -> Origin:
    """The origin of a log that nobody has written before.

    Raises: ValueError for a log id that is not 16 bytes, or a clock that no frame can bear.
    """
    log_id, now_ms = new_log_id(), clock_ms()
    if len(log_id) != LOG_ID_BYTES:
        raise ValueError(f"a log id has {LOG_ID_BYTES} bytes, this one {len(log_id)}")
    if not 0 <= now_ms <= TIME_MS_MAX:
        raise ValueError(f"the clock says {now_ms} ms; it may say 0 to {TIME_MS_MAX}")
    return Origin(log_id, 0, (now_ms << LOGICAL_BITS) - 1, 0)


def read_owner(files: Files, folder: Path) -> str | None:
    """Who owns the log that a folder is a replica of; None if it is not one.

    Raises: Corrupt if the file does not say.
    """
    try:
        handle = files.open_read(folder / OWNER_NAME)
    except FileNotFoundError:
        return None
    try:
        text = files.read(handle, _OWNER_BYTES_MAX, 0).decode("utf-8", "replace").strip()
    finally:
        files.close(handle)
    if not text:
        raise Corrupt(folder / OWNER_NAME, 0, "the owner's name", "nothing")
    return text


def _owner(files: Files, folder: Path, new_owner: str | None, *, is_new: bool) -> str | None:
    found = read_owner(files, folder)
    if found is not None and new_owner is None and is_new:
        raise NotOwner(found)  # a replica that was never begun must not begin as a log of its own
    if new_owner is None or new_owner == found:
        return found
    if not is_new:
        raise NotOwner(found or "this folder")
    if not new_owner.strip() or len(new_owner.encode()) > _OWNER_BYTES_MAX:
        raise ValueError(f"an owner is named in 1 to {_OWNER_BYTES_MAX} bytes of text")
    temporary = folder / f"{OWNER_NAME}.new"
    handle = files.create(temporary)
    try:
        files.write(handle, new_owner.encode(), 0)
        files.sync(handle)
    finally:
        files.close(handle)
    files.rename(temporary, folder / OWNER_NAME)
    files.sync_folder(folder)
    return new_owner


def _create(files: Files, folder: Path, epoch: int, origin: Callable[[], Origin]) -> None:
    if MARK_NAME in files.names(folder):
        raise Corrupt(folder / MARK_NAME, 32, "the segment that it names", "no segment at all")
    log_id, first_seq, created, chain = origin()
    header = SegmentHeader(log_id, epoch, first_seq, max(created, 0), chain)
    files.close(create_segment(files, folder, header)[1])


def _newest_epoch(files: Files, folder: Path) -> int:
    return open_segment(files, segment_paths(files, folder)[-1]).header.epoch


def _next_epoch(files: Files, lock_handle: int, above: int) -> int:
    """Count this opening in the lock file, durably: later segments carry the number."""
    text = files.read(lock_handle, _EPOCH_DIGITS, 0).strip()
    found = int(text) if text.isdigit() else 0
    epoch = max(above, found if found < SEQ_MAX else 0) + 1  # a number that no counting reaches is rot
    files.write(lock_handle, f"{epoch:0{_EPOCH_DIGITS}d}".encode(), 0)
    files.sync(lock_handle)
    return epoch
