"""Events into a staged batch: all at once, or one at a time so that one that fails leaves nothing behind.

The quick way stages a whole batch and is dropped as a whole when anything
raises.  The careful way gives each event a staging of its own over the
batch's: what an event stages joins the batch when every fold has taken it.
"""

from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from cortex.fold import BatchFold, Fold, KindFold
from stores import KV, Batch, InvalidBatch, MetaWriter, Staging, StoreError, check_keys
from wal import Frame, LogError

Event = TypeVar("Event")

DECODE: Final = "decode"  # who failed, when no fold has seen the event yet

_STAGED_TYPES: Final = frozenset((bytes, type(None)))


class Poison(NamedTuple):
    """An event that could not be applied."""

    frame: Frame
    fold: str  # whose fault it is; or DECODE
    error: Exception


class Applier(Generic[Event]):
    """A fixed list of folds, and how their events are read.  Keeps nothing between calls."""

    def __init__(self, folds: Sequence[Fold[Event]], decode: Callable[[Frame], Event]) -> None:
        """Raises: ValueError for two folds of one name, or one that is named "decode"."""
        names = [fold.name for fold in folds]
        if len(set(names)) < len(names) or DECODE in names:
            raise ValueError(f"folds are told apart by their names, and {DECODE!r} is taken: {names}")
        self._folds = tuple(folds)
        self._routes = Routes(folds)
        self._decode = decode

    @property
    def versions(self) -> dict[str, int]:
        """The folds' versions by name."""
        return {fold.name: fold.version for fold in self._folds}

    def apply_all(self, frames: Sequence[Frame], state: Staging) -> None:
        """Stage what all frames mean; raises what decode, a fold or the store raises, and then state is of no use."""
        decode = self._decode
        self._routes.apply([decode(frame) for frame in frames if not frame.lost], state)
        _check(state.batch)

    def apply_one(self, frame: Frame, state: Staging) -> Poison | None:
        """Stage what one frame means, in all folds or in none.  Raises: StoreError; LogError; MemoryError."""
        own = Staging(state)
        name = DECODE
        try:
            event = self._decode(frame)
            for fold in self._routes.of(event):
                name = fold.name
                fold.apply(event, own)
                _check(own.batch)
            for last in self._routes.of_batches:
                name = last.name
                last.finish([event], own)
                _check(own.batch)
        except Exception as error:
            if is_of_the_event(error):
                return Poison(frame, name, error)
            raise
        _join(own, state)
        return None


def is_of_the_event(error: Exception) -> bool:
    """Whether an error is the fault of an event, or of what a fold makes of it: not the engine's, nor the machine's."""
    return isinstance(error, InvalidBatch) or not isinstance(error, StoreError | LogError | MemoryError)


class Routes(Generic[Event]):
    """Which folds look at which events; found out once, for asking a fold what it is costs as much as folding."""

    def __init__(self, folds: Sequence[Fold[Event]]) -> None:
        self._folds = tuple(folds)
        self._by_kind: dict[str | None, list[Fold[Event]]] = {}
        self._calls: dict[str | None, list[Callable[[Event, Staging], None]]] = {}  # apply of each of them
        self.of_batches = [fold for fold in folds if isinstance(fold, BatchFold)]

    def of(self, event: Event) -> list[Fold[Event]]:
        """The folds that look at an event, in their order."""
        kind = getattr(event, "kind", None)
        found = self._by_kind.get(kind)
        if found is None:
            found = [fold for fold in self._folds if not isinstance(fold, KindFold) or kind in fold.kinds]
            self._by_kind[kind] = found
        return found

    def apply(self, events: Sequence[Event], state: Staging) -> None:
        """Stage what events mean, as one batch."""
        calls = self._calls
        for event in events:
            kind = getattr(event, "kind", None)
            if kind not in calls:
                calls[kind] = [fold.apply for fold in self.of(event)]
            for apply in calls[kind]:
                apply(event, state)
        for last in self.of_batches:
            last.finish(events, state)


def apply_events(folds: Sequence[Fold[Event]], events: Sequence[Event], state: Staging) -> None:
    """Stage what events mean, as one batch."""
    Routes(folds).apply(events, state)


def apply_batch(store: KV, folds: Sequence[Fold[Event]], events: Sequence[Event], cursor: int) -> None:
    """Fold events into the store and move its cursor, in one commit."""
    with store.snapshot() as snapshot:
        state = Staging(snapshot)
        apply_events(folds, events, state)
        MetaWriter(state).put_cursor(cursor)
    store.commit(state.batch)


def _check(batch: Batch) -> None:
    """Refuse what an engine could not keep while it is known whose it is.  Raises: InvalidBatch; TypeError."""
    check_keys(batch)
    types = {*map(type, batch.rows), *map(type, batch.rows.values()), *map(type, batch.postings)}
    if not types <= _STAGED_TYPES:
        raise TypeError(f"a fold staged {', '.join(sorted(one.__name__ for one in types - _STAGED_TYPES))}, not bytes")


def _join(own: Staging, state: Staging) -> None:
    for key, value in own.batch.rows.items():
        if value is None:
            state.delete(key)
        else:
            state.put(key, value)
    for key, entries in own.batch.postings.items():
        for entry in entries:
            state.add_posting(key, entry)
