"""A named append-only log in a folder of segments: append, read from a seq, wait for more.

Owns: the order of frames and their durability.  Refuses: to show a frame, or
to resolve a ticket, before the fsync that covers it; to drop anything at open
but a torn tail; to go on after a failed write or fsync.  Invariant: seqs start
at 0 and have no gap; times grow.

Source: docs/format-log.md.
"""

import errno
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

from wal.commit import CommitGroup, Ticket
from wal.errors import (
    DiskFull,
    LogBusy,
    LogClosed,
    LogError,
    LogFailed,
    LogLocked,
    PayloadTooLarge,
)
from wal.files import Files
from wal.format import (
    FLAG_MORE,
    FLAG_NONE,
    KIND_MAX,
    LOGICAL_BITS,
    PAYLOAD_BYTES_MAX,
    Frame,
    SegmentHeader,
    encode_frame,
)
from wal.reading import Durable, Hint, read_frames
from wal.recovery import Recovered, TornTail, recover
from wal.segment import Place, Segment, create_segment, open_segment, segment_paths

_LOGGER = logging.getLogger(__name__)

LOCK_NAME: Final = "LOCK"


class LogOptions(NamedTuple):
    """Bounds of a log."""

    segment_bytes: int = 64 * 1024 * 1024  # a segment is scanned whole at open: well under a second
    pending_bytes_max: int = 64 * 1024 * 1024  # what may wait for the disk before appends are refused


