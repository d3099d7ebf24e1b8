"""A state when its disk, its log or its callers fail it at an unlucky moment."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copytree, rmtree

import pytest

import cortex.live
from cortex import BeyondState, FoldStopped, Runner, RunnerOptions, State, StateOptions, WrongLog
from stores import Batch, MemoryEngine
from tests.support.counting import FOLDS, Reference, decode_word, digest_of, folded_count, word_log, write_words
from tests.support.faulty_files import WAIT_S
from tests.support.logs import LOG_ID
from tests.support.states import QUICK, Word, caught_up, open_counting, open_small
from wal import Files, Frame, Log, LogError, MemoryLog
from wal.protocol import Position

WORDS = 60
REMAKE = StateOptions(fold=QUICK, on_loss="remake")


class SwapFails(Files):
    """A replacement of CURRENT fails at its last step, when the new name is in place already."""

    armed = False
    swapped = False

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self.swapped = target.name == "CURRENT"

    def sync_folder(self, path: Path) -> None:
        if self.armed and self.swapped:
            raise OSError(5, "Input/output error")
        super().sync_folder(path)


class RenameFails(Files):
    def rename(self, source: Path, target: Path) -> None:
        if target.name == "CURRENT":
            raise OSError(28, "No space left on device")
        super().rename(source, target)


class FailingLog(MemoryLog):
    """Refuses reads while it is told to."""

    armed = False

    def read_from(self, position: Position, *, count_max: int, bytes_max: int) -> list[Frame]:
        if self.armed:
            raise LogError("the disk is gone")
        return super().read_from(position, count_max=count_max, bytes_max=bytes_max)


class InterruptedEngine(MemoryEngine):
    """Ctrl-C comes when a commit of events has just been made."""

    armed = True

    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        if self.armed and batch.postings:
            self.armed = False
            raise KeyboardInterrupt


def failing_log(count: int, log_id: bytes = LOG_ID) -> FailingLog:
    log = FailingLog(clock_ms=lambda: 0, log_id=log_id)
    log.append_many([(1, b"Zug")] * count).wait(WAIT_S)
    return log


def open_with(folder: Path, log: Log, files: Files) -> State[Word]:
    options = StateOptions(fold=QUICK)
    return State.open(folder, log, FOLDS, decode_word, open_store=open_small, options=options, files=files)


def test_what_current_names_is_never_removed_even_if_the_swap_failed_after_that(tmp_path: Path) -> None:
    files = SwapFails()
    with word_log(tmp_path / "log", WORDS) as log:
        with open_with(tmp_path / "state", log, files) as state:
            caught_up(state, WORDS)
            files.armed, files.swapped = True, False
            with pytest.raises(OSError, match="Input/output"):
                state.rebuild()
            files.armed = False
            assert state.digest() == Reference(log)[WORDS]
        with open_counting(tmp_path / "state", log) as state:
            assert state.watermark.seq == WORDS
            assert state.digest() == Reference(log)[WORDS]


@pytest.mark.parametrize("saved", [False, True])
def test_store_that_a_power_cut_has_torn_is_made_anew_and_nobody_has_to_remove_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, saved: bool
) -> None:
    """LMDB is at an older commit than RocksDB, which has not the redos between the two."""
    folder = tmp_path / "state"
    with word_log(tmp_path / "log", WORDS) as log:
        with open_counting(folder, log) as state:
            assert state.watermark.seq == 0
        (live,) = folder.glob("gen-*")
        copytree(live / "read", tmp_path / "older")
        with open_counting(folder, log) as state:
            caught_up(state, WORDS)
            if saved:
                state.save_snapshot()
        rmtree(live / "read")
        (tmp_path / "older").rename(live / "read")
        with open_counting(folder, log) as state:
            assert "made anew" in caplog.text
            assert state.watermark.seq == (WORDS if saved else 0)
            assert caught_up(state, WORDS).digest() == Reference(log)[WORDS]
        caplog.clear()
        with open_counting(folder, log) as state:
            assert (state.watermark.seq, caplog.text) == (WORDS, "")
        assert [path.name for path in folder.glob("gen-*")] != [live.name]


def test_fold_that_cannot_go_on_after_a_failed_rebuild_says_so(tmp_path: Path) -> None:
    log = failing_log(4)
    with open_counting(tmp_path / "state", log) as state:
        caught_up(state, 4)
        log.armed = True
        with pytest.raises(LogError):
            state.rebuild()
        log.armed = False
        log.append(b"Zug", 1).wait(WAIT_S)
        with pytest.raises(FoldStopped, match="cannot go on"):
            state.watermark.wait(4, WAIT_S)
        state.rebuild()
        assert state.watermark.wait(4, WAIT_S)


def test_watch_is_told_of_what_a_swap_brought_while_a_reader_holds_the_old_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log) as state:
        caught_up(state, WORDS)
        stop = Runner.stop

        def stop_and_write(runner: Runner[Word]) -> None:
            stop(runner)
            monkeypatch.setattr(cortex.live.Runner, "stop", stop)
            write_words(log, 5, WORDS)  # nobody folds these but the rebuild

        with state.watch(folded_count) as watch, state.snapshot():
            assert watch.read(WAIT_S) is not None
            monkeypatch.setattr(cortex.live.Runner, "stop", stop_and_write)
            thread = threading.Thread(target=state.rebuild)
            thread.start()
            change = watch.read(WAIT_S)
            assert change is not None
            assert change.value == WORDS + 5
            assert thread.is_alive()  # it waits for the reader
        thread.join(WAIT_S)


def test_close_waits_for_no_reader_of_a_store_that_was_replaced(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log) as state:
        caught_up(state, WORDS)
        with state.snapshot(), state.watch(folded_count) as watch:
            assert watch.read(WAIT_S) is not None
            thread = threading.Thread(target=state.rebuild)
            thread.start()
            while (tmp_path / "state" / "CURRENT").read_text() != "gen-00000002\n":
                assert thread.is_alive()
            closing = threading.Thread(target=state.close)
            closing.start()
            closing.join(cortex.live.RETIRE_WAIT_S / 2)
            assert not closing.is_alive()
        thread.join(WAIT_S)


def test_close_returns_when_a_rebuild_in_another_thread_has_cleared_its_folder_away(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log:
        state = caught_up(open_counting(tmp_path / "state", log), WORDS)
        building, leave = threading.Event(), threading.Event()

        def told(done: int, target: int) -> None:
            building.set()
            assert leave.wait(WAIT_S)

        with ThreadPoolExecutor(2) as pool:
            rebuilding = pool.submit(state.rebuild, told)
            assert building.wait(WAIT_S)
            closing = pool.submit(state.close)
            assert not closing.done()
            leave.set()
            closing.result(WAIT_S)
            assert [path.name for path in (tmp_path / "state").iterdir() if path.name.startswith("gen-")] == [
                "gen-00000001"
            ]
            assert rebuilding.exception(WAIT_S) is not None


def test_states_of_the_past_may_be_made_by_many_at_once(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log) as state:
        caught_up(state, WORDS)
        state.save_snapshot()
        names = {state._generations.scratch() for _ in range(3)}
        assert len(names) == 3
        with ThreadPoolExecutor(4) as pool:
            digests = {digest_of(store) for store in pool.map(state.as_of, [WORDS] * 4)}
        assert digests == {state.digest()}


def test_state_of_the_past_passes_over_a_snapshot_that_is_damaged(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log) as state:
        caught_up(state, WORDS)
        (state.save_snapshot().path / "store" / "read" / "data.mdb").unlink()
        for into in (None, tmp_path / "past"):
            past = state.as_of(WORDS, into=into)
            assert digest_of(past) == state.digest()
            past.close()


def test_position_from_before_the_state_began_is_refused(tmp_path: Path) -> None:
    options = StateOptions(fold=QUICK, start=10)
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log, options=options) as state:
        caught_up(state, WORDS)
        with pytest.raises(BeyondState, match="none before 10"):
            state.as_of(5)


def test_state_of_another_log_is_refused_also_where_losses_are_expected(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log) as state:
        caught_up(state, WORDS)
    with pytest.raises(WrongLog):
        open_counting(tmp_path / "state", failing_log(WORDS, b"another log's id"), options=REMAKE)
    with word_log(tmp_path / "log", 0) as log, open_counting(tmp_path / "state", log) as state:
        assert state.watermark.seq == WORDS


def test_new_snapshot_is_kept_and_those_of_lost_events_go(tmp_path: Path) -> None:
    log = failing_log(8)
    with open_counting(tmp_path / "state", log) as state:
        caught_up(state, 8).save_snapshot()
        log.append(b"Zug", 1).wait(WAIT_S)
        assert state.watermark.wait(8, WAIT_S)
        state.save_snapshot()
    with open_counting(tmp_path / "state", failing_log(4), options=REMAKE) as state:
        saved = caught_up(state, 4).save_snapshot()
        assert state.snapshots() == [saved]


def test_snapshot_that_cannot_be_saved_is_not_tried_again_at_every_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []
    tried = threading.Event()

    def fail(*_: object, **__: object) -> None:
        tries.append(1)
        tried.set()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cortex.state.save_snapshot", fail)
    options = StateOptions(fold=QUICK, snapshot_every=WORDS)
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log, options=options) as state:
        caught_up(state, WORDS)
        assert tried.wait(WAIT_S)
        with state._live.structure:
            pass
        for seq in range(WORDS, WORDS + 10):
            write_words(log, 1, seq)
            assert state.watermark.wait(seq, WAIT_S)
    assert tries == [1]


def test_seq_that_is_none_is_refused_to_who_asks_and_stops_nothing(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log) as state:
        caught_up(state, WORDS)
        for seq in (-1, 2**64):
            with pytest.raises(ValueError, match="64 bits"):
                state.retry_dead_letters([seq])
        write_words(log, 1, WORDS)
        assert state.watermark.wait(WORDS, WAIT_S)


def test_opening_that_fails_gives_its_store_back(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log:
        with pytest.raises(OSError, match="No space left") as failed:
            open_with(tmp_path / "state", log, RenameFails())
        assert failed.tb is not None  # it holds what the opening held
        with open_counting(tmp_path / "state", log) as state:
            caught_up(state, WORDS)


def test_size_can_be_asked_while_stores_are_swapped(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", 8) as log, open_counting(tmp_path / "state", log) as state:
        caught_up(state, 8)
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                assert state.size_bytes() > 0

        with ThreadPoolExecutor(2) as pool:
            asking = [pool.submit(ask) for _ in range(2)]
            for _ in range(5):
                state.rebuild()
            done.set()
            for one in asking:
                one.result(WAIT_S)


def test_interrupt_between_a_commit_and_its_cursor_folds_nothing_twice() -> None:
    store, log = InterruptedEngine(), failing_log(9)
    runner = Runner(log, store, FOLDS, decode_word, RunnerOptions(batch_count_max=4, batch_count_min=4))
    with pytest.raises(KeyboardInterrupt):
        runner.run_to(9)
    runner.run_to(9)
    with store.snapshot() as reader:
        assert folded_count(reader) == 9
