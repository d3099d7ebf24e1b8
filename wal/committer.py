"""From appends to commits: groups, back-pressure, and the one thread at a time that writes and syncs.

Owns: seqs, times and the chain of what is appended.  Refuses: to show a frame
or to resolve a ticket before what it promises holds; to go on after a failed
write or fsync, but for a write that only lacked room, and then not before it is
resumed: whoever remembers what he appended must forget it first.  A thread that
waits commits in the idle committer's stead, but
never the main thread: there Ctrl-C could come between a write and its fsync.
Whatever Ctrl-C can interrupt changes state by one assignment, or not at all.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from wal.commit import DONE, CommitGroup, Completion, Rest, Ticket
from wal.encoding import encode_copies, encode_run, next_time
from wal.errors import LogBusy, LogClosed, LogError, LogFull, SeqConflict
from wal.failing import failure_of
from wal.format import (
    FLAG_NONE,
    FLAG_SYNCED,
    FRAME_HEADER_BYTES,
    KIND_MAX,
    PAYLOAD_BYTES_MAX,
    SEQ_MAX,
    Frame,
    encode_frame_header,
)
from wal.options import Durability, LogOptions, check_durability
from wal.reading import Contents
from wal.writer import Writer

_LOGGER = logging.getLogger(__name__)


_LOOK_S: Final = 0.1  # how often an append that waits for room looks whether the log was closed


# Where the next append goes, replaced whole: the group that gathers, how many of its parts count (an append that was
# interrupted leaves more), their bytes, the seq, the time of the frame before, and the chain.  A plain tuple: one is
# made for every append.
Head = tuple[CommitGroup, int, int, int, int, int]


class GroupCommitter:
    """The append side of one log.  Thread-safe."""

    def __init__(
        self,
        writer: Writer,
        options: LogOptions,
        clock_ms: Callable[[], int],
        show: Callable[[Contents], None],
        tell: Callable[[], None],
    ) -> None:
        """show: makes contents visible.  tell: wakes whoever waits for what is visible then."""
        self._writer = writer
        self._options = options
        self._clock_ms = clock_ms
        self._show = show
        self._tell = tell
        self._durability = options.durability
        self._syncs_always = options.durability == "durable"
        self._bytes_max = options.pending_bytes_max
        self._lock = threading.Lock()  # guards what is appended and not yet taken by a commit
        self._head = self._new_head()
        self._committing: CommitGroup | None = None
        self._turn = threading.Lock()  # whoever holds it commits
        self._turn_holder: int | None = None  # thread
        self._rest = Rest(self._lock)  # of the commit thread
        self._sync_due_s: float | None = None  # by the monotonic clock: when what is written must be synced
        self.failure: LogError | None = None
        self.closing = False
        self._thread = threading.Thread(target=self._run, name="wal-commit", daemon=True)
        self._thread.start()

    @property
    def next_seq(self) -> int:
        """The seq that the next append gets."""
        return self._head[3]

    def append(
        self,
        items: Sequence[tuple[int, bytes]],
        flag: int,
        durability: Durability | None,
        expected_seq: int | None = None,
        *,
        caller_commits: bool = False,
    ) -> Ticket:
        """Give (kind, payload) pairs their seqs and put them into the group that is committed next.

        No items: the ticket for all that was appended before.
        """
        if durability is not None:
            check_durability(durability)
        wakes = not (caller_commits and self._syncs_always) or _is_main_thread()
        deadline_s: float | None = None
        while True:
            with self._lock:
                self._check_usable()
                group, part_count, waiting_bytes, seq, last_time, chain = self._head
                if expected_seq is not None and expected_seq != seq:
                    raise SeqConflict(expected_seq, seq)
                if not items:
                    return self._promise(seq, durability, wakes=wakes)
                time_ = next_time(last_time, self._clock_ms())
                synced = FLAG_NONE if part_count or not self._all_synced_before() else FLAG_SYNCED
                run = encode_run(items, flag, synced, seq, time_, chain)
                size_bytes = waiting_bytes + run.size_bytes
                if size_bytes <= self._bytes_max or not part_count:
                    self._put(run.parts, size_bytes, run.end_seq, run.last_time, run.chain)
                    return self._promise(seq, durability, wakes=wakes)
            deadline_s = self._await_room(group.written, waiting_bytes, deadline_s)

    def append_one(self, payload: bytes, kind: int, durability: Durability | None) -> Ticket:
        """As append, for one frame: the most frequent call, so it has a short way into a group that is there."""
        with self._lock:
            _, part_count, waiting_bytes, seq, last_time, chain = self._head
            size_bytes = waiting_bytes + FRAME_HEADER_BYTES + len(payload)
            if (
                part_count
                and durability is None
                and size_bytes <= self._bytes_max
                and 0 <= kind <= KIND_MAX
                and len(payload) <= PAYLOAD_BYTES_MAX
            ):
                self._check_usable()
                time_ = next_time(last_time, self._clock_ms())
                header, chain = encode_frame_header(seq, time_, kind, FLAG_NONE, chain, payload)
                self._put((header, payload), size_bytes, seq + 1, time_, chain)
                return self._promise(seq, None)
        return self.append(((kind, payload),), FLAG_NONE, durability)

    def copy(self, frames: Sequence[Frame]) -> Ticket:
        """Put frames of another log, as they are; see FileLog.copy_frames."""
        with self._lock:
            self._check_usable()
            _, _, size_bytes, seq, time_, chain = self._head
            run = encode_copies(frames, seq, time_, chain)
            if frames:
                self._put(run.parts, size_bytes + run.size_bytes, run.end_seq, run.last_time, run.chain)
            return self._promise(seq, "durable")

    def help_commit(self, completion: Completion) -> None:
        """Commit in this thread if nobody else does; return at once if somebody does, or if it is the main thread."""
        if not _is_main_thread() and self._turn.acquire(blocking=False):
            try:
                if not completion.done:
                    self._commit_next()
            finally:
                self._turn.release()
            if self._has_work():  # of somebody who found the turn taken, and left it to whoever had it
                with self._lock:
                    self._rest.wake()

    def commit_all(self) -> None:
        """Commit all that waits, in this thread if nobody else does it; what comes meanwhile too.

        Returns at once if somebody does, and in the main thread, where it is left to the committing thread.
        """
        if _is_main_thread():
            return
        # Looked at again after the turn was given back: who finds it taken leaves his work to whoever has it.
        while self._has_work() and self._turn.acquire(blocking=False):
            try:
                self._commit_next()
            finally:
                self._turn.release()

    def resume(self) -> None:
        """Take appends again after a failure that is resumable; nothing of what was refused is there."""
        with self._lock:
            if self.failure is not None and self.failure.resumable:
                self.failure = None

    def close(self) -> None:
        """Take no more, commit and sync what is pending.

        Raises: LogError in a callback of a commit, which would wait for itself.
        """
        if self._turn_holder == threading.get_ident():
            raise LogError("a log cannot be closed in a callback of its own commit; close it in another thread")
        with self._lock:
            self.closing = True
            self._rest.wake()
        self._thread.join()

    def abandon(self, failure: LogError) -> None:
        """After a fork, in the child: its threads are gone, its locks may be taken for ever."""
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._rest = Rest(self._lock)
        self.failure, self.closing = failure, True
        for group in (self._committing, self._head[0]):
            if group is not None:
                group.written.abandon(failure)
                group.synced.abandon(failure)

    def _put(self, parts: Sequence[bytes], size_bytes: int, end_seq: int, last_time: int, chain: int) -> None:
        if end_seq > SEQ_MAX:
            raise LogFull(f"seq {SEQ_MAX} is the last that a log can have")
        group, part_count, _, _, _, chain_before = self._head
        del group.parts[part_count:]
        group.parts += parts
        if not part_count:
            group.chain_before = chain_before
        self._head = group, part_count + len(parts), size_bytes, end_seq, last_time, chain

    def _all_synced_before(self) -> bool:
        """Whether all before the group that gathers will be on the disk for certain when it is written."""
        if self._syncs_always:
            return True
        if self._committing is not None:
            return self._committing.must_sync
        return self._writer.synced is self._writer.contents

    def _promise(self, first_seq: int, durability: Durability | None, *, wakes: bool = True) -> Ticket:
        """The ticket for all that is appended by now, and the commit that will resolve it.

        wakes: the committing thread sees to it.
        """
        group, part_count, _, next_seq, _, _ = self._head
        level = durability or self._durability
        if not part_count:
            completion = self._outstanding(level)
        elif level == "durable":
            group.must_sync = True
            completion = group.synced
        else:
            group.sync_within(level)
            completion = group.written
        if not self._syncs_always:
            group.sync_within(self._durability)
        if wakes:
            self._rest.wake()
        return Ticket(first_seq, next_seq - 1, completion, self)

    def _outstanding(self, level: Durability) -> Completion:
        """What a ticket waits for that brings no frames of its own, and finds none waiting."""
        committing, group = self._committing, self._head[0]
        all_synced = committing is None and self._writer.synced is self._writer.contents
        if level == "durable":
            if committing is not None and (self._syncs_always or committing.must_sync):
                return committing.synced
            group.must_sync = not all_synced
            return DONE if all_synced else group.synced
        if not all_synced:
            group.sync_within(level)
        return DONE if committing is None else committing.written

    def _await_room(self, makes_room: Completion, waiting_bytes: int, deadline_s: float | None) -> float:
        """Wait until the group that is full was written; give the time by which there must be room."""
        with self._lock:
            self._rest.wake()  # whoever was to commit them may be the one who asks for room
        busy = LogBusy(f"{waiting_bytes} bytes wait for the disk; the bound is reached")
        if self._options.when_full != "block":
            raise busy
        now_s = time.monotonic()
        deadline_s = now_s + self._options.full_wait_s if deadline_s is None else deadline_s
        if now_s >= deadline_s:
            raise busy
        makes_room.wait(min(_LOOK_S, deadline_s - now_s))
        return deadline_s

    def _check_usable(self) -> None:
        if self.failure is not None:
            raise self.failure.again()
        if self.closing:
            raise LogClosed("the log is closed")

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
                self._rest.begin()
                due_s = self._sync_due_s
            self._rest.sleep(-1 if due_s is None else max(0.0, due_s - time.monotonic()))
        with self._turn:
            self._sync_if_due(closing=True)

    def _has_work(self) -> bool:
        group, part_count, *_ = self._head
        return self.failure is None and (part_count > 0 or group.asked)

    def _commit_next(self) -> None:
        """Commit one group.  The caller has the turn."""
        with self._lock:
            if not self._has_work():
                return
            group, part_count, size_bytes, seq, last_time, chain = self._head
            self._committing = group
            group.close(part_count, size_bytes, seq, last_time, chain)
            self._head = CommitGroup(seq), 0, 0, seq, last_time, chain
        self._turn_holder = threading.get_ident()
        try:
            self._commit(group)
        except BaseException as error:  # not only OSError: a commit that did not end well must stop the log
            self._fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._turn_holder = None

    def _commit(self, group: CommitGroup) -> None:
        if group.parts:
            self._writer.write(group)
        if not self._syncs_always:
            self._settle_written(group)
        must_sync = group.must_sync or self._syncs_always or self._sync_is_due()
        if must_sync:
            group.written.finish(None)
            self._writer.sync()
            self._sync_due_s = None
            self._show_committed()
        with self._lock:
            self._committing = None
        if must_sync:
            group.synced.finish(None)
            self._tell()  # after those who wait for their own: it wakes readers, who would be in their way
        self._writer.remove_expired()

    def _settle_written(self, group: CommitGroup) -> None:
        """What a log that need not sync each group does once the system has the frames."""
        if group.sync_within_ms is not None:
            due_s = time.monotonic() + group.sync_within_ms / 1000
            self._sync_due_s = due_s if self._sync_due_s is None else min(due_s, self._sync_due_s)
        if self._durability == "os":
            self._writer.tell_readers()
            self._show(self._writer.contents)
        group.written.finish(None)
        if self._durability == "os":
            self._tell()

    def _show_committed(self) -> None:
        self._show(self._writer.contents if self._durability == "os" else self._writer.synced)

    def _sync_is_due(self) -> bool:
        return self._sync_due_s is not None and time.monotonic() >= self._sync_due_s

    def _sync_if_due(self, *, closing: bool = False) -> None:
        """Sync what an interval, or the end of the log, asks for.  The caller has the turn."""
        if not (closing or self._sync_is_due()) or self.failure is not None:
            return
        self._sync_due_s = None
        if self._writer.synced is not self._writer.contents:
            try:
                self._writer.sync()
            except Exception as error:  # as in a commit
                self._fail(error)
                return
            self._show_committed()
            self._tell()

    def _fail(self, error: BaseException) -> None:
        """Refuse work from now on, cut off what may be half written, and tell all who wait."""
        path = self._writer.path
        failure = failure_of(error, path, can_go_on=True)
        if not failure.resumable:
            self.failure = failure
        try:
            self._writer.cut_back(keep_unsynced=self._durability == "os")
        except OSError as second:
            failure = failure_of(error, path, can_go_on=False)
            failure.add_note(f"the undurable tail could not be cut: {second}")
        self._show_committed()
        with self._lock:
            groups = [group for group in (self._committing, self._head[0]) if group is not None]
            self._committing = self._sync_due_s = None
            self._head = self._new_head()
            self.failure = failure
        if failure.resumable:
            _LOGGER.warning("%s", failure)
        else:
            _LOGGER.error("%s", failure, exc_info=error)
        for group in groups:
            group.written.finish(failure)
            group.synced.finish(failure)
        self._tell()

    def _new_head(self) -> Head:
        """Where the next append goes when nothing waits: behind what is written."""
        segments, end = self._writer.contents
        # A segment without a frame may have been begun for frames of a later time than those before it.
        return CommitGroup(end.seq), 0, 0, end.seq, max(end.time, segments[-1].start.time), end.chain or 0


def _is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident
