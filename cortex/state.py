"""A state: a log's fold in a folder, with all that keeps it true, current and replaceable.

Puts together the live store and its runner, the watchers, the snapshots and
the past; owns the folder that they share.

Source: docs/state.md.
"""

import logging
import operator
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Final, Generic, Literal, NamedTuple, Self, TypeVar

from cortex.binding import is_of_log, open_kept
from cortex.errors import BadSnapshot, CortexError, FoldClosed, FoldStopped, Rebuilding, WrongLog
from cortex.fold import Fold
from cortex.folders import remove_tree
from cortex.generations import Generations
from cortex.live import Live, OnProgress, Rebuilt, Work
from cortex.options import RunnerOptions
from cortex.past import past_state
from cortex.progress import Progress
from cortex.retries import Retried
from cortex.runner import Commit
from cortex.snapshots import (
    OpenStore,
    SavedSnapshot,
    check_belongs,
    list_snapshots,
    prune_snapshots,
    restore_snapshot,
    save_snapshot,
)
from cortex.watch import Watch, Watchers
from cortex.watermark import Watermark
from stores import KV, DeadLetter, DeadLetterStore, Reader, Snapshot, state_digest
from wal import Cursor, Files, Frame, Log

Event = TypeVar("Event")
Result = TypeVar("Result")

_LOGGER = logging.getLogger(__name__)
_SNAPSHOTS: Final = "snapshots"


class StateOptions(NamedTuple):
    """How a state is folded and kept."""

    fold: RunnerOptions = RunnerOptions()
    start: Annotated[int, "where a new state begins; more than 0 for a log whose first events are gone"] = 0
    snapshot_every: Annotated[int, "events between automatic snapshots; 0: none but on demand"] = 0
    snapshots_kept: Annotated[int, "the newest ones; each holds the store's size at most once more"] = 2
    snapshot_digest: Annotated[bool, "whether an automatic snapshot reads the whole state for its digest"] = False
    watchers_max: Annotated[int, "who may wait for changes at a time: each holds a queue"] = 10_000
    # "remake" is for logs that may lose their last events in a power cut; a durable one loses none, and something
    # is wrong.
    on_loss: Annotated[
        Literal["refuse", "remake"], "what becomes of a state that has folded events which its log no longer has"
    ] = "refuse"


