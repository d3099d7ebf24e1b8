"""Group commit: many appends, one write, one fsync, and the tickets that wait for it.

A group collects what is appended while the group before it is written and
synced.  Nobody sleeps to make a group larger.  Whoever waits for a group while
nobody commits does the commit itself, which saves two changes of thread.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from wal.errors import LogError
from wal.options import Durability, Interval

_LOGGER = logging.getLogger(__name__)

_LOOK_S: Final = 0.25  # how often a waiter looks for itself, should an interrupt have eaten its wake-up

DoneCallback = Callable[[LogError | None], None]


class Completion:
    """Something that will be done, well or not, and those who wait for it.  Thread-safe."""

    __slots__ = ("_callbacks", "_lock", "_waiters", "done", "error")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: deque[threading.Lock] = deque()
        self._callbacks: deque[DoneCallback] = deque()
        self.done = False
        self.error: LogError | None = None

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until it is done; False if the time ran out first."""
        mine = threading.Lock()
        mine.acquire()
        try:
            with self._lock:
                if self.done:
                    return True
                self._waiters.append(mine)
            return self._await(mine, timeout_s)
        finally:
            self._pass_on(mine)

    def on_done(self, callback: DoneCallback) -> None:
        """Call back once it is done: at once if it is, else in the thread that finishes it."""
        with self._lock:
            if not self.done:
                self._callbacks.append(callback)
                return
        callback(self.error)

    def finish(self, error: LogError | None) -> None:
        """Mark it done and tell everybody.  A second call changes nothing and tells whom the first did not reach."""
        with self._lock:
            if not self.done:
                self.error = error
                self.done = True
        if self._waiters:
            self._pass_on(None)
        while self._callbacks:  # no more are added once it is done
            callback = self._callbacks.popleft()
            try:
                callback(self.error)
            except Exception:
                _LOGGER.exception("a commit callback failed; the others and the log go on")

    def abandon(self, error: LogError) -> None:
        """After a fork, in the child, where nobody else is left: done, with that error, whoever held the lock."""
        self._lock = threading.Lock()
        self.error, self.done = error, True

    def _await(self, mine: "threading.Lock", timeout_s: float | None) -> bool:
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_s = _LOOK_S if deadline_s is None else min(_LOOK_S, deadline_s - time.monotonic())
            if mine.acquire(timeout=max(0.0, left_s)) or self.done:
                return True
            if deadline_s is not None and left_s < _LOOK_S:
                return False

    def _pass_on(self, mine: "threading.Lock | None") -> None:
        """Wake one waiter, who wakes the next: all at once would fight for the interpreter."""
        with self._lock:
            if not self.done:
                if mine is not None and mine in self._waiters:  # its time ran out, or it was interrupted
                    self._waiters.remove(mine)
                return
            following = self._waiters.popleft() if self._waiters else None
        if following is not None:
            following.release()


DONE: Final = Completion()  # what waits for nothing
DONE.finish(None)


class CommitGroup:
    """Frames that are written together, and become durable together or fail together."""

    __slots__ = (
        "chain",
        "chain_before",
        "end_seq",
        "first_seq",
        "must_sync",
        "parts",
        "size_bytes",
        "sync_within_ms",
        "synced",
        "time",
        "written",
    )

    def __init__(self, first_seq: int) -> None:
        self.parts: list[bytes] = []  # of frames: header, payload, header, payload, ...
        self.first_seq = first_seq
        self.chain_before = 0  # of the frame before the first
        self.must_sync = False  # somebody waits for the fsync
        self.sync_within_ms: int | None = None  # how soon after the write somebody wants it synced
        self.written = Completion()
        self.synced = Completion()
        # known once nothing more comes:
        self.size_bytes = 0
        self.end_seq = first_seq  # behind the last frame
        self.time = 0  # of the last frame
        self.chain = 0  # of the last frame

    @property
    def asked(self) -> bool:
        """Whether there is anything to do for it even without frames."""
        return self.must_sync or self.sync_within_ms is not None

    def sync_within(self, level: Durability) -> None:
        """Note how soon somebody wants it synced, if he does."""
        if isinstance(level, Interval):
            self.sync_within_ms = min(level.ms, self.sync_within_ms or level.ms)

    def close(self, part_count: int, size_bytes: int, end_seq: int, time: int, chain: int) -> None:
        """Nothing more comes; parts behind part_count were left by an append that was interrupted."""
        del self.parts[part_count:]
        self.size_bytes, self.end_seq, self.time, self.chain = size_bytes, end_seq, time, chain


class Committer(Protocol):
    """Who can do the commit that a ticket waits for."""

    def help_commit(self, completion: Completion) -> None:
        """Commit in this thread if nobody else does; return at once if somebody does."""

    def commit_all(self) -> None:
        """Commit all that waits in this thread if nobody else does; return at once if somebody does."""


class Rest:
    """Where one thread sleeps until it is woken or its time is up.  begin and wake are called under the lock given."""

    __slots__ = ("_lock", "_sleeps", "_wake")

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._sleeps = False
        self._wake = threading.Lock()
        self._wake.acquire()

    def begin(self) -> None:
        """From now on a wake is for the sleep that follows."""
        self._sleeps = True

    def sleep(self, timeout_s: float) -> None:
        """After begin: until somebody wakes it; below 0 s for ever."""
        if not self._wake.acquire(timeout=timeout_s):
            with self._lock:
                if not self._sleeps:  # woken just as the time ran out
                    self._wake.acquire()
                self._sleeps = False

    def wake(self) -> None:
        """End the sleep, if there is one."""
        if self._sleeps:
            self._sleeps = False
            self._wake.release()


class Ticket:
    """A promise of durability for the frames first_seq to last_seq."""

    __slots__ = ("_committer", "_completion", "first_seq", "last_seq")

    def __init__(
        self, first_seq: int, last_seq: int, completion: Completion, committer: Committer | None = None
    ) -> None:
        self.first_seq = first_seq
        self.last_seq = last_seq
        self._completion = completion
        self._committer = committer

    @property
    def done(self) -> bool:
        """Whether what the ticket waits for has ended, well or not."""
        return self._completion.done

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait until the frames are as durable as was asked; give the first seq.

        Without a timeout this thread may do the commit itself, unless it is the main thread.
        Raises: TimeoutError; LogFailed or DiskFull if the write or the fsync failed.
        """
        completion = self._completion
        if timeout_s is None and self._committer is not None and not completion.done:
            self._committer.help_commit(completion)
        if not completion.done and not completion.wait(timeout_s):
            raise TimeoutError(f"seq {self.last_seq} is not durable after {timeout_s} s")
        if completion.error is not None:
            raise completion.error.again()
        return self.first_seq

    def commit(self) -> None:
        """Commit in this thread all that waits for it, if nobody else does; what comes meanwhile too.

        It is not said that the ticket is done on return: another thread may be at it.
        """
        if self._committer is not None:
            self._committer.commit_all()

    def on_done(self, callback: DoneCallback) -> None:
        """Call back with None once durable, or with the error.  Must not block: the disk waits."""
        self._completion.on_done(callback)
