"""Steps of a history, folded in memory by all folds but that of views, in whatever batches."""

from collections.abc import Iterable, Sequence
from typing import Final

from cortex import Fold, apply_batch
from episteme.folds import FOLDS, LoggedEvent
from stores import MemoryEngine, Snapshot, state_rows
from tests.support.meaning import Step, as_logged

_FOLDS: Final[tuple[Fold[LoggedEvent], ...]] = tuple(fold for fold in FOLDS if fold.name != "view")


def folded(steps: Iterable[Step], cuts: Iterable[int] = ()) -> Snapshot:
    """The state after all steps, a batch from each cut to the next."""
    return folded_events(as_logged(steps), cuts)


def folded_events(events: Sequence[LoggedEvent], cuts: Iterable[int] = ()) -> Snapshot:
    """The same for events that have their positions."""
    engine = MemoryEngine()
    done = 0
    for cut in sorted({*cuts, len(events)}):
        apply_batch(engine, _FOLDS, events[done:cut], cut)
        done = cut
    return engine.snapshot()


def rows_of(reader: Snapshot) -> dict[bytes, bytes]:
    """Every row of a state."""
    return dict(state_rows(reader))
