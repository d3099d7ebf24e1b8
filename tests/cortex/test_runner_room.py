"""A fold whose disk is full waits with its batch in hand, says so, and goes on by itself."""

import threading
from functools import partial
from pathlib import Path

import pytest

from cortex import Commit, FoldStopped, Rebuilding, Runner, State, StateOptions
from stores import Batch, MemoryEngine, StoreFailed, StoreFull
from tests.support.counting import FOLDS, Reference, decode_word, folded_count, word_log, write_words
from tests.support.faulty_engines import Crash, Faults, open_faulty
from tests.support.faulty_files import WAIT_S
from tests.support.states import QUICK, Word, caught_up, open_counting, open_small
from tests.support.stores import SMALL
from wal import FileLog

AT_ONCE = QUICK._replace(poll_s=0.01)
WORDS = 20


class FullEngine(MemoryEngine):
    """Has no room while it is told so; tells how often somebody tried."""

    def __init__(self) -> None:
        super().__init__()
        self.error: type[StoreFailed] | None = None
        self.tried = threading.Semaphore(0)
        self._unfinished: Batch | None = None

    def commit(self, batch: Batch) -> None:
        if self.error is not None:
            self._unfinished = batch
            self.tried.release()
            raise self.error("no room")
        super().commit(batch)

    def resume(self) -> Batch | None:  # type: ignore[override]  # memory itself has nothing to resume
        batch, self._unfinished = self._unfinished, None
        if batch is not None:
            self.commit(batch)
        return batch

    def wait_tried(self) -> None:
        assert self.tried.acquire(timeout=WAIT_S)


def started(log: FileLog, store: FullEngine, commits: list[Commit] | None = None) -> Runner[Word]:
    runner = Runner(log, store, FOLDS, decode_word, AT_ONCE, on_commit=None if commits is None else commits.append)
    runner.start()
    assert runner.watermark.wait(WORDS - 1, WAIT_S)
    return runner


def test_fold_without_room_waits_says_so_and_goes_on_by_itself_with_nothing_folded_twice(tmp_path: Path) -> None:
    store, commits = FullEngine(), list[Commit]()
    with word_log(tmp_path, WORDS) as log:
        runner = started(log, store, commits)
        store.error = StoreFull
        write_words(log, 5, WORDS)
        for _ in range(3):
            store.wait_tried()
        write_words(log, 7, WORDS + 5)
        assert (runner.failure, runner.watermark.seq) == (None, WORDS)
        assert runner.progress.pause
        assert runner.progress.lag == 12
        store.error = None
        assert runner.watermark.wait(WORDS + 11, WAIT_S)
        runner.close()
        assert not runner.progress.pause
        with store.snapshot() as reader:
            assert folded_count(reader) == WORDS + 12
        cursors = [commit.cursor for commit in commits]
        assert cursors.count(WORDS + QUICK.batch_count_min) == 1, "who watches is told of what was resumed"


def test_fold_without_room_can_be_closed_and_another_goes_on_from_its_store(tmp_path: Path) -> None:
    store = FullEngine()
    with word_log(tmp_path, WORDS) as log:
        runner = started(log, store)
        store.error = StoreFull
        write_words(log, 5, WORDS)
        store.wait_tried()
        runner.close()
        assert runner.watermark.seq == WORDS
        store.error = None
        assert store.resume() is not None
        again = Runner(log, store, FOLDS, decode_word, AT_ONCE)
        again.run_to(WORDS + 5)
        with store.snapshot() as reader:
            assert folded_count(reader) == WORDS + 5


def test_fold_whose_store_fails_otherwise_while_it_waits_stops(tmp_path: Path) -> None:
    store = FullEngine()
    with word_log(tmp_path, WORDS) as log:
        runner = started(log, store)
        store.error = StoreFull
        write_words(log, 5, WORDS)
        store.wait_tried()
        store.error = StoreFailed
        with pytest.raises(FoldStopped, match="no room"):
            runner.watermark.wait(WORDS, WAIT_S)
        runner.close()


def open_state(folder: Path, log: FileLog, faults: Faults) -> State[Word]:
    options = StateOptions(fold=AT_ONCE)
    return open_counting(folder, log, options=options, open_store=partial(open_faulty, faults=faults, options=SMALL))


@pytest.mark.parametrize("call", ["write.commit", "read.commit"])
def test_state_over_real_engines_reads_on_while_it_has_no_room_and_is_the_fold_of_all_afterwards(
    tmp_path: Path, call: str
) -> None:
    faults = Faults()
    with word_log(tmp_path / "log", WORDS) as log:
        with caught_up(open_state(tmp_path / "state", log, faults), WORDS) as state:
            for at in (1, 2, 3):
                faults.add(Crash(call, "before", at, StoreFull))  # type: ignore[arg-type]
            write_words(log, 5, WORDS)
            with state.snapshot() as reader:
                assert folded_count(reader) in (WORDS, WORDS + 5)
            assert state.watermark.wait(WORDS + 4, WAIT_S)
            assert state.digest() == Reference(log)[WORDS + 5]
        with open_counting(tmp_path / "state", log) as state:
            assert state.digest() == Reference(log)[WORDS + 5]


def test_rebuild_takes_the_place_of_a_state_that_waits_for_room(tmp_path: Path) -> None:
    faults, waiting = Faults(), threading.Event()
    made: list[str] = []

    def open_store(folder: Path) -> object:
        """The first is without room from some time on; the second has some."""
        made.append(folder.name)
        return open_faulty(folder, faults, SMALL) if len(made) == 1 else open_small(folder)

    options = StateOptions(fold=AT_ONCE)
    with (
        word_log(tmp_path / "log", WORDS) as log,
        caught_up(
            open_counting(tmp_path / "state", log, options=options, open_store=open_store),  # type: ignore[arg-type]
            WORDS,
        ) as state,
    ):
        faults.on_before = lambda call: waiting.set() if call == "write.commit" else None
        for at in range(1, 200):
            faults.add(Crash("write.commit", "before", at, StoreFull))
        write_words(log, 5, WORDS)
        assert waiting.wait(WAIT_S)
        state.rebuild()
        assert state.watermark.wait(WORDS + 4, WAIT_S)
        assert state.progress is not None
        assert state.progress.pause is None
        assert state.digest() == Reference(log)[WORDS + 5]


def test_rebuild_that_finds_no_room_leaves_the_state_as_it_was(tmp_path: Path) -> None:
    faults, made = Faults(), list[str]()

    def open_store(folder: Path) -> object:
        made.append(folder.name)
        return open_small(folder) if len(made) == 1 else open_faulty(folder, faults, SMALL)

    options = StateOptions(fold=AT_ONCE)
    with (
        word_log(tmp_path / "log", WORDS) as log,
        caught_up(
            open_counting(tmp_path / "state", log, options=options, open_store=open_store),  # type: ignore[arg-type]
            WORDS,
        ) as state,
    ):
        faults.add(Crash("write.commit", "before", 1, StoreFull))
        with pytest.raises((StoreFull, Rebuilding)):
            state.rebuild()
        write_words(log, 5, WORDS)
        assert state.watermark.wait(WORDS + 4, WAIT_S)
        assert state.digest() == Reference(log)[WORDS + 5]
        assert sorted(path.name for path in (tmp_path / "state").glob("gen-*")) == ["gen-00000001"]
