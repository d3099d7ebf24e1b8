"""Materialized views: the answer of every pair that a batch touched, computed once at its end."""

from collections.abc import Sequence

from episteme.folds.event import LoggedEvent
from episteme.query import compute_view
from model import Assertion, Vote
from stores import AssertionStore, Staging, ViewWriter


class ViewFold:
    """Family MV.  Runs after the folds that it reads from."""

    name = "view"
    version = 1

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Nothing yet: a pair that is touched often in a batch is computed once."""

    def finish(self, events: Sequence[LoggedEvent], state: Staging) -> None:
        """Compute the touched pairs; a view carries the place of the last event that touched its pair."""
        touched: dict[tuple[str, str], LoggedEvent] = {}
        for event in events:
            pair = _pair_of(event, state)
            if pair is not None:
                touched[pair] = event
        views = ViewWriter(state)
        for (subject, predicate), event in touched.items():
            views.put(subject, predicate, compute_view(state, subject, predicate, event.seq, event.time))


def _pair_of(event: LoggedEvent, state: Staging) -> tuple[str, str] | None:
    """The pair whose answer the event may change."""
    content = event.record.event
    if isinstance(content, Assertion):
        return content.subject, content.predicate
    if isinstance(content, Vote):
        row = AssertionStore(state).get(content.subject, bytes.fromhex(content.assertion))
        return None if row is None else (content.subject, row.event.predicate)
    return None
