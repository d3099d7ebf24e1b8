"""Runs folds over one log: a batch after the cursor, rows and cursor in one commit.

Owns: the cursor.  Invariant: the state is the fold of exactly the events
before the cursor, after any crash, because both are in the same commit; an
event that no fold could take is a dead letter in that commit, or stops the
runner.  The runner pulls: a burst of events makes larger batches and nothing
else.  A runner that stops tells everybody who waits or asks.

Source: docs/state.md, "The runner".
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from cortex.applying import Applier, Poison, is_of_the_event
from cortex.binding import bind_to, mark_of
from cortex.errors import CortexError, FoldClosed, FoldStopped, stopped_by
from cortex.fold import Fold
from cortex.options import RunnerOptions, check_options
from cortex.progress import Meter, Progress
from cortex.retries import Retried, Retry, RetryQueue
from cortex.watermark import Watermark
from stores import KV, Batch, DeadLetter, DeadLetterWriter, MetaWriter, Reader, Staging, StoreFull, reason_of
from wal import Corrupt, Frame, FutureSeq, Log, LogError, Truncated

Event = TypeVar("Event")

RETRY_WAIT_S: Final = 60.0  # how long retry waits for the committing thread
_LETTERS_SAID: Final = 10
_NO_PAUSE_S: Final = float("-inf")
_LOGGER = logging.getLogger(__name__)


class Commit(NamedTuple):
    """What a commit touched; good for as long as the call that is given it."""

    cursor: int  # the seq of the next event to apply
    row_keys: Collection[bytes]
    posting_keys: Collection[bytes]


class Runner(Generic[Event]):
    """A fixed list of folds over one log into one store, in a thread of its own or in the caller's."""

    def __init__(
        self,
        log: Log,
        store: KV,
        folds: Sequence[Fold[Event]],
        decode: Callable[[Frame], Event],
        options: RunnerOptions = RunnerOptions(),  # noqa: B008  (immutable)
        *,
        watermark: Watermark | None = None,
        start: int = 0,
        on_commit: Callable[[Commit], None] | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Bind the store to the log, or check that it is bound to it.

        watermark: one to go on with, not beyond the store's cursor.  start: the first event that a new state
        folds; kept in the store.  on_commit: called in the committing thread once a commit is visible and the
        watermark has moved.  clock_s: seconds of a clock that never goes back.
        Raises: WrongLog; FoldVersionChanged; EventsGone if the log no longer has what comes next; ValueError
        for bad options, folds of one name, or a start that the log has not reached; StoreError.
        """
        self._options = check_options(options)
        self._applier = Applier(folds, decode)
        self._log = log
        self._store = store
        self._on_commit = on_commit
        self._clock_s = clock_s
        self._meter = Meter(clock_s)
        self._turn = threading.Lock()  # whoever makes a batch and commits it
        self._retries = RetryQueue()
        self._stopping = threading.Event()
        self._wake = threading.Event()  # there may be something to do
        self._pause_until_s = _NO_PAUSE_S
        self.pause: StoreFull | None = None  # while the fold stands still, for want of room on the disk
        self._count = self._count_min = min(options.batch_count_min, options.batch_count_max)
        self._thread: threading.Thread | None = None
        cursor = bind_to(log, store, self._applier.versions, start)
        if watermark is None:
            watermark = Watermark(cursor)
        watermark.advance(cursor)
        self.watermark = watermark

    @property
    def lag(self) -> int:
        """How many durable events are not applied yet."""
        return max(0, self._log.durable_end - self.watermark.seq)

    @property
    def failure(self) -> CortexError | None:
        """Why the runner stopped, if it did."""
        return self.watermark.error

    @property
    def progress(self) -> Progress:
        """Where the runner stands."""
        applied, end = self.watermark.seq, self._log.durable_end
        return Progress(
            applied, end, max(0, end - applied), self._meter.batches, self._meter.events_per_s(), self.pause
        )

    def start(self) -> None:
        """Begin to follow the log; once only."""
        assert self._thread is None, "a runner is started once"
        self._retries.open()
        self._thread = threading.Thread(target=self._run, name="cortex-runner", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the batch in hand and follow no more; who waits goes on waiting, for another runner."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        with self._turn:  # a batch that another thread has in hand
            pass

    def close(self) -> None:
        """Finish the batch in hand and stop; its cursor is in the store, and whoever waits is told."""
        self.stop()
        if self.watermark.error is None:
            self.watermark.end(FoldClosed("the fold was closed"))

    def run_once(self) -> int:
        """Apply one batch in this thread; give the number of events, 0 if there is none.

        Raises: FoldStopped for an event that cannot be applied, after those before it were committed; whatever
        the log or the store raised, and then nothing of the batch is applied.
        """
        with self._turn:
            return self._run_batch(self._count)

    def run_to(
        self,
        seq: int,
        on_progress: Callable[[int, int], None] | None = None,
        stopping: threading.Event | None = None,
    ) -> bool:
        """Apply, in this thread, all events before seq and none after; False if it was stopped before.

        For a runner that was not started.  on_progress: after each commit, the cursor and seq.
        Raises: as run_once; FutureSeq for more than the log holds; ValueError for less than is applied.
        """
        assert self._thread is None, "run_to beside a running thread would go beyond seq"
        if seq > self._log.durable_end:
            raise FutureSeq(seq, self._log.durable_end)
        if seq < self.watermark.seq:
            raise ValueError(f"the state has folded {self.watermark.seq} events, more than {seq}")
        while self.watermark.seq < seq:
            if stopping is not None and stopping.is_set():
                return False
            with self._turn:
                self._run_batch(min(self._count, seq - self.watermark.seq))
            if on_progress is not None:
                on_progress(self.watermark.seq, seq)
        return True

    def retry(self, seqs: Collection[int] | None = None, timeout_s: float = RETRY_WAIT_S) -> Retried:
        """Apply dead letters again, those of seqs or all, in log order, to the state as it is now.

        An event that is applied late is applied after those that followed it: where a fold's result depends
        on the order, rebuild the state instead.  Seqs without a letter are passed over.
        Raises: TimeoutError; FoldStopped or FoldClosed if the runner ends meanwhile; StoreError; LogError.
        """
        request = Retry(seqs)
        if self._retries.put(request):
            self._wake.set()
            request.wait(timeout_s)
        while not request.is_done:  # no thread: this one commits
            with self._turn:
                if self._stopping.is_set():
                    raise FoldClosed("the fold was closed")
                self._retry_some(request)
        return request.report()

    # A batch

    def _run_batch(self, count_max: int) -> int:
        cursor = self.watermark.seq
        frames = self._log.read_from(cursor, count_max=count_max, bytes_max=self._options.batch_bytes_max)
        if not frames:
            return 0
        end = frames[-1].seq + 1
        lost_count = sum(frame.lost for frame in frames)
        if lost_count:
            _LOGGER.warning("%s events up to seq %s were lost in a repair", lost_count, end - 1)
        with self._store.snapshot() as snapshot:
            if snapshot.position > cursor:  # Ctrl-C came between a commit and what follows it
                self.watermark.advance(snapshot.position)
                return snapshot.position - cursor
            state, end, stopped = self._fold(frames, snapshot)
            MetaWriter(state).put_cursor(end)
            if end > cursor:
                MetaWriter(state).put_last(mark_of(frames[end - 1 - cursor]))
        if end > cursor:
            self._commit(state.batch, end)
            self._meter.add(end - cursor)
        if stopped is not None:
            raise stopped
        self._adapt(len(frames) >= count_max)
        return len(frames)

    def _fold(self, frames: Sequence[Frame], snapshot: Reader) -> tuple[Staging, int, FoldStopped | None]:
        """Stage the frames; give the cursor after what is staged, and why it is not all, if it is not."""
        state = Staging(snapshot)
        try:
            self._applier.apply_all(frames, state)
        except Exception as error:
            if not is_of_the_event(error):
                raise
            _LOGGER.warning("a batch from seq %s failed and is folded singly: %s", frames[0].seq, reason_of(error))
        else:
            return state, frames[-1].seq + 1, None
        state = Staging(snapshot)
        for frame in frames:
            poison = None if frame.lost else self._applier.apply_one(frame, state)
            stopped = None if poison is None else self._bury(poison, state)
            if stopped is not None:
                return state, frame.seq, stopped
        return state, frames[-1].seq + 1, None

    def _bury(self, poison: Poison, state: Staging) -> FoldStopped | None:
        """Stage a dead letter for an event, or say why it stops the runner."""
        letters, (frame, fold, error) = DeadLetterWriter(state), poison
        if self._options.on_error == "halt":
            note = ""
        elif letters.count() < self._options.dead_letters_max:
            letters.put(DeadLetter(frame.seq, frame.time, fold, reason_of(error), attempts=1))
            if letters.count() <= _LETTERS_SAID:  # they are listed; a log of ten thousand lines helps nobody
                _LOGGER.warning("seq %s is a dead letter of %s: %s", frame.seq, fold, reason_of(error))
            return None
        else:
            note = f"; there are {letters.count()} dead letters already, which is dead_letters_max"
        stopped = FoldStopped(
            f"the fold stopped at seq {frame.seq}: {reason_of(error)} (in {fold}){note}", seq=frame.seq, fold=fold
        )
        stopped.__cause__ = error
        return stopped

    def _commit(self, batch: Batch, cursor: int) -> None:
        self._store.commit(batch)
        self._committed(batch, cursor)

    def _committed(self, batch: Batch, cursor: int) -> None:
        self.watermark.advance(cursor)
        if self._on_commit is not None:
            try:
                self._on_commit(Commit(cursor, batch.rows.keys(), batch.postings.keys()))
            except Exception:
                _LOGGER.exception("a callback after a commit failed; the fold goes on")

    def _adapt(self, was_full: bool) -> None:
        """Larger batches while they leave a backlog, small ones again when it is gone."""
        lag = self.lag
        if not lag:
            self._count = self._count_min
        elif was_full:
            self._count = min(2 * self._count, self._options.batch_count_max)

    # Dead letters

    def _retry_some(self, request: Retry) -> None:
        """Try the next letters of a request, in one commit; an error of the log or the store ends the request.

        Raises: what is no event's fault, but for LogError.
        """
        try:
            applied, failing = list[int](), list[DeadLetter]()
            with self._store.snapshot() as snapshot:
                state, taken = Staging(snapshot), request.take(snapshot)
                for letter in taken:
                    again = self._try_again(letter, state)
                    if again is None:
                        DeadLetterWriter(state).remove(letter.seq)
                        applied.append(letter.seq)
                    else:
                        DeadLetterWriter(state).put(again)
                        failing.append(again)
            if taken:
                self._commit(state.batch, self.watermark.seq)
                request.applied += applied
                request.failing += failing
            else:
                request.finish()
        except LogError as error:  # the fold itself need not stop for it
            request.finish(error)
        except BaseException as error:
            request.finish(error)
            raise

    def _try_again(self, letter: DeadLetter, state: Staging) -> DeadLetter | None:
        """Stage a letter's event; the letter as it is then if that fails once more."""
        fold, reason = letter.fold, "its frame was lost in a repair"
        try:
            frame = self._log.get(letter.seq)
        except (Truncated, Corrupt) as error:
            reason = reason_of(error)
        else:
            poison = None if frame.lost else self._applier.apply_one(frame, state)
            if poison is None and not frame.lost:
                return None
            if poison is not None:
                fold, reason = poison.fold, reason_of(poison.error)
        return DeadLetter(letter.seq, letter.time, fold, reason, letter.attempts + 1)

    # The thread

    def _run(self) -> None:
        stop_watching = self._log.watch(self._log_grew)
        self.watermark.when_awaited(self._wake.set)
        error: CortexError = FoldClosed("the fold was closed")
        try:
            self._follow()
        except BaseException as cause:  # whatever it is, it must show: waits, health and reads say so
            error = stopped_by(cause, self.watermark.seq)
            _LOGGER.error("%s", error, exc_info=cause)
            self.watermark.end(error)
        finally:
            stop_watching()
            self._retries.close(error)

    def _follow(self) -> None:
        next_commit_s = self._clock_s()
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                next_commit_s = self._step(next_commit_s)
            except StoreFull as error:
                self._await_room(error)

    def _step(self, next_commit_s: float) -> float:
        """Do what there is to do, or wait for it; when the next commit may come."""
        request = self._retries.first()
        if request is not None:
            with self._turn:
                self._retry_some(request)
        self._pace(next_commit_s)
        if self._stopping.is_set():
            return next_commit_s
        if self.lag:
            self.run_once()
            return self._clock_s() + self._options.commit_interval_s
        if request is None:
            self._wake.wait(self._options.poll_s)
        return next_commit_s

    def _await_room(self, error: StoreFull) -> None:
        """Stand still until the store has finished the commit that found no room; reads go on meanwhile."""
        _LOGGER.error("the fold waits at seq %s for room on the disk: %s", self.watermark.seq, error)
        self.pause = error
        while self.pause is not None and not self._stopping.wait(self._options.poll_s):
            with self._turn:
                try:
                    batch = self._store.resume()
                except StoreFull as still:
                    self.pause = still
                    continue
                if batch is not None:
                    self._note_resumed(batch)
            self.pause = None
            _LOGGER.warning("there is room on the disk again: the fold goes on at seq %s", self.watermark.seq)

    def _note_resumed(self, batch: Batch) -> None:
        with self._store.snapshot() as snapshot:
            cursor = snapshot.position
        self._meter.add(cursor - self.watermark.seq)
        self._committed(batch, cursor)

    def _pace(self, until_s: float) -> None:
        """Let events gather, unless a full batch of them waits already or somebody waits for one."""
        self._pause_until_s = until_s
        while (left_s := until_s - self._clock_s()) > 0 and not self._is_urgent():
            self._wake.wait(left_s)
            self._wake.clear()
        self._pause_until_s = _NO_PAUSE_S

    def _is_urgent(self) -> bool:
        return (
            self._stopping.is_set()
            or self.lag >= self._count
            or self.watermark.is_awaited(self._log.durable_end)
            or self._retries.first() is not None
        )

    def _log_grew(self) -> None:
        """In the log's thread: during a pause only what could end it is worth a wake-up."""
        is_over = self._clock_s() >= self._pause_until_s  # or there is none
        if is_over or self.watermark.waiting_count or self.lag >= self._count:
            self._wake.set()
