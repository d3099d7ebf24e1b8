"""A few numbers in memory that all processes of a server share: how far log and fold are, and how they are.

One process writes, any reads.  Each number is a machine word at a place of its own, read and written whole; together
they are no snapshot: the fold's may be newer than the log's.
"""

import mmap
import os
import threading
from typing import Final

_BYTES: Final = 4096
_DURABLE, _APPLIED, _WRITABLE, _OUTDATED = range(4)


class Page:
    """Positions are those of the next event, as durable_end of a log and seq of a watermark."""

    def __init__(self, file: int) -> None:
        """file: of a descriptor that make() gave, which this one keeps open."""
        self.file = file
        self._words = memoryview(mmap.mmap(file, _BYTES)).cast("Q")
        self._lock = threading.Lock()

    @classmethod
    def make(cls) -> "Page":
        """A new one, for a process and those that inherit the descriptor from it."""
        file = os.memfd_create("episteme-positions")
        os.ftruncate(file, _BYTES)
        return cls(file)

    @property
    def durable_end(self) -> int:
        """The seq after the last durable event."""
        return self._words[_DURABLE]

    @property
    def applied_end(self) -> int:
        """The seq after the last readable event."""
        return self._words[_APPLIED]

    @property
    def writable(self) -> bool:
        """Whether a write would be looked at; a few milliseconds old."""
        return bool(self._words[_WRITABLE])

    @property
    def outdated(self) -> bool:
        """Whether the owner's state is of other folds than this program's; likewise."""
        return bool(self._words[_OUTDATED])

    # In the process that writes; in any of its threads

    def show_durable(self, end: int) -> None:
        """The log goes to end; who is late with less changes nothing."""
        self._raise_to(_DURABLE, end)

    def show_applied(self, end: int) -> None:
        """The fold goes to end; likewise."""
        self._raise_to(_APPLIED, end)

    def show_writable(self, writable: bool) -> None:
        """Whether writes are taken now."""
        self._words[_WRITABLE] = int(writable)

    def show_outdated(self, outdated: bool) -> None:
        """Whether the state is of other folds now."""
        self._words[_OUTDATED] = int(outdated)

    def _raise_to(self, word: int, value: int) -> None:
        with self._lock:
            if value > self._words[word]:
                self._words[word] = value
