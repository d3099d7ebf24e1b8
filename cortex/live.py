"""The live store of a state and the runner that keeps it current; and how another takes its place.

A rebuild folds the log into the next generation beside the live one.  When it
is as far, the runner stops, the new store catches up with what came meanwhile,
`CURRENT` is replaced, and a runner goes on with the new store.  Who waits on
the watermark goes on waiting; readers keep the snapshots that they hold.

Invariant: what is live is the fold, by the versions that its store names, of
exactly the events before its cursor; no reader's position ever goes back.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from cortex.errors import CortexError, FoldClosed, FoldStopped, Rebuilding, WrongLog
from cortex.fold import Fold
from cortex.folders import remove_tree
from cortex.generations import Generations
from cortex.holding import Holding
from cortex.options import RunnerOptions
from cortex.runner import Commit, Runner
from cortex.snapshots import OpenStore
from cortex.watermark import Watermark
from stores import KV, MetaStore, Snapshot, StoreClosed, state_digest
from wal import Frame, Log

Event = TypeVar("Event")
OnProgress = Callable[[int, int], None]  # events done, events in all

RETIRE_WAIT_S: Final = 30.0  # how long a store that was replaced waits for its last readers
_LOGGER = logging.getLogger(__name__)


class Rebuilt(NamedTuple):
    """What a rebuild did."""

    position: int  # events that the new store has folded
    digest_before: str | None  # of the old state at that position; None if it was not asked for or not there
    digest_after: str | None


class Work(NamedTuple, Generic[Event]):
    """What is folded, by what, into what."""

    log: Log
    folds: Sequence[Fold[Event]]
    decode: Callable[[Frame], Event]
    open_store: OpenStore
    options: RunnerOptions
    start: int

    @property
    def versions(self) -> dict[str, int]:
        """Of each fold."""
        return {fold.name: fold.version for fold in self.folds}

    def runner(
        self, store: KV, watermark: Watermark | None = None, on_commit: Callable[[Commit], None] | None = None
    ) -> Runner[Event]:
        """A runner into a store."""
        return Runner(
            *(self.log, store, self.folds, self.decode, self.options),
            watermark=watermark,
            start=self.start,
            on_commit=on_commit,
        )


class Live(Generic[Event]):
    """The live generation.  Thread-safe."""

    def __init__(
        self,
        work: Work[Event],
        generations: Generations,
        path: Path,
        store: KV,
        on_commit: Callable[[Commit], None],
        on_end: Callable[[CortexError | None], None],
        on_swap: Callable[[], None],
    ) -> None:
        """Of the store at path, which belongs to the caller until this returns.

        on_end: told when the fold ends, by a failure or a close, and with None when it goes on after a failure.
        on_swap: told when another store has taken the live one's place.
        Raises: WrongLog; FoldVersionChanged; EventsGone; StoreError.
        """
        self._generations = generations
        self._path = path
        self._holding = self._retiring = Holding(store)
        self._tell_commit = on_commit
        self.observer: Callable[[int], None] | None = None  # told how many events a commit has folded
        self._started = False
        self._rebuilding = threading.Lock()
        self.closing = threading.Event()
        self.structure = threading.RLock()  # who copies, swaps or closes the store
        self.rebuilt_seq = 0  # how far a rebuild is
        self._on_end = on_end
        self._on_swap = on_swap
        self.outdated = _is_outdated(store, work)  # made by other versions of the folds: read, but not folded on
        self.runner = None if self.outdated else work.runner(store, None, self._on_commit)
        self.watermark = self.runner.watermark if self.runner else Watermark(_cursor(store))
        self._observed_seq = self.watermark.seq
        self.watermark.on_end(on_end)
        self.work = work._replace(start=_start(store))  # what the store began with decides

    @property
    def store(self) -> KV:
        """The live store."""
        return self._holding.store

    def snapshot(self) -> Snapshot:
        """The newest state.  Raises: StoreClosed; StoreFailed."""
        while True:
            holding = self._holding
            try:
                return holding.snapshot()
            except StoreClosed:
                if self._holding is holding:
                    raise

    def size_bytes(self) -> int:
        """Roughly what the live store takes on disk.  Raises: StoreClosed."""
        while True:
            holding = self._holding
            try:
                return holding.size_bytes()
            except StoreClosed:
                if self._holding is holding:
                    raise

    def start(self) -> None:
        """Follow the log, if the store is of these folds."""
        with self.structure:
            self._started = True
            if self.runner is not None:
                self.runner.start()

    def rebuild(self, on_progress: OnProgress | None, *, digest: bool) -> Rebuilt:
        """As State.rebuild."""
        if not self._rebuilding.acquire(blocking=False):
            raise Rebuilding("a rebuild is under way; wait for it")
        try:
            self._check_going_on()
            path = self._generations.begin()
            try:
                old_path, old, rebuilt = self._replace(path, on_progress, digest=digest)
            except BaseException:
                if self._generations.live() != path:  # what CURRENT names stays, whatever failed after that
                    remove_tree(path)
                raise
            self._retire(old_path, old)
            return rebuilt
        finally:
            self._rebuilding.release()

    def await_rebuild(self) -> None:
        """Wait until the rebuild that is under way, if one is, has ended."""
        with self._rebuilding:
            pass

    def begin_close(self) -> None:
        """From now on no rebuild goes on, and a store that was replaced waits for no reader."""
        self.closing.set()
        self._retiring.hurry()

    def close(self) -> None:
        """Finish the batch in hand and close the store, after begin_close.

        Waits for a rebuild in another thread to clear its folder away: the next owner may use the same name.
        """
        is_ended = self._rebuilding.acquire(timeout=RETIRE_WAIT_S)
        try:
            with self.structure:
                if self.runner is not None:
                    self.runner.close()
                elif self.watermark.error is None:
                    self.watermark.end(FoldClosed("the fold was closed"))
                self._holding.close()
        finally:
            if is_ended:
                self._rebuilding.release()

    def _replace(self, path: Path, on_progress: OnProgress | None, *, digest: bool) -> tuple[Path, Holding, Rebuilt]:
        """Build the next store at path and swap; gives what was live, too."""
        store = self.work.open_store(path)
        try:
            builder = self._build(store, on_progress)
            with self.structure:
                old_path, old = self._path, self._holding
                return old_path, old, self._swap(path, store, builder, digest=digest)
        except BaseException:
            if self.store is not store:
                store.close()
            raise

    def _on_commit(self, commit: Commit) -> None:
        """In the committing thread."""
        self._tell_commit(commit)
        if self.observer is not None and commit.cursor > self._observed_seq:
            self.observer(commit.cursor - self._observed_seq)
        self._observed_seq = commit.cursor

    def _retire(self, path: Path, old: Holding) -> None:
        """Close and remove what was replaced; a folder that cannot go now goes at the next opening."""
        self._retiring = old
        if self.closing.is_set():
            old.hurry()
        try:
            old.close(RETIRE_WAIT_S)
            remove_tree(path)
        except Exception:
            _LOGGER.exception("%s was replaced and could not be removed", path)

    def _build(self, store: KV, on_progress: OnProgress | None) -> Runner[Event]:
        """Fold into a new store until it is at most a batch behind the log."""
        log, builder = self.work.log, self.work.runner(store)

        def told(done: int, target: int) -> None:
            self.rebuilt_seq = done
            if on_progress is not None:
                on_progress(done, target)

        while builder.lag > self.work.options.batch_count_max:
            self._check_going_on()
            builder.run_to(log.durable_end, told, self.closing)
        return builder

    def _swap(self, path: Path, store: KV, builder: Runner[Event], *, digest: bool) -> Rebuilt:
        """Bring the new store to where the live one is, and put it in its place."""
        self._check_going_on()
        if self.runner is not None:
            self.runner.stop()
        try:
            builder.run_to(max(self.watermark.seq, self.work.log.durable_end))
            rebuilt = Rebuilt(builder.watermark.seq, *(self._compare(store, builder) if digest else (None, None)))
            self._generations.promote(path)
        except BaseException:
            self._go_on()
            raise
        self._path, self._holding = path, Holding(store)
        self.outdated = False
        try:
            self._go_on()
        finally:
            self._on_swap()
        return rebuilt

    def _compare(self, store: KV, builder: Runner[Event]) -> tuple[str | None, str]:
        """The digests of the live store and the new one at the same position; None for one that cannot get there."""
        before = None
        if self.runner is not None and self.watermark.error is None:
            self.work.runner(self.store, self.watermark, self._on_commit).run_to(builder.watermark.seq)
            with self.store.snapshot() as reader:
                before = state_digest(reader)
        with store.snapshot() as reader:
            return before, state_digest(reader)

    def _go_on(self) -> None:
        """A new runner for the live store; who waits on a watermark that has not failed goes on waiting."""
        if self.outdated:
            return
        waiting = self.watermark if self.watermark.error is None else None
        try:
            self.runner = self.work.runner(self.store, waiting, self._on_commit)
        except Exception as error:  # nobody folds now, which must show
            stopped = FoldStopped(f"the fold cannot go on after a rebuild: {type(error).__name__}: {error}")
            stopped.__cause__ = error
            self.watermark.end(stopped)
            raise
        if waiting is None:
            self.watermark = self.runner.watermark
            self._on_end(None)
            self.watermark.on_end(self._on_end)
        if self._started:
            self.runner.start()

    def _check_going_on(self) -> None:
        if self.closing.is_set():
            raise FoldClosed("the fold was closed")


def _is_outdated(store: KV, work: Work[Event]) -> bool:
    """Raises: WrongLog for the state of another log, or of one that was longer."""
    with store.snapshot() as reader:
        meta = MetaStore(reader)
        found_log, found_versions, cursor = meta.log_id(), meta.fold_versions(), meta.cursor()
    if found_log is None or found_versions == work.versions:
        return False  # binding a runner checks the rest
    if found_log != work.log.log_id:
        raise WrongLog(f"the state is a fold of log {found_log.hex()}, this log is {work.log.log_id.hex()}")
    if cursor > work.log.durable_end:
        raise WrongLog(f"the state has folded {cursor} events, the log holds {work.log.durable_end}")
    _LOGGER.warning("the state was made by folds %s; it is made anew by %s", found_versions, work.versions)
    return True


def _cursor(store: KV) -> int:
    with store.snapshot() as reader:
        return reader.position


def _start(store: KV) -> int:
    with store.snapshot() as reader:
        return MetaStore(reader).start()
