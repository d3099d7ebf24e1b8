"""How this database keeps its state: which log, which folds, which engines, in which folder."""

from functools import partial
from pathlib import Path
from typing import Final

from cortex import OnProgress, State
from episteme.config import NodeConfig
from episteme.errors import StateDamaged
from episteme.folds import FOLDS, LoggedEvent, decode_frame
from episteme.space import fitted
from stores import HybridStore, StoreError, StoreFull, StoreLocked
from wal import Log

STATE_FOLDER: Final = "state"


def open_state(data: Path, log: Log, config: NodeConfig) -> State[LoggedEvent]:
    """The state of a data folder's log; it folds nothing before it is started.

    Raises: StateDamaged for one that cannot be opened, though nobody else has it; CortexError; StoreError; OSError.
    """
    try:
        return State.open(
            data / STATE_FOLDER,
            log,
            FOLDS,
            decode_frame,
            open_store=partial(HybridStore.open, options=fitted(config.store, data)),
            options=config.state,
        )
    except (StoreLocked, StoreFull):
        raise
    except StoreError as error:
        raise StateDamaged(str(error)) from error


def remake_state(data: Path, log: Log, config: NodeConfig, on_progress: OnProgress) -> int:
    """Make the state of a data folder's log anew, whatever is there; how many events are folded.

    Raises: CortexError; StoreError; OSError.
    """
    return State.remake(
        data / STATE_FOLDER,
        log,
        FOLDS,
        decode_frame,
        open_store=partial(HybridStore.open, options=fitted(config.store, data)),
        options=config.state,
        on_progress=on_progress,
    )