class State(Generic[Event]):
    """A fold's state.  Thread-safe."""

    def __init__(
        self, folder: Path, work: Work[Event], options: StateOptions, generations: Generations, files: Files
    ) -> None:
        """Use State.open."""
        self._work = work
        self._options = options
        self._generations = generations
        self._files = files
        self._folder = folder / _SNAPSHOTS
        self._helpers: list[threading.Thread] = []
        self._snapshot_due = threading.Event()
        self._snapshot_position = max((one.manifest.position for one in self.snapshots()), default=0)
        self._watchers = Watchers(self.snapshot, count_max=options.watchers_max)
        path, store = self._open_live()
        try:
            watchers = self._watchers
            self._live = Live(work, generations, path, store, self._committed, watchers.end, watchers.notify_all)
        except BaseException:
            store.close()
            raise
        self._snapshot_position = min(self._snapshot_position, self.watermark.seq)  # a log may have lost the rest

    @classmethod
    def open(
        cls,
        folder: Path,
        log: Log,
        folds: Sequence[Fold[Event]],
        decode: Callable[[Frame], Event],
        *,
        open_store: OpenStore,
        options: StateOptions = StateOptions(),  # noqa: B008  (immutable)
        files: Files | None = None,
    ) -> Self:
        """Open or create the state of a log in a folder; nothing is folded before start.

        A new state begins at its newest snapshot, if there is one of this log by these folds; so does one in the
        place of a store that a power cut has torn.  A state by other fold versions answers as it is, and start
        rebuilds it.  open_store opens a store in a folder, making both if needed.
        Raises: StateLocked; WrongLog; StoreError; OSError.
        """
        files = files or Files()
        work = Work(log, tuple(folds), decode, open_store, options.fold, options.start)
        generations = Generations.open(folder, files)
        try:
            return cls(folder, work, options, generations, files)
        except BaseException:
            generations.close()
            raise

    @classmethod
    def remake(
        cls,
        folder: Path,
        log: Log,
        folds: Sequence[Fold[Event]],
        decode: Callable[[Frame], Event],
        *,
        open_store: OpenStore,
        options: StateOptions = StateOptions(),  # noqa: B008  (immutable)
        on_progress: OnProgress | None = None,
        files: Files | None = None,
    ) -> int:
        """Fold the whole log into a new store that then is the live one, without a look at what is there.

        For a state that cannot be opened.  Gives how many events are folded; what was there goes at the next
        opening, and stays as it was if this fails.
        Raises: StateLocked; EventsGone; StoreError; FoldStopped; OSError.
        """
        generations = Generations.open(folder, files or Files())
        try:
            path = generations.begin()
            store = open_store(path)
            try:
                runner = Work(log, tuple(folds), decode, open_store, options.fold, options.start).runner(store)
                runner.run_to(log.durable_end, on_progress)
                generations.promote(path)
            finally:
                store.close()
            return runner.watermark.seq
        finally:
            generations.close()

    # Reading

    def snapshot(self) -> Snapshot:
        """The newest state.  Raises: StoreClosed; StoreFailed."""
        return self._live.snapshot()

    def watch(
        self,
        read: Callable[[Reader], Result],
        *,
        keys: Collection[bytes] = (),
        prefixes: Collection[bytes] = (),
        same: Callable[[Result, Result], bool] = operator.eq,
        timeout_s: float | None = None,
    ) -> Watch[Result]:
        """What read gives now, and then, whenever a row it depends on was touched, what it gives if that differs."""
        return self._watchers.watch(read, keys=keys, prefixes=prefixes, same=same, timeout_s=timeout_s)

    def digest(self) -> str:
        """Of the whole state: equal for equal events, whatever keeps them and wherever."""
        with self.snapshot() as reader:
            return state_digest(reader)

    def size_bytes(self) -> int:
        """Roughly what the live store takes on disk."""
        return self._live.size_bytes()

    # Folding

    def start(self) -> None:
        """Begin to follow the log, in a thread; a state by other fold versions is rebuilt first."""
        self._live.start()
        if self._live.outdated:
            self._help(self._rebuild_outdated, "cortex-rebuild")
        if self._options.snapshot_every:
            self._help(self._save_when_due, "cortex-snapshots")

    def observe(self, folded: Callable[[int], None] | None) -> None:
        """Have somebody told, in the committing thread, how many events each commit has folded."""
        self._live.observer = folded

    @property
    def watermark(self) -> Watermark:
        """How far the fold is, and who waits for it.  Ask for it anew after a failure: a rebuild replaces it."""
        return self._live.watermark

    def wait(self, cursor: Cursor, timeout_s: float) -> bool:
        """Wait until all events before a cursor of this log are applied; False if the time ran out.

        Raises: WrongLog for another log's cursor, whose progress says nothing of this one's; FoldStopped; FoldClosed.
        """
        if cursor.log_id != self._work.log.log_id:
            raise WrongLog(f"the cursor is of log {cursor.log_id.hex()}, this is {self._work.log.log_id.hex()}")
        return cursor.seq == 0 or self.watermark.wait(cursor.seq - 1, timeout_s)

    @property
    def outdated(self) -> bool:
        """Whether the live state was made by other versions of the folds; it stands still until it is rebuilt."""
        return self._live.outdated

    @property
    def rebuilt_seq(self) -> int:
        """How far a rebuild that is under way has come."""
        return self._live.rebuilt_seq

    @property
    def lag(self) -> int:
        """How many durable events are not applied yet."""
        return max(0, self._work.log.durable_end - self.watermark.seq)

    @property
    def failure(self) -> CortexError | None:
        """Why the fold applies nothing more, if it does not."""
        return self.watermark.error

    @property
    def progress(self) -> Progress | None:
        """How far the fold is and how fast; None while a state by other versions waits for its rebuild."""
        runner = self._live.runner
        return None if runner is None else runner.progress

    def dead_letters(self, *, after: int | None = None, count_max: int = 1000) -> list[DeadLetter]:
        """Events that a fold could not take, by position; after is an exclusive start."""
        with self.snapshot() as reader:
            return list(DeadLetterStore(reader).letters(after=after, count_max=count_max))

    def dead_letter_count(self) -> int:
        """How many there are."""
        with self.snapshot() as reader:
            return DeadLetterStore(reader).count()

    def retry_dead_letters(self, seqs: Collection[int] | None = None) -> Retried:
        """Apply dead letters again, all or those named, to the state as it is now.

        Raises: FoldStopped; FoldClosed; Rebuilding.
        """
        runner = self._live.runner
        if runner is None:
            raise Rebuilding("the state is being rebuilt, which tries every event again")
        try:
            return runner.retry(seqs)
        except FoldClosed as error:
            if self._live.closing.is_set():
                raise
            raise Rebuilding("another store takes the state's place now; ask again") from error

    # Replay

    def rebuild(self, on_progress: OnProgress | None = None, *, digest: bool = False) -> Rebuilt:
        """Fold the whole log into a new store beside the live one, then swap; reads and writes go on.

        digest: say what both states come to at the same position; folding waits for that, reads do not.
        Raises: Rebuilding; FoldClosed; FoldStopped; StoreError; OSError.  Then the live state is as it was.
        """
        return self._live.rebuild(on_progress, digest=digest)

    def as_of(self, position: int, *, into: Path | None = None, on_progress: OnProgress | None = None) -> KV:
        """The state of the first position events: the nearest snapshot, and what follows it folded anew.

        into: a folder that is not there yet; None keeps it in memory.  The caller closes it.
        A snapshot that cannot be used is passed over.
        Raises: BeyondState; EventsGone; FileExistsError; StoreError; FoldClosed; FoldStopped for an event that no
        fold takes.
        """
        if self._live.closing.is_set():
            raise FoldClosed("the fold was closed")
        return past_state(
            self._live.work,
            position,
            reached=self.watermark.seq,
            snapshots=[one for one in self.snapshots() if self._is_usable(one)],
            into=into,
            scratch=self._generations.scratch,
            files=self._files,
            on_progress=on_progress,
        )

    # Snapshots

    def save_snapshot(self, *, digest: bool = True) -> SavedSnapshot:
        """Copy the running state, durably, with a manifest; older ones beyond snapshots_kept go."""
        with self._live.structure:
            saved = save_snapshot(self._live.store, self._folder, self._work.open_store, self._files, digest=digest)
            self._snapshot_position = saved.manifest.position
            kept_count = max(1, self._options.snapshots_kept)
            prune_snapshots(self._folder, kept_count, self._snapshot_position, self._files)
            return saved

    def snapshots(self) -> list[SavedSnapshot]:
        """The snapshots there are, oldest position first."""
        return list_snapshots(self._folder)

    def close(self) -> None:
        """Finish the batch in hand and give everything back.  A second call does nothing."""
        if self._live.closing.is_set():
            return
        self._live.begin_close()
        self._snapshot_due.set()
        for helper in self._helpers:
            helper.join()
        try:
            self._live.close()
        finally:
            self._generations.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Inside

    def _open_live(self) -> tuple[Path, KV]:
        live = self._generations.live()
        if live is not None:
            remakes_lost = self._options.on_loss == "remake"
            kept = open_kept(live, self._work.log, self._work.open_store, remakes_lost=remakes_lost)
            if kept is not None:
                return live, kept
        live = self._generations.begin()
        store = self._begin(live)
        try:
            self._generations.promote(live)
        except BaseException:
            store.close()
            raise
        return live, store

    def _begin(self, folder: Path) -> KV:
        """A store that begins at the newest snapshot that fits, or is empty."""
        for snapshot in reversed(self.snapshots()):
            if self._is_usable(snapshot) and snapshot.manifest.position <= self._work.log.durable_end:
                try:
                    restore_snapshot(snapshot, folder, self._work.log.log_id, self._files)
                except BadSnapshot as error:
                    _LOGGER.warning("%s", error)
                    continue
                store = self._work.open_store(folder)
                if is_of_log(self._work.log, store):
                    return store
                store.close()
                remove_tree(folder)
        return self._work.open_store(folder)

    def _is_usable(self, snapshot: SavedSnapshot) -> bool:
        try:
            check_belongs(snapshot, self._work.log.log_id, self._work.versions)
        except (WrongLog, BadSnapshot):
            return False
        return True

    def _committed(self, commit: Commit) -> None:
        self._watchers.notify(commit)
        every = self._options.snapshot_every
        if every and commit.cursor - self._snapshot_position >= every:
            self._snapshot_due.set()

    def _rebuild_outdated(self) -> None:
        try:
            while self._live.outdated:
                try:
                    self.rebuild()
                except Rebuilding:  # somebody else's, which may fail
                    self._live.await_rebuild()
        except FoldClosed:
            return
        except Exception as error:  # whatever it is, it must show: waits, health and reads say so
            stopped = FoldStopped(f"the state could not be rebuilt: {type(error).__name__}: {error}")
            stopped.__cause__ = error
            _LOGGER.error("%s", stopped, exc_info=error)
            self.watermark.end(stopped)

    def _save_when_due(self) -> None:
        while True:
            self._snapshot_due.wait()
            self._snapshot_due.clear()
            if self._live.closing.is_set():
                return
            try:
                self.save_snapshot(digest=self._options.snapshot_digest)
            except Exception:
                self._snapshot_position = self.watermark.seq  # the next try is as far off as after a success
                _LOGGER.exception("a snapshot could not be saved; the state goes on without it")

    def _help(self, work: Callable[[], None], name: str) -> None:
        helper = threading.Thread(target=work, name=name, daemon=True)
        self._helpers.append(helper)
        helper.start()
