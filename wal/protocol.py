"""The seam: all that the layers above use of a log, whichever engine keeps it."""

from collections.abc import Sequence
from typing import Protocol

from wal.commit import Ticket
from wal.format import Frame


class Log(Protocol):
    """A durable order of frames.  Thread-safe."""

    @property
    def log_id(self) -> bytes:
        """16 random bytes that tell this log from every other."""

    @property
    def durable_end(self) -> int:
        """The seq after the last durable frame; only frames before it can be read."""

    @property
    def ended(self) -> bool:
        """Whether the log was closed or has failed: no frame will come after those that are durable."""

    def append_many(self, items: Sequence[tuple[int, bytes]]) -> Ticket:
        """Append (kind, payload) pairs with consecutive seqs, all in one commit group."""

    def barrier(self) -> Ticket:
        """A ticket that resolves when all that was appended so far is durable."""

    def read_from(self, seq: int, *, count_max: int, bytes_max: int) -> list[Frame]:
        """Durable frames from seq on, at least one if there is any."""

    def wait_past(self, seq: int, timeout_s: float | None) -> bool:
        """Wait until durable_end is above seq; False if time ran out, the log closed or failed."""
