"""What a log comes to: its state made in a folder, or apart from everything, and the digest of that."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from cortex import Runner
from cortex.folders import remove_tree
from episteme.config import NodeConfig
from episteme.folds import FOLDS, decode_frame
from episteme.moving.copying import OnProgress
from episteme.space import fitted
from episteme.state import open_state, remake_state
from stores import DeadLetterStore, HybridStore, state_digest
from wal import FileLog, Log

LOG_FOLDER: Final = "log"  # of a data folder


class Folded(Struct, frozen=True):
    """A state: how many positions it has folded, its digest, and how many events no fold could take."""

    position: int
    digest: str
    dead_letters: int


def fold_folder(data: Path, clock_ms: Callable[[], int], on_progress: OnProgress) -> Folded:
    """Open the log of a data folder that nobody has open, and make its state in the folder.

    Raises: LogError; CortexError; StoreError; OSError.
    """
    config = NodeConfig()
    with _existing(data / LOG_FOLDER, clock_ms) as log:
        position = remake_state(data, log, config, on_progress)
        with open_state(data, log, config) as state:
            return Folded(position, state.digest(), state.dead_letter_count())


def fold_apart(
    folder: Path, position: int, scratch: Path, clock_ms: Callable[[], int], on_progress: OnProgress
) -> Folded:
    """Fold the first events of a log's own folder into a store that is removed again.

    scratch: a folder that is not there.
    Raises: as fold_folder.
    """
    with _existing(folder, clock_ms) as log:
        return fold_log(log, position, scratch, on_progress)


def fold_log(log: Log, position: int, scratch: Path, on_progress: OnProgress) -> Folded:
    """The same of a log that is open here."""
    config = NodeConfig()
    try:
        store = HybridStore.open(scratch, options=fitted(config.store, scratch.parent))
        try:
            Runner(log, store, FOLDS, decode_frame, config.state.fold).run_to(position, on_progress)
            with store.snapshot() as reader:
                return Folded(position, state_digest(reader), DeadLetterStore(reader).count())
        finally:
            store.close()
    finally:
        remove_tree(scratch)


def _existing(folder: Path, clock_ms: Callable[[], int]) -> FileLog:
    return FileLog.open(folder, clock_ms=clock_ms, new_log_id=_no_new_log)


def _no_new_log() -> bytes:
    raise AssertionError("the log is there already")
