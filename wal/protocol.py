"""The seam: all that the layers above use of a log, whichever engine keeps it.

A log is an order of frames with one owner.  Seqs start at 0 (in a replica, where
its copy began), have no gap and are never used twice; times grow from frame to
frame.  Nothing is visible before it is as durable as the log promises.  Every
implementation passes tests/wal/conformance.py.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from wal.commit import Ticket
from wal.errors import LogError
from wal.format import Frame
from wal.options import Durability
from wal.tail import Subscription


class Cursor(NamedTuple):
    """A position that cannot be taken for one of another log."""

    log_id: bytes  # 16 bytes
    seq: int  # of the next frame to read


Position = int | Cursor  # a bare int is a seq of the log that is asked


class LogReader(Protocol):
    """A log as its readers see it.  Thread-safe."""

    @property
    def log_id(self) -> bytes:
        """16 random bytes that tell this log from every other."""

    @property
    def first_seq(self) -> int:
        """The first seq that is still kept; durable_end if none is."""

    @property
    def durable_end(self) -> int:
        """The seq after the last visible frame; only frames before it can be read."""

    @property
    def ended(self) -> bool:
        """Whether the log was closed or has failed: no frame will come after those that are visible."""

    @property
    def failure(self) -> LogError | None:
        """Why the log refuses work, if it does."""

    def cursor(self, seq: int) -> Cursor:
        """The position of seq in this log."""

    def read_from(self, position: Position, *, count_max: int, bytes_max: int) -> list[Frame]:
        """Visible frames from position on in order, at least one if there is any, none at the end.

        bytes_max counts payloads; the frame that reaches it is the last.
        Raises: FutureSeq beyond the end; Truncated before the first kept; WrongLog; Corrupt; LogClosed.
        """

    def read_back(self, position: Position, *, count_max: int, bytes_max: int) -> list[Frame]:
        """Visible frames before position, newest first, at least one if there is any.

        None at the first kept, which is no error.  Raises: as read_from.
        """

    def get(self, seq: int) -> Frame:
        """One frame.

        Raises: as read_from; FutureSeq also for durable_end itself.
        """

    def seek_time(self, time_ms: int) -> int:
        """The seq of the first visible frame whose time_ms is not below the given one; else durable_end.

        Raises: Corrupt; LogClosed.
        """

    def wait_past(self, seq: int, timeout_s: float | None) -> bool:
        """Wait until durable_end is above seq; False if time ran out or the log ended before that."""

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back, in some thread, whenever durable_end has grown or the log has ended; give the way to stop that.

        The callback must not block and must not raise.  It tells nothing but that it is worth looking, and
        one that is on its way may still come after it was stopped.  Each registration is its own.
        """

    def subscribe(self, position: Position, *, timeout_s: float | None = None) -> Subscription:
        """Frames from position on, and then those to come; see Subscription.

        Raises: WrongLog; FutureSeq for a position that no append has reached.
        """


class Log(LogReader, Protocol):
    """A log as its owner sees it.  Thread-safe."""

    @property
    def epoch(self) -> int:
        """Counts the openings of the log for writing: what two of them do under one seq can be told apart."""

    @property
    def next_seq(self) -> int:
        """The seq that the next append gets."""

    def append(self, payload: bytes, kind: int, *, durability: Durability | None = None) -> Ticket:
        """Append one frame; see append_many."""

    def append_many(
        self, items: Sequence[tuple[int, bytes]], *, durability: Durability | None = None, caller_commits: bool = False
    ) -> Ticket:
        """Append (kind, payload) pairs with consecutive seqs, all in one commit group.

        Nothing is durable on return: the ticket's wait() is.  durability: what this call's ticket waits for,
        if not what the log's options say; what becomes visible, and when, is the log's affair alone: after
        the fsync that covers it, or, in a log opened with "os", after the write.
        caller_commits: the caller calls the ticket's commit() next, so no other thread is woken to do it.
        After a crash any prefix of the items may be there.  No items: the ticket of barrier().
        Raises: ValueError for a kind out of 0 to 65535, or a durability that is none; PayloadTooLarge; LogBusy
        past pending_bytes_max, if the log does not block or has blocked long enough; LogFailed; LogClosed;
        NotOwner.  Nothing is appended then.
        """

    def append_batch(self, items: Sequence[tuple[int, bytes]], *, durability: Durability | None = None) -> Ticket:
        """As append_many, and after a crash either all of the items are there or none."""

    def append_if_next_seq(
        self, seq: int, items: Sequence[tuple[int, bytes]], *, durability: Durability | None = None
    ) -> Ticket:
        """As append_batch if the first item gets that seq.

        Raises: SeqConflict, which names both seqs, also for no items; nothing is appended then.
        """

    def barrier(self, *, durability: Durability | None = None) -> Ticket:
        """A ticket that resolves when all that was appended so far is as durable as asked; its seqs are none.

        Raises: ValueError; LogFailed; LogClosed.
        """

    def resume(self) -> None:
        """Take appends again after a failure that is `resumable`; else nothing happens.

        Such a failure (no room, no file handle) has refused all that waited for the disk: their tickets tell,
        nothing of it is in the log, and next_seq is durable_end, or what is written in a log that syncs later.
        Until this is called every append and every barrier raises it, so that who remembers what was appended
        can forget it first.
        """

    def close(self) -> None:
        """Commit what is pending, then give everything back.  A second call does nothing."""
