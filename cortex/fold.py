"""A fold: a little pure code from events to state."""

from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

from stores import Staging

Event = TypeVar("Event", contravariant=True)


class Fold(Protocol[Event]):
    """Pure in (events, state): no clock, no randomness, nothing kept between calls.

    What a batch leaves must not depend on where batches begin and end; so a fold takes the rows of a scan
    in hand before it writes under the same prefix.  A changed
    meaning needs a higher version: the state of an older one is rebuilt.  An event
    that apply raises for is taken by no fold; what it staged until then is dropped.
    """

    @property
    def name(self) -> str:
        """Short, ASCII, never changed."""

    @property
    def version(self) -> int:
        """Counts the changes of meaning."""

    def apply(self, event: Event, state: Staging) -> None:
        """Put what one event means into the state."""


@runtime_checkable
class KindFold(Fold[Event], Protocol[Event]):
    """A fold that says which events it looks at: those whose `kind` is among its kinds; apply is called for no other.

    It saves a call for each event and fold, which is most of the cost of a fold that looks at few.
    """

    @property
    def kinds(self) -> frozenset[str]:
        """Never changed without a higher version."""


@runtime_checkable
class BatchFold(Fold[Event], Protocol[Event]):
    """A fold with rows that follow from a whole batch, computed once."""

    def finish(self, events: Sequence[Event], state: Staging) -> None:
        """Once after each batch: rows that follow from the state as it is after these events.

        All folds have applied them by then.  A batch may be folded again one event at a time, so
        the result must be the same as if each event had been a batch of its own.
        """
