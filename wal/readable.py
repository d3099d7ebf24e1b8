"""What every log of segment files offers its readers, whoever writes it."""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from wal.commit import Completion
from wal.errors import FutureSeq, LogError, WrongLog
from wal.files import Files
from wal.format import Frame
from wal.protocol import Cursor, Position
from wal.reading import Contents, Reading
from wal.tail import Subscription

_LOGGER = logging.getLogger(__name__)


class _Watcher:
    """One registration of a callback: the same one may watch twice."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback


class ReadableLog(ABC):
    """The reading half of the protocol.  Thread-safe.  Owns: what is visible, and who waits for more."""

    def __init__(self, files: Files, log_id: bytes, visible: Contents) -> None:
        self._visible = visible
        self._log_id = log_id
        self._showing = threading.Lock()
        self._growth: Completion | None = None  # of the log, once; if anybody waits for it
        self._watchers: tuple[_Watcher, ...] = ()
        self._reading = Reading(files, self._contents_now)

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Whether the log was closed or has failed: no frame will come after those that are visible."""

    @property
    @abstractmethod
    def failure(self) -> LogError | None:
        """Why the log refuses work, if it does."""

    @property
    def next_seq(self) -> int:
        """The seq that the next append gets, as far as is known here."""
        return self.durable_end

    @abstractmethod
    def _check_open(self) -> None:
        """Raises: LogClosed."""

    @property
    def log_id(self) -> bytes:
        """16 random bytes that tell this log from every other."""
        return self._log_id

    @property
    def durable_end(self) -> int:
        """The seq after the last visible frame."""
        return self._visible.end.seq

    @property
    def first_seq(self) -> int:
        """The first seq that is still kept; durable_end if none is."""
        return self._visible.first_seq

    @property
    def last_time(self) -> int:
        """The hybrid time of the last visible frame; of a log without one, what its first will be above."""
        return self._visible.end.time

    @property
    def size_bytes(self) -> int:
        """The length of all segments, without space reserved in the last."""
        segments, end = self._contents_now()
        return sum(segment.end.offset for segment in segments[:-1]) + end.offset

    def cursor(self, seq: int) -> Cursor:
        """The position of seq in this log."""
        return Cursor(self._log_id, seq)

    def read_from(self, position: Position, *, count_max: int, bytes_max: int) -> list[Frame]:
        """Visible frames from position on in order, at least one if there is any, none at the end.

        Raises: FutureSeq beyond the end; Truncated before the first kept; WrongLog; Corrupt; LogClosed.
        """
        seq = self._seq_of(position)
        self._check_open()
        return self._reading.forward(seq, count_max, bytes_max)

    def read_back(self, position: Position, *, count_max: int, bytes_max: int) -> list[Frame]:
        """Visible frames before position, newest first, at least one if there is any; none at the first kept.

        Raises: as read_from.
        """
        seq = self._seq_of(position)
        self._check_open()
        return self._reading.backward(seq, count_max, bytes_max)

    def get(self, seq: int) -> Frame:
        """One frame.

        Raises: as read_from; FutureSeq also for durable_end itself.
        """
        frames = self.read_from(seq, count_max=1, bytes_max=1)
        if not frames:
            raise FutureSeq(seq, self.durable_end)
        return frames[0]

    def seek_time(self, time_ms: int) -> int:
        """The seq of the first visible frame whose time_ms is not below the given one; else durable_end.

        Raises: Corrupt; LogClosed.
        """
        self._check_open()
        return self._reading.seek_time(time_ms)

    def build_indexes(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        """Load, or make from the frames, the index of every segment now, not when a read first needs it.

        on_progress: bytes done and bytes in all.
        Raises: LogClosed; OSError.
        """
        self._check_open()
        segments, done, total = self._contents_now().segments, 0, self.size_bytes
        for segment in segments:
            _ = segment.index
            done += segment.end.offset if segment.footer else 0
            if on_progress is not None:
                on_progress(done if segment.footer else total, total)

    def wait_past(self, seq: int, timeout_s: float | None) -> bool:
        """Wait until durable_end is above seq; False if time ran out or the log ended before that."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            growth = self._next_growth()  # taken before the look, so that no growth falls in between
            if self._visible.end.seq > seq:
                return True
            left_s = None if deadline_s is None else deadline_s - time.monotonic()
            if self.ended or (left_s is not None and left_s < 0):
                return False
            growth.wait(left_s)

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back, in some thread, whenever durable_end has grown or the log has ended; give the way to stop that.

        The callback must not block and must not raise.
        """
        watcher = _Watcher(callback)
        with self._showing:
            self._watchers = (*self._watchers, watcher)

        def stop() -> None:
            with self._showing:
                self._watchers = tuple(one for one in self._watchers if one is not watcher)

        return stop

    def subscribe(self, position: Position, *, timeout_s: float | None = None) -> Subscription:
        """Frames from position on, and then those to come; see Subscription.

        Raises: WrongLog; FutureSeq for a position that no append has reached.
        """
        seq = self._seq_of(position)
        if seq > self.next_seq:
            raise FutureSeq(seq, self.next_seq)
        return Subscription(self, seq, timeout_s)

    def _contents_now(self) -> Contents:
        """What may be read now."""
        return self._visible

    def _seq_of(self, position: Position) -> int:
        if not isinstance(position, Cursor):
            return position
        if position.log_id != self._log_id:
            raise WrongLog(self._log_id, position.log_id)
        return position.seq

    def _next_growth(self) -> Completion:
        with self._showing:
            self._growth = self._growth or Completion()
            return self._growth

    def _show(self, contents: Contents) -> None:
        """Make contents visible; tell is to follow."""
        with self._showing:
            self._visible = contents

    def _tell(self) -> None:
        """Wake all who wait for more, or for the end of the log."""
        with self._showing:
            growth, self._growth = self._growth, None
            watchers = self._watchers
        if growth is not None:
            growth.finish(None)
        for watcher in watchers:
            try:
                watcher.callback()
            except Exception:
                _LOGGER.exception("a watcher failed; the others and the log go on")
