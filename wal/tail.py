"""Following a log: catch up, then live, by position and never by queue.

A subscription reads from the log, so it cannot lag out, it costs the writer
one wake-up however many there are, and it holds one page of frames.
"""

from collections.abc import Iterator
from typing import Final, Protocol

from wal.errors import LogClosed, LogError
from wal.format import Frame

PAGE_COUNT_MAX: Final = 1024  # frames that a subscription holds at once
PAGE_BYTES_MAX: Final = 1024 * 1024


class Followed(Protocol):
    """What a subscription needs of a log; wal.protocol.LogReader says what each means."""

    @property
    def durable_end(self) -> int:
        """The seq after the last visible frame."""

    @property
    def ended(self) -> bool:
        """Whether no frame will come after those that are visible."""

    @property
    def failure(self) -> LogError | None:
        """Why the log refuses work, if it does."""

    def read_from(self, position: int, *, count_max: int, bytes_max: int) -> list[Frame]:
        """Visible frames from position on."""

    def wait_past(self, seq: int, timeout_s: float | None) -> bool:
        """Wait until durable_end is above seq."""


class Subscription:
    """Frames of a log from a position on, each once and in order, then those to come.

    For one thread.  As an iterator it waits for the next frame, at most timeout_s, and ends when that time
    passes without one; Ctrl-C interrupts it.  When the log ends it raises what ended it: a tail is never
    silently over.  After a failure it first gives out all that is visible; a closed log gives out nothing more.
    """

    def __init__(self, log: Followed, seq: int, timeout_s: float | None) -> None:
        """Use subscribe of a log."""
        self._log = log
        self._timeout_s = timeout_s
        self.seq = seq  # of the next frame that was not given out

    def read(
        self, timeout_s: float | None, *, count_max: int = PAGE_COUNT_MAX, bytes_max: int = PAGE_BYTES_MAX
    ) -> list[Frame]:
        """The next page, at once if there is one; none if nothing came within timeout_s.

        Raises: LogClosed or LogFailed once the log has ended and all was read; Truncated if retention overtook
        the position; Corrupt.
        """
        if not self._log.wait_past(self.seq, timeout_s):
            if self._log.ended and self._log.durable_end <= self.seq:
                raise self._log.failure or LogClosed("the log was closed; subscribe again when it is open")
            return []
        frames = self._log.read_from(self.seq, count_max=count_max, bytes_max=bytes_max)
        self.seq = frames[-1].seq + 1
        return frames

    def pages(self) -> Iterator[list[Frame]]:
        """The pages until none comes within timeout_s."""
        while page := self.read(self._timeout_s):
            yield page

    def __iter__(self) -> Iterator[Frame]:
        seq = self.seq
        for page in self.pages():
            for frame in page:
                self.seq = seq = frame.seq + 1  # what was given out, should the caller stop within a page
                yield frame
            self.seq = seq
