"""Which log a store is the fold of, by which folds, and from where on: settled once, checked ever after."""

import logging
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from blake3 import blake3

from cortex.errors import EventsGone, FoldVersionChanged, WrongLog
from stores import KV, MetaStore, MetaWriter, Staging, StoreTorn
from wal import Corrupt, Frame, Log, Truncated

_MARK: Final = struct.Struct("<QI?")  # time, chain, lost in a repair
_DIGEST_BYTES: Final = 8
_LOGGER = logging.getLogger(__name__)


def bind(store: KV, log_id: bytes, versions: dict[str, int], start: int = 0) -> int:
    """Bind a new store to a log and its folds, or check an old one; give its cursor.

    start: the first event that a new store is to fold; an old one goes on where it is.
    Raises: WrongLog; FoldVersionChanged.
    """
    with store.snapshot() as snapshot:
        meta = MetaStore(snapshot)
        found_log, found_versions, cursor = meta.log_id(), meta.fold_versions(), meta.cursor()
        if found_log is None:
            state = Staging(snapshot)
            MetaWriter(state).put_origin(log_id, versions, start)
            MetaWriter(state).put_cursor(start)
    if found_log is None:
        store.commit(state.batch)
        return start
    if found_log != log_id:
        raise WrongLog(f"the state is a fold of log {found_log.hex()}, this log is {log_id.hex()}")
    if found_versions != versions:
        raise FoldVersionChanged(f"the state was made by folds {found_versions}, this program has {versions}")
    return cursor


def bind_to(log: Log, store: KV, versions: dict[str, int], start: int) -> int:
    """As bind, and see that the log has all that is still to be folded.  A refused store is left as it was.

    Raises: as bind; WrongLog also for a log that is shorter than the state, or holds another event where the
    state has its last; EventsGone; ValueError for a start that the log has not reached.
    """
    with store.snapshot() as snapshot:
        is_new = MetaStore(snapshot).log_id() is None
    if is_new:
        if not 0 <= start <= log.durable_end:
            raise ValueError(f"start is {start}; the log ends at {log.durable_end}")
        _check_kept(log, start)
    cursor = bind(store, log.log_id, versions, start)
    if cursor > log.durable_end:
        raise WrongLog(
            f"the state has folded {cursor} events, the log holds {log.durable_end}: the log has lost what was "
            "acknowledged, or one of the two is from elsewhere. Look at the log with `episteme log verify`; "
            "the state can be removed, it is made anew from the log"
        )
    _check_kept(log, cursor)
    if not is_of_log(log, store):
        raise WrongLog(
            f"the state has folded another event at seq {cursor - 1} than the log holds: the log was repaired, or "
            "goes on from an older copy. Look at it with `episteme log verify`; the state can be removed, it is made "
            "anew from the log"
        )
    return cursor


def mark_of(frame: Frame) -> bytes:
    """What tells a frame from every other at its seq."""
    return _MARK.pack(frame.time, frame.chain, frame.lost) + blake3(frame.payload).digest(_DIGEST_BYTES)


def is_of_log(log: Log, store: KV) -> bool:
    """Whether the last event that a store has folded is the one that the log holds there.

    What the log cannot say, because it keeps it no more or cannot read it, is no reason to doubt.
    """
    with store.snapshot() as snapshot:
        meta = MetaStore(snapshot)
        cursor, mark = meta.cursor(), meta.last()
    if mark is None or not log.first_seq <= cursor - 1:
        return True
    if cursor > log.durable_end:
        return False
    try:
        return mark_of(log.get(cursor - 1)) == mark
    except (Corrupt, Truncated):
        return True


def has_lost(log: Log, store: KV) -> bool:
    """Whether a log has lost what a store, which is its own, has folded of it."""
    with store.snapshot() as snapshot:
        is_own = MetaStore(snapshot).log_id() == log.log_id
    return is_own and not is_of_log(log, store)


def open_kept(folder: Path, log: Log, open_store: Callable[[Path], KV], *, remakes_lost: bool) -> KV | None:
    """Open a log's store; None, which is told in a warning, for one that is of no use and must be made anew.

    remakes_lost: also one that has folded what its log has lost.
    """
    try:
        store = open_store(folder)
    except StoreTorn as error:
        _LOGGER.warning("%s is of no use, as after a power cut; the state is made anew from the log: %s", folder, error)
        return None
    if not (remakes_lost and has_lost(log, store)):
        return store
    _LOGGER.warning("the log has lost events that the state had folded; the state is made anew")
    store.close()
    return None


def _check_kept(log: Log, seq: int) -> None:
    first_seq = log.first_seq
    if seq < first_seq:
        raise EventsGone(
            f"the next event to fold is seq {seq}, and the log keeps none before {first_seq}. Go on from a snapshot "
            f"of the state that has reached {first_seq}, or make a new one that begins there, with start={first_seq}"
        )
