"""A fold: a little pure code from events to state."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from stores import Staging

Event = TypeVar("Event", contravariant=True)


class Fold(Protocol[Event]):
    """Pure in (event, state): no clock, no randomness, nothing kept between events.

    A changed meaning needs a higher version: the state of an older one is rebuilt.
    """

    @property
    def name(self) -> str:
        """Short, ASCII, never changed."""

    @property
    def version(self) -> int:
        """Counts the changes of meaning."""

    def apply(self, event: Event, state: Staging) -> None:
        """Put what one event means into the state."""

    def finish(self, events: Sequence[Event], state: Staging) -> None:
        """Once after each batch: rows that follow from the state as it is after these events.

        The result must not depend on where batches begin and end.
        """
