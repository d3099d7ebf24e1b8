"""A fold is called only for the kinds of events that it says it looks at."""

import pytest

from cortex import Fold, KindFold
from episteme.folds import FOLDS, LoggedEvent
from model import KINDS
from stores import MemoryEngine, Staging
from tests.support.meaning import as_logged, history


@pytest.mark.parametrize("fold", [fold for fold in FOLDS if isinstance(fold, KindFold)], ids=lambda fold: fold.name)
def test_an_event_of_another_kind_means_nothing_to_a_fold(fold: KindFold[LoggedEvent]) -> None:
    others = [event for seed in range(6) for event in as_logged(history(seed)) if event.kind not in fold.kinds]
    assert len({event.kind for event in others}) > 5
    with MemoryEngine().snapshot() as snapshot:
        state = Staging(snapshot)
        for event in others:
            fold.apply(event, state)
        assert not state.batch.rows
        assert not state.batch.postings


def test_every_kind_but_a_bundle_is_looked_at() -> None:
    seen: set[str] = set()
    folds: tuple[Fold[LoggedEvent], ...] = FOLDS
    for fold in folds:
        seen |= fold.kinds if isinstance(fold, KindFold) else set()
    assert seen == {*KINDS, "rules"} - {"bundle"}
