"""Memory for the bodies of single events, all of them together.

A body that comes slowly is held until it is whole, and one of a few kilobytes
can unpack to megabytes, so that what connections may send and how many there are
is no bound by itself.  Up to FREE_BYTES of each are not counted: whoever takes all
the room keeps only others' large events out, and only for as long as a body may take.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from episteme.errors import Overloaded

FREE_BYTES: Final = (
    64 * 1024
)  # of each body: a claim with its texts; times connections_max the most that is not counted


class Room:
    """Of one event loop."""

    def __init__(self, bytes_max: int) -> None:
        self._left_bytes = bytes_max

    @contextmanager
    def share(self) -> "Iterator[Share]":
        """Room for one body, given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self._left_bytes += share.taken_bytes

    def take(self, size_bytes: int) -> None:
        """Raises: Overloaded if there is not as much left."""
        if size_bytes > self._left_bytes:
            raise Overloaded("there is no room now for another large body", retry_after_s=1)
        self._left_bytes -= size_bytes


class Share:
    """What one body has."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.taken_bytes = 0

    def hold(self, size_bytes: int) -> None:
        """Have room for a body of that size.  Raises: Overloaded."""
        more_bytes = size_bytes - FREE_BYTES - self.taken_bytes
        if more_bytes > 0:
            self._room.take(more_bytes)
            self.taken_bytes += more_bytes
