"""From appends to commits: groups, back-pressure, and the one thread at a time that writes and syncs.

Owns: seqs, times and the chain of what is appended.  Refuses: to show a frame
or to resolve a ticket before what it promises holds; to go on after a failed
write or fsync.  A thread that waits commits in the idle committer's stead.
"""

import errno
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from wal.commit import CommitGroup, Completion, Ticket
from wal.encoding import STRIDE_MASK, EncodedRun, encode_run
from wal.errors import DiskFull, LogBusy, LogClosed, LogError, LogFailed, SeqConflict
from wal.format import (
    FLAG_MORE,
    FLAG_NONE,
    FLAG_SYNCED,
    FRAME_HEADER_BYTES,
    KIND_MAX,
    LOGICAL_BITS,
    PAYLOAD_BYTES_MAX,
    Frame,
    encode_frame_header,
)
from wal.options import Durability, Interval, LogOptions, check_durability
from wal.reading import Contents
from wal.writer import Writer

_LOGGER = logging.getLogger(__name__)


class GroupCommitter:
    """The append side of one log.  Thread-safe."""

    def __init__(
        self, writer: Writer, options: LogOptions, clock_ms: Callable[[], int], show: Callable[[Contents | None], None]
    ) -> None:
        """show: makes contents visible and wakes whoever waits; None: the log has ended."""
        self._writer = writer
        self._options = options
        self._clock_ms = clock_ms
        self._show = show
        self._syncs_always = options.durability == "durable"
        self._durability = options.durability
        self._bytes_max = options.pending_bytes_max
        self._lock = threading.Lock()  # guards what is appended and not yet taken by a commit
        self._room = threading.Condition(self._lock)  # appends that may block wait here for the disk
        end = writer.contents.end
        self.next_seq, self._chain, self._time = end.seq, end.chain or 0, end.time
        self._pending = CommitGroup()
        self._committing: CommitGroup | None = None  # with an interrupted one, to be done again
        self._turn = threading.Lock()  # whoever holds it commits
        self._wake = threading.Lock()  # the commit thread sleeps on it
        self._wake.acquire()
        self._asleep = False
        self._sync_due_s: float | None = None  # by the monotonic clock: when what is written must be synced
        self.failure: LogError | None = None
        self.closing = False
        self._thread = threading.Thread(target=self._run, name="wal-commit", daemon=True)
        self._thread.start()

    def append(
        self,
        items: Sequence[tuple[int, bytes]],
        flag: int,
        durability: Durability | None,
        expected_seq: int | None = None,
    ) -> Ticket:
        """Give (kind, payload) pairs their seqs and put them into the group that is committed next.

        No items: the ticket for all that was appended before.
        """
        with self._lock:
            return self._append(items, flag, durability, expected_seq)

    def append_one(self, payload: bytes, kind: int, durability: Durability | None) -> Ticket:
        """As append, for one frame: the most frequent call, so it has a short way into a group that is there."""
        with self._lock:
            group, seq = self._pending, self.next_seq
            size_bytes = group.size_bytes + FRAME_HEADER_BYTES + len(payload)
            if (
                not group.parts
                or durability is not None
                or size_bytes > self._bytes_max
                or self.failure is not None
                or self.closing
                or not (0 <= kind <= KIND_MAX and len(payload) <= PAYLOAD_BYTES_MAX)
            ):
                return self._append(((kind, payload),), FLAG_NONE, durability, None)
            time_ = max(self._time + 1, self._clock_ms() << LOGICAL_BITS)
            header, crc = encode_frame_header(seq, time_, kind, FLAG_NONE, self._chain, payload)
            if not seq & STRIDE_MASK:
                group.marks.append((seq, group.size_bytes, time_))
            group.parts += (header, payload)
            group.size_bytes = size_bytes
            self.next_seq = group.end_seq = seq + 1
            self._time = group.time = time_
            self._chain = group.chain = crc
            return self._promise(seq, None)

    def copy(self, frames: Sequence[Frame]) -> Ticket:
        """Put frames of another log, as they are; see FileLog.copy_frames."""
        with self._lock:
            self._check_usable()
            first_seq, chain, last_time = self.next_seq, self._chain, self._time
            if frames and (frames[0].seq, frames[0].chain) != (first_seq, chain):
                raise ValueError(f"frame {frames[0].seq} does not go on at seq {first_seq} with chain {chain:08x}")
            if frames and (frames[0].time <= last_time or frames[-1].flags & FLAG_MORE):
                raise ValueError(f"frames {frames[0].seq} to {frames[-1].seq} are not later, or end within a batch")
            for frame in frames:
                item = ((frame.kind, frame.payload),)
                start = self._pending.size_bytes
                run = encode_run(item, 0, frame.flags, frame.seq, frame.time, self._chain, start)
                self._put(run, frame.seq, frame.time)
            return self._promise(first_seq, "durable")

    def help_commit(self, completion: Completion) -> None:
        """Commit in this thread if nobody else does; return at once if somebody does."""
        if threading.get_ident() != threading.main_thread().ident:
            if self._turn.acquire(blocking=False):
                try:
                    self._help(completion)
                finally:
                    self._turn.release()
        elif not self._turn.locked():
            with self._turn:  # here Ctrl-C lands, and it could come between acquire and try
                self._help(completion)

    def _help(self, completion: Completion) -> None:
        if not completion.done:
            self._commit_next()

    def close(self) -> None:
        """Take no more, commit and sync what is pending.  Called once."""
        with self._lock:
            self.closing = True
            self._room.notify_all()
            self._wake_thread()
        self._thread.join()

    def _append(
        self, items: Sequence[tuple[int, bytes]], flag: int, durability: Durability | None, expected_seq: int | None
    ) -> Ticket:
        if durability is not None:
            check_durability(durability)
        while True:
            self._check_usable()
            first_seq, group = self.next_seq, self._pending
            if expected_seq is not None and expected_seq != first_seq:
                raise SeqConflict(expected_seq, first_seq)
            if not items:
                break
            time_ = max(self._time + 1, self._clock_ms() << LOGICAL_BITS)
            synced = FLAG_NONE if group.parts or not self._all_synced_before() else FLAG_SYNCED
            run = encode_run(items, flag, synced, first_seq, time_, self._chain, group.size_bytes)
            if run.size_bytes <= self._bytes_max or not group.parts:
                self._put(run, first_seq, time_)
                break
            self._await_room(run.size_bytes - group.size_bytes)
        return self._promise(first_seq, durability)

    def _put(self, run: EncodedRun, first_seq: int, first_time: int) -> None:
        group = self._pending
        if not group.parts:
            group.chain_before, group.first_seq, group.first_time = self._chain, first_seq, first_time
        group.parts += run.parts
        group.marks += run.marks
        group.size_bytes = run.size_bytes
        self.next_seq = group.end_seq = run.end_seq
        self._time = group.time = run.last_time
        self._chain = group.chain = run.chain

    def _all_synced_before(self) -> bool:
        """Whether all before the pending group will be on the disk for certain when it is written."""
        if self._syncs_always:
            return True
        if self._committing is not None:
            return self._committing.must_sync
        return self._writer.synced is self._writer.contents

    def _promise(self, first_seq: int, durability: Durability | None) -> Ticket:
        """The ticket for all that is appended by now, and the commit that will resolve it."""
        group, level = self._pending, durability or self._durability
        if not group.parts:
            completion = self._outstanding(level)
        elif level == "durable":
            group.must_sync = True
            completion = group.synced
        else:
            if isinstance(level, Interval):
                group.sync_within_ms = min(level.ms, group.sync_within_ms or level.ms)
            completion = group.written
        if self._asleep:
            self._wake_thread()
        return Ticket(first_seq, self.next_seq - 1, completion, self)

    def _outstanding(self, level: Durability) -> Completion:
        """What a ticket waits for that brings no frames of its own, and finds none waiting."""
        committing = self._committing
        if level != "durable":
            return _DONE if committing is None else committing.written
        if committing is not None and (self._syncs_always or committing.must_sync):
            return committing.synced
        if committing is None and self._writer.synced is self._writer.contents:
            return _DONE
        self._pending.must_sync = True
        return self._pending.synced

    def _await_room(self, size_bytes: int) -> None:
        def has_room() -> bool:
            group = self._pending
            fits = not group.parts or group.size_bytes + size_bytes <= self._bytes_max
            return fits or self.closing or self.failure is not None

        waiting = self._options.when_full == "block"
        if not (waiting and self._room.wait_for(has_room, self._options.full_wait_s)):
            raise LogBusy(f"{self._pending.size_bytes} bytes wait for the disk; the bound is reached")

    def _check_usable(self) -> None:
        if self.failure is not None:
            raise type(self.failure)(*self.failure.args) from self.failure.__cause__
        if self.closing:
            raise LogClosed("the log is closed")

    def _wake_thread(self) -> None:
        if self._asleep:
            self._asleep = False
            self._wake.release()

    def _run(self) -> None:
        """The commit thread: whatever nobody waited for, and the syncs that are due."""
        while True:
            with self._turn:
                while self._has_work():
                    self._commit_next()
                self._sync_if_due()
            with self._lock:
                if self._has_work():
                    continue
                if self.closing:
                    break
                self._asleep = True
                due_s = self._sync_due_s
            self._sleep(-1 if due_s is None else max(0.0, due_s - time.monotonic()))
        with self._turn:
            self._sync_if_due(closing=True)

    def _sleep(self, timeout_s: float) -> None:
        if not self._wake.acquire(timeout=timeout_s):
            with self._lock:
                if not self._asleep:  # woken just as the time ran out
                    self._wake.acquire()
                self._asleep = False

    def _has_work(self) -> bool:
        return self.failure is None and (self._committing is not None or self._pending.asked)

    def _commit_next(self) -> None:
        """Commit one group.  The caller has the turn."""
        with self._lock:
            group = self._committing
            if group is None:
                if not self._pending.asked or self.failure is not None:
                    return
                group = self._committing = self._pending
            if group is self._pending:  # also if an interrupt came between these two
                self._pending = CommitGroup()
        try:
            self._commit(group)
        except Exception as error:  # not only OSError: a commit that did not end well must stop the log
            self._fail(error)
        except BaseException as error:  # Ctrl-C in a thread that helped
            disk_error = _disk_error(error)
            if disk_error is not None:
                self._fail(disk_error)
            else:  # nothing failed: the commit thread does it again, the same bytes at the same place
                self._writer.interrupted()
                with self._lock:
                    self._wake_thread()
            raise

    def _commit(self, group: CommitGroup) -> None:
        if group.parts and self._writer.contents.end.seq != group.end_seq:
            self._writer.write(group)
        if not self._syncs_always:
            self._settle_written(group)
        if group.must_sync or self._syncs_always:
            group.written.finish(None)
            self._writer.sync()
            self._sync_due_s = None
        self._show_committed()
        if group.must_sync or self._syncs_always:
            group.synced.finish(None)
        with self._lock:  # last: until then an interrupted commit is done again
            self._committing = None
            self._room.notify_all()
        self._writer.remove_expired()

    def _settle_written(self, group: CommitGroup) -> None:
        """What a log that need not sync each group does once the system has the frames."""
        ms = group.sync_within_ms
        if ms is not None:
            due_s = time.monotonic() + ms / 1000
            self._sync_due_s = due_s if self._sync_due_s is None else min(due_s, self._sync_due_s)
        if self._durability == "os":
            self._writer.tell_readers()
            self._show(self._writer.contents)
        group.written.finish(None)

    def _show_committed(self) -> None:
        self._show(self._writer.contents if self._durability == "os" else self._writer.synced)

    def _sync_if_due(self, *, closing: bool = False) -> None:
        """Sync what an interval, or the end of the log, asks for.  The caller has the turn."""
        if self.failure is not None or self._writer.synced is self._writer.contents:
            return
        if closing or (self._sync_due_s is not None and time.monotonic() >= self._sync_due_s):
            try:
                self._writer.sync()
            except Exception as error:  # as in a commit
                self._fail(error)
                return
            self._sync_due_s = None
            self._show_committed()

    def _fail(self, error: Exception) -> None:
        """Refuse work from now on, cut off what may be half written, and tell all who wait."""
        failure = _failure_of(error, self._writer.path)
        kept = self._writer.contents if self._durability == "os" else self._writer.synced
        try:
            self._writer.cut_back(kept)
        except OSError as second:
            failure.add_note(f"the undurable tail could not be cut: {second}")
        _LOGGER.error("%s", failure, exc_info=error)
        with self._lock:
            self.failure = failure
            groups = [group for group in (self._committing, self._pending) if group is not None]
            self._committing, self._pending = None, CommitGroup()
            self._room.notify_all()
        self._show(None)
        for group in groups:
            group.written.finish(failure)
            group.synced.finish(failure)


def _done() -> Completion:
    completion = Completion()
    completion.finish(None)
    return completion


_DONE: Final = _done()


def _failure_of(error: Exception, path: Path) -> LogFailed:
    if isinstance(error, LogFailed):
        return error
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    cause = (isinstance(error, OSError) and error.strerror) or error
    failure = (DiskFull if full else LogFailed)(f"{path}: {cause}; reopen the log to go on")
    failure.__cause__ = error
    return failure


def _disk_error(error: BaseException) -> OSError | None:
    """The failure that an interrupt overtook, if it did."""
    context: BaseException | None = error
    while context is not None:
        if isinstance(context, OSError):
            return context
        context = context.__context__
    return None