class FileLog:
    """One log, owned by this process as its only writer.  Thread-safe."""

    def __init__(
        self,
        folder: Path,
        files: Files,
        options: LogOptions,
        clock_ms: Callable[[], int],
        lock_handle: int,
        recovered: Recovered,
        epoch: int,
    ) -> None:
        """Use FileLog.open."""
        self.folder = folder
        self.torn_tail: TornTail | None = recovered.torn_tail
        self.epoch = epoch
        self._files = files
        self._options = options
        self._clock_ms = clock_ms
        self._lock_handle = lock_handle
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)  # the committer waits here
        self._grown = threading.Condition(self._lock)  # readers of the tail wait here
        self._segments = recovered.segments
        self._log_id = recovered.segments[0].header.log_id
        self._durable = recovered.end  # the place after the last durable frame
        self._next_seq = recovered.end.seq
        self._chain = recovered.end.chain or 0
        self._time = recovered.end.time
        self._hint: Hint | None = None
        self._readers = 0
        self._idle = threading.Condition(self._lock)  # close waits here for readers
        self._pending = CommitGroup(self._lock)
        self._committing: CommitGroup | None = None
        self._failure: LogError | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._commit_loop, name="wal-commit", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        clock_ms: Callable[[], int],
        new_log_id: Callable[[], bytes],
        options: LogOptions = LogOptions(),  # noqa: B008  (immutable)
        files: Files | None = None,
    ) -> Self:
        """Open a log for writing, or create it; what is there is durable on return.

        clock_ms: milliseconds since 1970.  new_log_id: 16 random bytes, asked only for a new log.
        A torn tail is cut and told in `torn_tail`.
        Raises: LogLocked at once if another writer has it; Corrupt; UnsupportedFormat; OSError.
        """
        files = files or Files()
        files.make_folder(folder)
        lock_handle = files.lock(folder / LOCK_NAME)
        if lock_handle is None:
            raise LogLocked(f"{folder} is open in another writer; stop that one first")
        try:
            epoch = _next_epoch(files, lock_handle, _newest_epoch(files, folder))
            if not segment_paths(files, folder):
                header = SegmentHeader(new_log_id(), epoch, 0, clock_ms(), 0)
                files.close(create_segment(files, folder, header).handle)
            recovered = recover(files, folder)
        except BaseException:
            files.close(lock_handle)
            raise
        return cls(folder, files, options, clock_ms, lock_handle, recovered, epoch)

    @property
    def log_id(self) -> bytes:
        """16 random bytes that tell this log from every other."""
        return self._log_id

    @property
    def durable_end(self) -> int:
        """The seq after the last durable frame."""
        return self._durable.seq

    @property
    def first_seq(self) -> int:
        """The first seq that is still kept."""
        return self._segments[0].first_seq

    @property
    def last_time(self) -> int:
        """The hybrid time of the last frame appended, or -1."""
        return self._time

    @property
    def ended(self) -> bool:
        """Whether the log was closed or has failed: no frame will come after those that are durable."""
        return self._closing or self._failure is not None

    @property
    def failure(self) -> LogError | None:
        """Why the log refuses work, if it does."""
        return self._failure

    @property
    def size_bytes(self) -> int:
        """The length of all segments."""
        return sum(segment.size() for segment in tuple(self._segments))

    def append(self, payload: bytes, kind: int) -> Ticket:
        """Append one frame; see append_many."""
        return self.append_many([(kind, payload)])

    def append_many(self, items: Sequence[tuple[int, bytes]]) -> Ticket:
        """Append (kind, payload) pairs with consecutive seqs, in one commit group.

        Nothing is durable on return: the ticket's wait() is.  After a crash any prefix of the items
        may be there; append_batch is all or nothing.
        Raises: PayloadTooLarge; LogBusy past pending_bytes_max; LogFailed; LogClosed.
        """
        return self._append(items, FLAG_NONE)

    def append_batch(self, items: Sequence[tuple[int, bytes]]) -> Ticket:
        """As append_many, and after a crash either all of the items are there or none."""
        return self._append(items, FLAG_MORE)

    def barrier(self) -> Ticket:
        """A ticket that resolves when all that was appended so far is durable."""
        with self._lock:
            self._check_usable()
            group = self._pending if self._pending.frames else self._committing
            if group is None:
                group = CommitGroup(self._lock)
                group.done = True
            return Ticket(self._next_seq, self._next_seq - 1, group)

    def read_from(self, seq: int, *, count_max: int, bytes_max: int) -> list[Frame]:
        """Durable frames from seq on in order, at least one if there is any, none at the end.

        Raises: FutureSeq beyond the end; Truncated before the first; Corrupt; LogClosed.
        """
        with self._lock:
            if self._closing:
                raise LogClosed(f"{self.folder} is closed")
            durable, hint = Durable(tuple(self._segments), self._durable), self._hint
            self._readers += 1
        try:
            frames, self._hint = read_frames(durable, seq, hint, count_max=count_max, bytes_max=bytes_max)
        finally:
            with self._lock:
                self._readers -= 1
                self._idle.notify_all()
        return frames

    def wait_past(self, seq: int, timeout_s: float | None) -> bool:
        """Wait until durable_end is above seq; False if time ran out, the log closed or failed."""
        with self._lock:
            self._grown.wait_for(
                lambda: self._durable.seq > seq or self._closing or self._failure is not None, timeout_s
            )
            return self._durable.seq > seq

    def close(self) -> None:
        """Commit what is pending, then give the folder back.  A second call does nothing."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._work.notify_all()
            self._grown.notify_all()
        self._thread.join()
        with self._lock:
            self._idle.wait_for(lambda: self._readers == 0)
        for segment in self._segments:
            self._files.close(segment.handle)
        self._files.close(self._lock_handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, items: Sequence[tuple[int, bytes]], flag: int) -> Ticket:
        size_bytes = 0
        for kind, payload in items:
            if not 0 <= kind <= KIND_MAX:
                raise ValueError(f"kind {kind} is not 0 to {KIND_MAX}")
            if len(payload) > PAYLOAD_BYTES_MAX:
                raise PayloadTooLarge(f"a payload of {len(payload)} bytes; at most {PAYLOAD_BYTES_MAX}")
            size_bytes += len(payload)
        if not items:
            return self.barrier()
        with self._lock:
            self._check_usable()
            group = self._pending
            if group.frames and group.size_bytes + size_bytes > self._options.pending_bytes_max:
                raise LogBusy(f"{group.size_bytes} bytes wait for the disk; the bound is reached")
            first_seq = self._next_seq
            if not group.frames:
                group.chain_before = self._chain
            last = len(items) - 1
            for index, (kind, payload) in enumerate(items):
                self._time = max(self._time + 1, self._clock_ms() << LOGICAL_BITS)
                flags = flag if index < last else FLAG_NONE
                frame, crc = encode_frame(self._next_seq, self._time, kind, flags, self._chain, payload)
                group.frames.append(frame)
                self._chain = crc
                self._next_seq += 1
                group.size_bytes += len(frame)
            group.chain, group.time = self._chain, self._time
            self._work.notify()
            return Ticket(first_seq, self._next_seq - 1, group)

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise type(self._failure)(*self._failure.args) from self._failure.__cause__
        if self._closing:
            raise LogClosed(f"{self.folder} is closed")

    def _commit_loop(self) -> None:
        while True:
            with self._lock:
                self._work.wait_for(lambda: self._pending.frames or self._closing)
                group = self._pending
                if not group.frames:
                    return
                self._committing, self._pending = group, CommitGroup(self._lock)
            error = self._commit(group)
            group.finish(error)
            if error is not None:
                self._fail_pending(error)
                return

    def _commit(self, group: CommitGroup) -> LogError | None:
        """Write and sync one group, then make it visible; on failure poison the log."""
        segment, start = self._segments[-1], self._durable
        data = b"".join(group.frames)
        try:
            if start.offset + len(data) > self._options.segment_bytes and start.seq > segment.first_seq:
                segment = self._roll(start.seq, group.chain_before)
                start = segment.start
            self._files.write(segment.handle, data, start.offset)
            self._files.sync(segment.handle)
        except Exception as error:  # not only OSError: a commit that did not end well must stop the log
            return self._poison(segment, start, error)
        offset = start.offset
        for seq, frame in enumerate(group.frames, start.seq):
            segment.note(seq, offset)
            offset += len(frame)
        with self._lock:
            self._durable = Place(offset, start.seq + len(group.frames), group.chain, group.time)
            self._committing = None
            self._grown.notify_all()
        return None

    def _roll(self, first_seq: int, chain: int) -> Segment:
        header = SegmentHeader(self._log_id, self.epoch, first_seq, self._clock_ms(), chain)
        segment = create_segment(self._files, self.folder, header)
        with self._lock:
            self._segments.append(segment)
            self._durable = segment.start._replace(time=self._durable.time)
        return segment

    def _poison(self, segment: Segment, start: Place, error: Exception) -> LogError:
        """Refuse work from now on, and cut off what may be half written.

        After a failed fsync the page cache may hold frames that the disk does not, so they must
        not be found by a later open.
        """
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        cause = (isinstance(error, OSError) and error.strerror) or error
        failure = (DiskFull if full else LogFailed)(f"{segment.path}: {cause}; reopen the log to go on")
        failure.__cause__ = error
        try:
            self._files.truncate(segment.handle, start.offset)
            self._files.sync(segment.handle)
        except OSError as second:
            failure.add_note(f"the undurable tail could not be cut: {second}")
        _LOGGER.error("%s", failure, exc_info=error)
        with self._lock:
            self._failure = failure
            self._committing = None
            self._grown.notify_all()
        return failure

    def _fail_pending(self, error: LogError) -> None:
        with self._lock:
            group, self._pending = self._pending, CommitGroup(self._lock)
        group.finish(error)


def _newest_epoch(files: Files, folder: Path) -> int:
    """The epoch of the last segment; 0 in a new log."""
    paths = segment_paths(files, folder)
    if not paths:
        return 0
    segment = open_segment(files, paths[-1], writable=False)
    files.close(segment.handle)
    return segment.header.epoch


def _next_epoch(files: Files, lock_handle: int, above: int) -> int:
    """Count this opening in the lock file, durably: later segments carry the number."""
    text = files.read(lock_handle, 20, 0).strip()
    epoch = max(above, int(text) if text.isdigit() else 0) + 1
    files.write(lock_handle, f"{epoch:020d}".encode(), 0)
    files.sync(lock_handle)
    return epoch
