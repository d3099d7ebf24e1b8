"""How this database keeps its state: which log, which folds, which engines, in which folder."""

from functools import partial
from pathlib import Path
from typing import Final

from cortex import State
from episteme.config import NodeConfig
from episteme.folds import FOLDS, LoggedEvent, decode_frame
from stores import HybridStore
from wal import Log

STATE_FOLDER: Final = "state"


def open_state(data: Path, log: Log, config: NodeConfig) -> State[LoggedEvent]:
    """The state of a data folder's log; it folds nothing before it is started.

    Raises: CortexError; StoreError; OSError.
    """
    return State.open(
        data / STATE_FOLDER,
        log,
        FOLDS,
        decode_frame,
        open_store=partial(HybridStore.open, options=config.store),
        options=config.state,
    )
