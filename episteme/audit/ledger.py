"""The log of audits and its state: two folders beside those of the database.

Owns: both folders, and how much they may take.  Knows nothing of queues or of
questions; one thread appends, any thread reads.  Invariant: the state holds the
audits that the log holds; what the log lets go leaves the state by an event, so
that a state is the fold of its log here too.  A state that cannot be used is
made anew from the log, which is all that counts.

Source: docs/audit.md, "The log of audits".
"""

import logging
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Self

from cortex import EventsGone, RunnerOptions, State, StateOptions, WrongLog
from episteme.audit.event import (
    FRAME_KIND_ANSWERED,
    FRAME_KIND_DROPPED,
    AuditEvent,
    Dropped,
    decode_audit_frame,
    encode_dropped,
)
from episteme.audit.fold import AUDIT_FOLDS, DROP_COUNT_MAX
from episteme.audit.options import AuditOptions
from episteme.space import fitted
from stores import (
    AuditStore,
    HybridStore,
    Snapshot,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreOptions,
)
from wal import FileLog, Files, Interval, LogOptions, Retention

LOG_FOLDER: Final = "audit-log"
STATE_FOLDER: Final = "audit-state"

_SEGMENTS: Final = 8  # in log_bytes_max: a whole one goes at a time
_SEGMENT_BYTES_MAX: Final = 64 * 1024 * 1024
_RUNS: Final = 4  # commit groups in a segment, at least: a segment holds one group whatever its size
# A commit of the state is two fsyncs, and nobody waits for an audit but who lists them, who hurries the commit.
_COMMIT_INTERVAL_S: Final = 0.5

_LOGGER = logging.getLogger(__name__)


class Ledger:
    """An open log of audits with its state."""

    def __init__(self, log: FileLog, state: State[AuditEvent]) -> None:
        """Use Ledger.open."""
        self.log = log
        self.state = state
        self._dropped_to: str | None = None  # audits up to this id are out of the state, or on their way out
        self._looked_at_first_seq = 0  # of the log, when no audit before it was found any more

    @classmethod
    def open(
        cls,
        folder: Path,
        options: AuditOptions,
        *,
        clock_ms: Callable[[], int],
        new_log_id: Callable[[], bytes],
        files: Files | None = None,
    ) -> Self:
        """Open both parts in a data folder, or create them.

        Raises: LogError; StoreError; CortexError; OSError.
        """
        log = FileLog.open(
            folder / LOG_FOLDER,
            clock_ms=clock_ms,
            new_log_id=new_log_id,
            options=_log_options(options),
            files=files,
        )
        try:
            state = _open_state(folder / STATE_FOLDER, log, options)
        except BaseException:
            log.close()
            raise
        state.start()
        return cls(log, state)

    def append(self, payloads: Sequence[bytes]) -> None:
        """Write audits; the system has them on return, and the disk when the options say so.

        Raises: LogError.
        """
        bytes_max = self.log.options.segment_bytes // _RUNS
        run: list[tuple[int, bytes]] = []
        size = 0
        for payload in payloads:
            if run and size + len(payload) > bytes_max:
                self._write(run)
                run, size = [], 0
            run.append((FRAME_KIND_ANSWERED, payload))
            size += len(payload)
        if run:
            self._write(run)

    def sync(self) -> int:
        """Put all that was appended on the disk, where the fold sees it; how many frames that makes.

        Raises: LogError.
        """
        self.log.barrier(durability="durable").wait()
        return self.log.durable_end

    def snapshot(self) -> Snapshot:
        """The newest state.  Raises: StoreError."""
        return self.state.snapshot()

    def drop_expired(self) -> bool:
        """Say in the log, of some audits that it holds no more, that they are to leave the state.

        Whether there may be more; that there are none is known without a look at the disk.
        Raises: LogError; StoreError.
        """
        first_seq = self.log.first_seq
        if first_seq == self._looked_at_first_seq:
            return False
        if self.state.watermark.seq <= first_seq:  # the fold is not there yet
            return self.state.failure is None
        gone = self._oldest_before(first_seq)
        if not gone:
            self._looked_at_first_seq = first_seq
            return False
        dropped = Dropped(first_seq, self._dropped_to)
        self._write([(FRAME_KIND_DROPPED, encode_dropped(dropped))])
        self._dropped_to = gone[-1]
        return True

    def close(self) -> None:
        """Finish what is in hand and give both folders back; what is not folded yet is folded next time."""
        try:
            self.state.close()
        finally:
            self.log.close()

    def _oldest_before(self, seq: int) -> list[str]:
        """Of the next oldest audits in the state those that were before a position of the log."""
        with self.snapshot() as reader:
            audits = AuditStore(reader)
            oldest = audits.everybodys().oldest(after=self._dropped_to, count_max=DROP_COUNT_MAX)
            heads = audits.heads(oldest)
        return [query_id for query_id, found in zip(oldest, heads, strict=True) if found is not None and found[0] < seq]

    def _write(self, items: Sequence[tuple[int, bytes]]) -> None:
        self.log.append_many(items).wait()  # without a bound, so that this thread writes them itself


def _log_options(options: AuditOptions) -> LogOptions:
    segment_bytes = min(options.log_bytes_max // _SEGMENTS, _SEGMENT_BYTES_MAX)
    return LogOptions(
        segment_bytes=segment_bytes,
        durability="os" if options.sync_ms is None else Interval(options.sync_ms),
        when_full="block",
        # Looked at when a segment begins, and without that one: it and the oldest, of which too little is behind it.
        retention=Retention(bytes_min=options.log_bytes_max - 2 * segment_bytes),
    )


def _open_state(folder: Path, log: FileLog, options: AuditOptions) -> State[AuditEvent]:
    """The state; one that is of no use is removed, and begins anew where the log begins."""
    try:
        state = _state(folder, log, options)
    except (StoreLocked, StoreFull):
        raise
    except (StoreError, WrongLog, EventsGone) as error:  # also after a power cut that took audits which the state has
        _LOGGER.warning("the state of the audits is made anew from their log: %s", error)
    else:
        # By an older fold.  What the log has let go since the state began cannot be folded again, so no rebuild.
        if not state.outdated:
            return state
        state.close()
    shutil.rmtree(folder)
    return _state(folder, log, options)


def _state(folder: Path, log: FileLog, options: AuditOptions) -> State[AuditEvent]:
    store = fitted(StoreOptions(memory_bytes=options.memory_bytes, background_jobs=1), folder.parent)
    return State.open(
        folder,
        log,
        AUDIT_FOLDS,
        decode_audit_frame,
        open_store=partial(HybridStore.open, options=store),
        options=StateOptions(
            fold=RunnerOptions(commit_interval_s=_COMMIT_INTERVAL_S, on_error="dead-letter"),
            start=log.first_seq,
        ),
    )
