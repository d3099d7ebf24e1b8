"""Group commit: many appends, one fsync, and the tickets that wait for it.

A group collects what is appended while the group before it is being written
and synced.  Nobody sleeps to make a group larger.
"""

import logging
import threading
from collections.abc import Callable

from wal.errors import LogError

_LOGGER = logging.getLogger(__name__)

DoneCallback = Callable[[LogError | None], None]


class CommitGroup:
    """Frames that become durable together, or fail together.  Guarded by the log's lock until done."""

    __slots__ = (
        "_callbacks",
        "_event",
        "_lock",
        "chain",
        "chain_before",
        "done",
        "error",
        "frames",
        "size_bytes",
        "time",
    )

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._event: threading.Event | None = None
        self._callbacks: list[DoneCallback] = []
        self.frames: list[bytes] = []
        self.size_bytes = 0
        self.chain_before = 0  # of the frame before the first
        self.chain = 0  # of the last frame
        self.time = 0  # of the last frame
        self.done = False
        self.error: LogError | None = None

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until the group is done; False if the time ran out first."""
        with self._lock:
            if self.done:
                return True
            if self._event is None:
                self._event = threading.Event()
            event = self._event
        return event.wait(timeout_s)

    def on_done(self, callback: DoneCallback) -> None:
        """Call back once the group is done: at once if it is, else in the committing thread."""
        with self._lock:
            if not self.done:
                self._callbacks.append(callback)
                return
        callback(self.error)

    def finish(self, error: LogError | None) -> None:
        """Mark the group done and tell everybody.  Called once, without the lock."""
        with self._lock:
            assert not self.done, "a commit group is finished once"
            self.done = True
            self.error = error
            callbacks, event = self._callbacks, self._event
            self.frames = []
        if event is not None:
            event.set()
        for callback in callbacks:
            try:
                callback(error)
            except Exception:
                _LOGGER.exception("a commit callback failed; the others and the log go on")


class Ticket:
    """A promise of durability for the frames first_seq to last_seq."""

    __slots__ = ("_group", "first_seq", "last_seq")

    def __init__(self, first_seq: int, last_seq: int, group: CommitGroup) -> None:
        self.first_seq = first_seq
        self.last_seq = last_seq
        self._group = group

    @property
    def done(self) -> bool:
        """Whether the fsync that covers the frames has returned, well or not."""
        return self._group.done

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the fsync; give the first seq.

        Raises: TimeoutError; LogFailed or DiskFull if the write or the fsync failed; LogClosed.
        """
        if not self._group.wait(timeout_s):
            raise TimeoutError(f"seq {self.last_seq} is not durable after {timeout_s} s")
        if self._group.error is not None:
            raise self._group.error
        return self.first_seq

    def on_done(self, callback: DoneCallback) -> None:
        """Call back with None once durable, or with the error.  Must not block: the disk waits."""
        self._group.on_done(callback)
