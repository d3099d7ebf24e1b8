"""Runs folds over one log: a batch after the cursor, rows and cursor in one commit.

Owns: the cursor.  Invariant: the state is the fold of exactly the events
before the cursor, after any crash, because both are in the same commit.  The
runner pulls: a burst of events makes larger batches and nothing else.  A fold
that fails stops the runner, and everybody who waits or asks is told.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from cortex.errors import CortexError, FoldClosed, FoldStopped, FoldVersionChanged, WrongLog
from cortex.fold import Fold
from cortex.watermark import Watermark
from stores import KV, MetaStore, MetaWriter, Staging
from wal import Frame, Log

Event = TypeVar("Event")

_LOGGER = logging.getLogger(__name__)


class RunnerOptions(NamedTuple):
    """Bounds of a batch."""

    batch_count_max: int = 1024  # what one commit may hold up: a few tens of milliseconds
    batch_bytes_max: int = 4 * 1024 * 1024
    poll_s: float = 0.5  # how soon a stopped log is noticed; new events wake the runner at once
    # Under load the least time from one commit to the next: more events share a commit's fsyncs.  After
    # a pause of that length an event is applied at once.
    commit_interval_s: float = 0.01


class Runner(Generic[Event]):
    """A fixed list of folds over one log into one store, in a thread of its own."""

    def __init__(
        self,
        log: Log,
        store: KV,
        folds: Sequence[Fold[Event]],
        decode: Callable[[Frame], Event],
        options: RunnerOptions = RunnerOptions(),  # noqa: B008  (immutable)
    ) -> None:
        """Bind the store to the log, or check that it is bound to it.

        Raises: WrongLog; FoldVersionChanged; StoreError.
        """
        self._log = log
        self._store = store
        self._folds = tuple(folds)
        self._decode = decode
        self._options = options
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        cursor = bind(store, log.log_id, {fold.name: fold.version for fold in folds})
        if cursor > log.durable_end:
            raise WrongLog(
                f"the state has folded {cursor} events, the log holds {log.durable_end}: the log has lost what was "
                "acknowledged, or one of the two is from elsewhere. Look at the log with `episteme log verify`; "
                "the state can be removed, it is made anew from the log"
            )
        self.watermark = Watermark(cursor)

    @property
    def lag(self) -> int:
        """How many durable events are not applied yet."""
        return max(0, self._log.durable_end - self.watermark.seq)

    @property
    def failure(self) -> CortexError | None:
        """Why the runner stopped, if it did."""
        return self.watermark.error

    def start(self) -> None:
        """Begin to follow the log."""
        self._thread = threading.Thread(target=self._run, name="cortex-runner", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish the batch in hand and stop; its cursor is in the store."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        if self.watermark.error is None:
            self.watermark.end(FoldClosed("the fold was closed"))

    def run_once(self) -> int:
        """Apply one batch in this thread; give the number of events, 0 if there is none.

        Raises: whatever the log, a fold or the store raised; nothing of the batch is applied then.
        """
        seq = self.watermark.seq
        frames = self._log.read_from(
            seq, count_max=self._options.batch_count_max, bytes_max=self._options.batch_bytes_max
        )
        if frames:
            events = [self._decode(frame) for frame in frames if not frame.lost]
            if len(events) < len(frames):
                _LOGGER.warning(
                    "%s events up to seq %s were lost in a repair", len(frames) - len(events), frames[-1].seq
                )
            apply_batch(self._store, self._folds, events, frames[-1].seq + 1)
            self.watermark.advance(frames[-1].seq + 1)
        return len(frames)

    def _pace(self, until_s: float) -> None:
        """Let more events gather, unless a full batch of them waits already."""
        if self.lag < self._options.batch_count_max:
            self._stopping.wait(max(0.0, until_s - time.monotonic()))

    def _run(self) -> None:
        next_commit_s = 0.0
        while not self._stopping.is_set():
            try:
                if self._log.wait_past(self.watermark.seq, self._options.poll_s):
                    self._pace(next_commit_s)
                    self.run_once()
                    next_commit_s = time.monotonic() + self._options.commit_interval_s
                elif self._log.ended:  # nothing will come any more: wait to be closed
                    self._stopping.wait()
            except Exception as error:  # whatever it is, it must show: waits, health and reads say so
                stopped = FoldStopped(f"the fold stopped at seq {self.watermark.seq}: {type(error).__name__}: {error}")
                stopped.__cause__ = error
                _LOGGER.error("%s", stopped, exc_info=error)
                self.watermark.end(stopped)
                return


def apply_batch(store: KV, folds: Sequence[Fold[Event]], events: Sequence[Event], cursor: int) -> None:
    """Fold events into the store and move its cursor, in one commit."""
    with store.snapshot() as snapshot:
        state = Staging(snapshot)
        for event in events:
            for fold in folds:
                fold.apply(event, state)
        for fold in folds:
            fold.finish(events, state)
        MetaWriter(state).put_cursor(cursor)
    store.commit(state.batch)


def bind(store: KV, log_id: bytes, versions: dict[str, int]) -> int:
    """Bind a new store to a log and its folds, or check an old one; give its cursor.

    Raises: WrongLog; FoldVersionChanged.
    """
    with store.snapshot() as snapshot:
        meta = MetaStore(snapshot)
        found_log, found_versions, cursor = meta.log_id(), meta.fold_versions(), meta.cursor()
        if found_log is None:
            state = Staging(snapshot)
            MetaWriter(state).put_origin(log_id, versions)
            MetaWriter(state).put_cursor(0)
    if found_log is None:
        store.commit(state.batch)
        return 0
    if found_log != log_id:
        raise WrongLog(f"the state is a fold of log {found_log.hex()}, this log is {log_id.hex()}")
    if found_versions != versions:
        raise FoldVersionChanged(f"the state was made by folds {found_versions}, this program has {versions}")
    return cursor
