"""A named append-only log in a folder of segments: append, read from a seq, wait for more.

Owns: the order of frames and their durability.  Refuses: to show a frame, or
to resolve a ticket, before what the log promises holds; to drop anything at
open but a torn tail; to go on after a failed fsync, or a write that failed
for any other reason than room.  Invariant: seqs
have no gap and are never used twice; times grow.

Source: docs/format-log.md.
"""

import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from wal.commit import Ticket
from wal.committer import GroupCommitter
from wal.errors import Forked, LogClosed, LogError, NotOwner
from wal.files import Files, after_fork
from wal.format import FLAG_MORE, FLAG_NONE, Frame
from wal.opening import Opened, Origin, first_origin, open_folder
from wal.options import Durability, LogOptions
from wal.readable import ReadableLog
from wal.recovery import Progress, TornTail
from wal.writer import Observer, Writer

_LOGGER = logging.getLogger(__name__)

_OPEN: weakref.WeakSet["FileLog"] = weakref.WeakSet()  # in this process


def _leave_all_to_parent() -> None:
    for log in list(_OPEN):
        log.leave_to_parent()


after_fork(_leave_all_to_parent)


class FileLog(ReadableLog):
    """One log, owned by this process as its only writer.  Thread-safe.  Implements wal.protocol.Log."""

    def __init__(
        self, folder: Path, files: Files, options: LogOptions, clock_ms: Callable[[], int], opened: Opened
    ) -> None:
        """Use FileLog.open."""
        self.folder = folder
        self.options = options
        self.torn_tail: TornTail | None = opened.recovered.torn_tail
        self.epoch = opened.epoch
        self.owner: str | None = opened.owner  # of a replica: who appends to the log that it copies
        self._writer = Writer(files, folder, options, clock_ms, opened)
        super().__init__(files, opened.recovered.segments[0].header.log_id, self._writer.contents)
        self._committer = GroupCommitter(self._writer, options, clock_ms, self._show, self._tell)
        self._closed = False
        self._closing_lock = threading.Lock()
        _OPEN.add(self)

    @classmethod
    def open(
        cls,
        folder: Path | str,
        *,
        clock_ms: Callable[[], int],
        new_log_id: Callable[[], bytes],
        options: LogOptions = LogOptions(),  # noqa: B008  (immutable)
        files: Files | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Open a log for writing, or create it; what is there is durable on return.

        clock_ms: milliseconds since 1970.  new_log_id: 16 random bytes, asked only for a new log.
        progress: bytes walked and bytes to walk of a segment that no index vouches for.
        A torn tail is cut and told in `torn_tail`.  The folder of a replica gives a log that refuses appends.
        Raises: LogLocked at once if another writer has it; Corrupt; UnsupportedFormat; ValueError for bad
        options; OSError.
        """
        return cls._open(Path(folder), clock_ms, lambda: first_origin(clock_ms, new_log_id), options, files, progress)

    @classmethod
    def open_replica(
        cls,
        folder: Path,
        *,
        owner: str,
        origin: Callable[[], Origin],
        clock_ms: Callable[[], int],
        options: LogOptions = LogOptions(),  # noqa: B008  (immutable)
        files: Files | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Open or create a copy of a log that somebody else owns: it takes copy_frames and refuses appends.

        owner: how those who want to append find the owner, 1 to 4,096 bytes.  origin: where the copy begins,
        asked only for a new one.
        Raises: NotOwner if the folder is a log of its own or of another owner; else as open.
        """
        return cls._open(folder, clock_ms, origin, options, files, progress, owner)

    @classmethod
    def _open(
        cls,
        folder: Path,
        clock_ms: Callable[[], int],
        origin: Callable[[], Origin],
        options: LogOptions,
        files: Files | None,
        progress: Progress | None,
        new_owner: str | None = None,
    ) -> Self:
        files = files or Files()
        opened = open_folder(files, folder, options, origin, progress, new_owner)
        torn = opened.recovered.torn_tail
        if torn is not None and torn.acknowledged_count:
            _LOGGER.error(
                "%s: %s acknowledged frames are lost with a torn tail: %s", folder, torn.acknowledged_count, torn
            )
        try:
            return cls(folder, files, options, clock_ms, opened)
        except BaseException:
            files.close(opened.recovered.handle)
            files.close(opened.lock_handle)
            raise

    @property
    def next_seq(self) -> int:
        """The seq that the next append gets."""
        return self._committer.next_seq

    @property
    def ended(self) -> bool:
        """Whether the log was closed or has failed for good: no frame will come after those that are visible."""
        failure = self._committer.failure
        return self._closed or (failure is not None and not failure.resumable)

    @property
    def failure(self) -> LogError | None:
        """Why the log refuses work, if it does."""
        return self._committer.failure

    def observe(self, observer: Observer | None) -> None:
        """Have somebody told of every write and every fsync, in the thread that does them."""
        self._writer.observer = observer

    def append(self, payload: bytes, kind: int, *, durability: Durability | None = None) -> Ticket:
        """Append one frame; see wal.protocol.Log.append_many."""
        if self.owner is not None:
            raise NotOwner(self.owner)
        return self._committer.append_one(payload, kind, durability)

    def append_many(
        self, items: Sequence[tuple[int, bytes]], *, durability: Durability | None = None, caller_commits: bool = False
    ) -> Ticket:
        """Append (kind, payload) pairs in one commit group; see wal.protocol.Log."""
        self._check_owned()
        return self._committer.append(items, FLAG_NONE, durability, caller_commits=caller_commits)

    def append_batch(self, items: Sequence[tuple[int, bytes]], *, durability: Durability | None = None) -> Ticket:
        """As append_many, and after a crash either all of the items are there or none."""
        self._check_owned()
        return self._committer.append(items, FLAG_MORE, durability)

    def append_if_next_seq(
        self, seq: int, items: Sequence[tuple[int, bytes]], *, durability: Durability | None = None
    ) -> Ticket:
        """As append_batch if the first item gets that seq.

        Raises: SeqConflict, which names both seqs; nothing is appended then.
        """
        self._check_owned()
        if not isinstance(seq, int):
            raise TypeError(f"seq is {seq!r}; it must be a whole number")
        return self._committer.append(items, FLAG_MORE, durability, expected_seq=seq)

    def copy_frames(self, frames: Sequence[Frame]) -> Ticket:
        """Put frames of the owner's log into a replica, as they are; the last must complete its batch.

        Raises: ValueError if they do not go on where the replica ends, or if this is no replica; LogFailed.
        """
        if self.owner is None:
            raise ValueError(f"{self.folder} is no replica")
        return self._committer.copy(frames)

    def barrier(self, *, durability: Durability | None = None) -> Ticket:
        """A ticket that resolves when all that was appended so far is durable; its seqs are none."""
        return self._committer.append((), FLAG_NONE, durability)

    def resume(self) -> None:
        """See wal.protocol.Log."""
        self._committer.resume()

    def close(self) -> None:
        """Commit what is pending, then give the folder back.  A second call does nothing."""
        with self._closing_lock:  # a second call returns when the folder is free, not before
            if not self._closed:
                self._committer.close()
                self._closed = True
                try:
                    self._tell()
                finally:
                    self._writer.close(clean=self.failure is None or self.failure.resumable)

    def leave_to_parent(self) -> None:
        """In a child after a fork: the log is its parent's, and every handle is let go without a trace."""
        if not self._closed:
            self._closed = True
            self._closing_lock = threading.Lock()
            self._showing = threading.Lock()
            self._committer.abandon(
                Forked(f"{self.folder} was opened before the fork; open it in the process that appends")
            )
            self._writer.close(clean=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_owned(self) -> None:
        if self.owner is not None:
            raise NotOwner(self.owner)

    def _check_open(self) -> None:
        if self._closed:
            raise LogClosed(f"{self.folder} is closed")
