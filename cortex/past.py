"""States of the past: the nearest snapshot, and the events after it folded anew up to a position."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

from cortex.errors import BadSnapshot, BeyondState, WrongLog
from cortex.folders import remove_tree
from cortex.live import OnProgress, Work
from cortex.snapshots import SavedSnapshot, restore_snapshot
from stores import KV, Batch, MemoryEngine, state_postings, state_rows
from wal import Files

Event = TypeVar("Event")

_LOGGER = logging.getLogger(__name__)
_LOAD_COUNT: Final = 10_000  # rows copied into memory in one commit


def past_state(
    work: Work[Event],
    position: int,
    *,
    reached: int,
    snapshots: Iterable[SavedSnapshot],
    into: Path | None,
    scratch: Callable[[], Path],
    files: Files,
    on_progress: OnProgress | None,
) -> KV:
    """As State.as_of; reached: how many events the live state has folded; snapshots: those that may be used."""
    if not work.start <= position <= reached:
        raise BeyondState(
            f"position {position} is not of the past: the state has folded {reached} events"
            + (f", and none before {work.start}" if work.start else "")
        )
    if into is not None and into.exists():
        raise FileExistsError(f"{into} is there already; a state of the past is made in a new folder")
    usable = [one for one in snapshots if one.manifest.position <= position]
    for base in sorted(usable, key=lambda one: one.manifest.position, reverse=True):
        try:
            return _folded(work, base, position, into, scratch, files, on_progress)
        except (BadSnapshot, WrongLog, FileNotFoundError) as error:  # damaged, of lost events, or pruned meanwhile
            _LOGGER.warning("%s is passed over: %s", base.path, error)
    return _folded(work, None, position, into, scratch, files, on_progress)


def _folded(
    work: Work[Event],
    base: SavedSnapshot | None,
    position: int,
    into: Path | None,
    scratch: Callable[[], Path],
    files: Files,
    on_progress: OnProgress | None,
) -> KV:
    """The base, folded on to position; what fails leaves nothing behind."""
    store: KV | None = None
    try:
        store = _begin(work, base, into, scratch, files)
        work.runner(store).run_to(position, on_progress)
    except BaseException as error:
        if store is not None:
            store.close()
        if into is not None and not isinstance(error, FileExistsError):
            remove_tree(into)
        raise
    return store


def _begin(
    work: Work[Event], base: SavedSnapshot | None, into: Path | None, scratch: Callable[[], Path], files: Files
) -> KV:
    """A store that holds the base and nothing else."""
    if into is not None:
        if base is not None:
            restore_snapshot(base, into, work.log.log_id, files)
        return work.open_store(into)
    if base is None:
        return MemoryEngine()
    folder = scratch()
    try:
        restore_snapshot(base, folder, work.log.log_id, files)
        return _into_memory(work.open_store(folder))
    finally:
        remove_tree(folder)


def _into_memory(source: KV) -> KV:
    """All of a store, which is closed then."""
    engine = MemoryEngine()
    try:
        with source.snapshot() as reader:
            batch = Batch()
            for key, value in state_rows(reader):
                batch.put(key, value)
                batch = _committed_if_full(engine, batch)
            for key, entry in state_postings(reader):
                batch.add_posting(key, entry)
                batch = _committed_if_full(engine, batch)
            engine.commit(batch)
    finally:
        source.close()
    return engine


def _committed_if_full(engine: MemoryEngine, batch: Batch) -> Batch:
    if len(batch.rows) + len(batch.postings) < _LOAD_COUNT:
        return batch
    engine.commit(batch)
    return Batch()
