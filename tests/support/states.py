"""States of the counting fold, in folders, over logs of words."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from cortex import Fold, RunnerOptions, State, StateOptions
from stores import KV, HybridStore
from tests.support.counting import CountingFold, decode_word
from tests.support.faulty_files import WAIT_S
from tests.support.stores import SMALL
from wal import Log

Word = tuple[int, str]
open_small: Final[Callable[[Path], KV]] = partial(HybridStore.open, options=SMALL)
QUICK: Final = RunnerOptions(batch_count_max=16, batch_count_min=4, commit_interval_s=0.0)


def open_counting(
    folder: Path,
    log: Log,
    *,
    version: int = 1,
    fold: Fold[Word] | None = None,
    options: StateOptions = StateOptions(fold=QUICK),  # noqa: B008  (immutable)
    open_store: Callable[[Path], KV] = open_small,
) -> State[Word]:
    """The state of a log of words; not started."""
    return State.open(
        folder, log, (fold or CountingFold(version),), decode_word, open_store=open_store, options=options
    )


def caught_up(state: State[Word], end: int) -> State[Word]:
    """The same state, started and at end."""
    state.start()
    if end:
        assert state.watermark.wait(end - 1, WAIT_S)
    return state
