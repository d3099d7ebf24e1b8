"""A state in a folder: reopening, rebuilding beside readers, what is refused."""

import threading
from pathlib import Path

import pytest

from cortex import FoldClosed, FoldStopped, Rebuilding, RunnerOptions, State, StateLocked, StateOptions, WrongLog
from stores import KV, HybridStore, MetaStore, Reader, StoreFailed
from tests.support.counting import POISON, CountingFold, Reference, folded_count, word_log, write_words
from tests.support.faulty_files import WAIT_S
from tests.support.states import QUICK, Word, caught_up, open_counting, open_small
from wal import MemoryLog

WORDS = 60


class HeldFold(CountingFold):
    """Counts as the other does, but stops at its first event until it is let go."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.arrived = threading.Event()
        self.leave = threading.Event()

    def apply(self, event: Word, state) -> None:  # type: ignore[no-untyped-def]
        self.arrived.set()
        assert self.leave.wait(WAIT_S)
        super().apply(event, state)


def generations(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("gen-"))


def versions(reader: Reader) -> dict[str, int]:
    return MetaStore(reader).fold_versions()


def test_reopened_state_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log:
        with open_counting(tmp_path / "state", log) as state:
            caught_up(state, WORDS)
            digest = state.digest()
        write_words(log, 5, WORDS)
        with open_counting(tmp_path / "state", log) as state:
            assert (state.watermark.seq, state.lag, state.outdated) == (WORDS, 5, False)
            assert state.digest() == digest
            caught_up(state, WORDS + 5)
            assert state.digest() == Reference(log)[WORDS + 5]


def test_nothing_is_folded_before_start(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log) as state:
        assert (state.watermark.seq, state.lag) == (0, WORDS)
        with state.snapshot() as reader:
            assert folded_count(reader) == 0


def test_one_folder_has_one_owner_and_the_second_harms_nothing(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log) as state:
        beside = tmp_path / "state" / "gen-00000009"  # as if the first were rebuilding
        beside.mkdir()
        with pytest.raises(StateLocked, match="open elsewhere"):
            open_counting(tmp_path / "state", log)
        assert beside.is_dir()
        caught_up(state, WORDS)


def test_state_of_another_log_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log) as state:
        caught_up(state, WORDS)
    with MemoryLog(clock_ms=lambda: 0, log_id=b"another log's id") as other:
        other.append_many([(1, b"word")] * WORDS).wait(WAIT_S)
        for version in (1, 2):
            with pytest.raises(WrongLog):
                open_counting(tmp_path / "state", other, version=version)
    with word_log(tmp_path / "log", 0) as log, open_counting(tmp_path / "state", log) as state:
        assert state.watermark.seq == WORDS


def test_rebuild_swaps_to_an_equal_state_and_removes_the_old_one(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log) as state:
        caught_up(state, WORDS)
        digest = state.digest()
        told: list[tuple[int, int]] = []
        rebuilt = state.rebuild(lambda done, target: told.append((done, target)), digest=True)
        assert (rebuilt.position, rebuilt.digest_before, rebuilt.digest_after) == (WORDS, digest, digest)
        assert generations(tmp_path / "state") == ["gen-00000002"]
        assert told == sorted(told)
        assert told[-1][1] == WORDS
        write_words(log, 5, WORDS)
        assert state.watermark.wait(WORDS + 4, WAIT_S)
        assert state.digest() == Reference(log)[WORDS + 5]
    with word_log(tmp_path / "log", 0) as log, open_counting(tmp_path / "state", log) as state:
        assert state.watermark.seq == WORDS + 5


def test_reads_and_folding_go_on_while_a_rebuild_is_under_way(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log) as state:
        caught_up(state, WORDS)
        building, leave = threading.Event(), threading.Event()

        def told(done: int, target: int) -> None:
            building.set()
            assert leave.wait(WAIT_S)

        thread = threading.Thread(target=state.rebuild, args=(told,))
        thread.start()
        assert building.wait(WAIT_S)
        write_words(log, 10, WORDS)
        assert state.watermark.wait(WORDS + 9, WAIT_S)  # the old state goes on
        with pytest.raises(Rebuilding):
            state.rebuild()
        with state.snapshot() as reader:
            assert folded_count(reader) == WORDS + 10
            leave.set()
            while generations(tmp_path / "state")[-1] not in (tmp_path / "state" / "CURRENT").read_text():
                assert thread.is_alive()
            assert folded_count(reader) == WORDS + 10  # of the store that was replaced
        thread.join(WAIT_S)
        assert not thread.is_alive()
        with state.snapshot() as reader:
            assert folded_count(reader) == WORDS + 10
        assert generations(tmp_path / "state") == ["gen-00000002"]


def test_who_waits_through_a_swap_is_told_when_the_new_store_has_it(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log) as state:
        caught_up(state, WORDS)
        reached = threading.Event()
        state.watermark.on_applied(WORDS + 3, lambda error: reached.set() if error is None else None)
        state.rebuild()
        assert not reached.is_set()
        write_words(log, 4, WORDS)
        assert reached.wait(WAIT_S)


def test_failed_rebuild_leaves_the_live_state_as_it_was(tmp_path: Path) -> None:
    opened: list[Path] = []

    def open_twice(folder: Path) -> KV:
        opened.append(folder)
        if len(opened) > 1:
            (folder.parent / "left").mkdir(exist_ok=True)
            raise StoreFailed("no room")
        return open_small(folder)

    with (
        word_log(tmp_path / "log", WORDS) as log,
        open_counting(tmp_path / "state", log, open_store=open_twice) as state,
    ):
        caught_up(state, WORDS)
        with pytest.raises(StoreFailed):
            state.rebuild()
        write_words(log, 1, WORDS)
        assert state.watermark.wait(WORDS, WAIT_S)
        assert generations(tmp_path / "state") == ["gen-00000001"]


def test_state_by_another_version_answers_as_it_is_until_it_is_made_anew(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log:
        with open_counting(tmp_path / "state", log) as state:
            caught_up(state, WORDS)
        write_words(log, 5, WORDS)
        held = HeldFold(version=2)
        with open_counting(tmp_path / "state", log, fold=held) as state:
            assert (state.outdated, state.watermark.seq) == (True, WORDS)
            state.start()
            assert held.arrived.wait(WAIT_S)
            with state.snapshot() as reader:
                assert (folded_count(reader), versions(reader)) == (WORDS, {"counting": 1})
            waiting = threading.Event()
            state.watermark.on_applied(WORDS + 4, lambda error: waiting.set() if error is None else None)
            held.leave.set()
            assert waiting.wait(WAIT_S)
            assert not state.outdated
            with state.snapshot() as reader:
                assert (folded_count(reader), versions(reader)) == (WORDS + 5, {"counting": 2})


def test_closing_in_the_middle_of_a_rebuild_keeps_the_old_state(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log:
        with open_counting(tmp_path / "state", log) as state:
            caught_up(state, WORDS)
        held = HeldFold(version=2)
        state = open_counting(tmp_path / "state", log, fold=held)
        state.start()
        assert held.arrived.wait(WAIT_S)
        closing = threading.Thread(target=state.close)
        closing.start()
        held.leave.set()
        closing.join(WAIT_S)
        assert not closing.is_alive()
        with pytest.raises(FoldClosed):
            state.watermark.wait(WORDS, WAIT_S)
        with open_counting(tmp_path / "state", log) as state:
            assert not state.outdated
            assert generations(tmp_path / "state") == ["gen-00000001"]


def test_rebuild_revives_a_fold_that_had_stopped(tmp_path: Path) -> None:
    class Strict(CountingFold):
        strict = True

        def apply(self, event: Word, state) -> None:  # type: ignore[no-untyped-def]
            if self.strict and event[0] == WORDS:
                raise RuntimeError("a fault that is mended later")
            super().apply(event, state)

    with word_log(tmp_path / "log", WORDS + 1) as log:
        fold = Strict()
        with open_counting(tmp_path / "state", log, fold=fold) as state:
            state.start()
            with pytest.raises(FoldStopped):
                state.watermark.wait(WORDS, WAIT_S)
            assert isinstance(state.failure, FoldStopped)
            fold.strict = False
            state.rebuild()
            assert state.failure is None
            assert state.watermark.wait(WORDS, WAIT_S)
            assert state.digest() == Reference(log)[WORDS + 1]


def test_a_version_whose_rebuild_fails_shows_it_to_all(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log:
        with open_counting(tmp_path / "state", log) as state:
            caught_up(state, WORDS)
        log.append(POISON, 1).wait(WAIT_S)
        with open_counting(tmp_path / "state", log, version=2) as state:
            with state.watch(folded_count) as watch:
                assert watch.read(WAIT_S) is not None
                state.start()
                with pytest.raises(FoldStopped, match="PoisonFound"):
                    state.watermark.wait(WORDS, WAIT_S)
                with pytest.raises(FoldStopped):
                    watch.read(WAIT_S)
            with state.snapshot() as reader:
                assert folded_count(reader) == WORDS


@pytest.mark.parametrize("left", ["gen-00000007", "scratch-0"])
def test_unfinished_generation_is_removed_at_the_next_opening(tmp_path: Path, left: str) -> None:
    with word_log(tmp_path / "log", WORDS) as log:
        with open_counting(tmp_path / "state", log) as state:
            caught_up(state, WORDS)
        HybridStore.open(tmp_path / "state" / left).close()
        with open_counting(tmp_path / "state", log) as state:
            assert state.watermark.seq == WORDS
            assert not (tmp_path / "state" / left).exists()


def test_store_of_before_there_were_generations_is_made_anew(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", WORDS) as log:
        for name, sign in (("write", "CURRENT"), ("read", "data.mdb")):
            (tmp_path / "state" / name).mkdir(parents=True)
            (tmp_path / "state" / name / sign).write_bytes(b"of an older layout")
        with open_counting(tmp_path / "state", log) as state:
            caught_up(state, WORDS)
            assert not (tmp_path / "state" / "write").exists()
            assert not (tmp_path / "state" / "read").exists()


def test_folder_of_somebody_else_that_has_the_same_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "state" / "write").mkdir(parents=True)
    (tmp_path / "state" / "write" / "novel.txt").write_text("chapter one")
    with word_log(tmp_path / "log", WORDS) as log, open_counting(tmp_path / "state", log) as state:
        caught_up(state, WORDS)
    assert (tmp_path / "state" / "write" / "novel.txt").exists()


@pytest.mark.parametrize("found", ["garbage", "", "gen-00000077"])
def test_current_that_leads_nowhere_is_said_and_the_state_is_made_anew(
    tmp_path: Path, found: str, caplog: pytest.LogCaptureFixture
) -> None:
    with word_log(tmp_path / "log", WORDS) as log:
        with open_counting(tmp_path / "state", log) as state:
            caught_up(state, WORDS)
            digest = state.digest()
        (tmp_path / "state" / "CURRENT").write_text(found)
        with open_counting(tmp_path / "state", log) as state:
            assert "no generation that is here" in caplog.text
            assert "gen-00000001" in generations(tmp_path / "state")  # kept until the next opening
            caught_up(state, WORDS)
            assert state.digest() == digest
        open_counting(tmp_path / "state", log).close()
        assert generations(tmp_path / "state") == ["gen-00000002"]


def test_dead_letters_are_listed_counted_and_retried_through_the_state(tmp_path: Path) -> None:
    options = StateOptions(fold=RunnerOptions(commit_interval_s=0.0, on_error="dead-letter"))
    with word_log(tmp_path / "log", 3) as log, open_counting(tmp_path / "state", log, options=options) as state:
        log.append(POISON, 1).wait(WAIT_S)
        write_words(log, 2, 4)
        caught_up(state, 6)
        assert [(letter.seq, letter.fold) for letter in state.dead_letters()] == [(3, "counting")]
        assert state.dead_letter_count() == 1
        retried = state.retry_dead_letters()
        assert (retried.applied, state.dead_letter_count()) == ((), 1)
        with state.snapshot() as reader:
            assert folded_count(reader) == 5


def test_a_closed_state_refuses_and_closes_twice(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", 3) as log:
        state: State[Word] = caught_up(open_counting(tmp_path / "state", log), 3)
        state.close()
        state.close()
        with pytest.raises(FoldClosed):
            state.watermark.wait(10, WAIT_S)


def test_progress_says_how_far_the_fold_is(tmp_path: Path) -> None:
    with (
        word_log(tmp_path / "log", WORDS) as log,
        open_counting(tmp_path / "state", log, options=StateOptions(fold=QUICK)) as state,
    ):
        assert state.progress is not None
        assert (state.progress.applied, state.progress.lag) == (0, WORDS)
        caught_up(state, WORDS)
        assert (state.progress.applied, state.progress.lag) == (WORDS, 0)


# A log that is not the one that was folded


def words_of(log: MemoryLog, *words: str) -> MemoryLog:
    log.append_many([(1, word.encode()) for word in words]).wait(WAIT_S)
    return log


def memory_log() -> MemoryLog:
    return MemoryLog(clock_ms=lambda: 0, log_id=bytes(16))


@pytest.mark.parametrize("after", [["Zug"], ["Zug", "other"], ["Zug", "other", "and", "more"]])
def test_state_that_has_folded_what_its_log_no_longer_has_is_refused_or_made_anew(
    tmp_path: Path, after: list[str]
) -> None:
    with open_counting(tmp_path / "state", words_of(memory_log(), "Zug", "Tesla")) as state:
        caught_up(state, 2)
    log = words_of(memory_log(), *after)
    with pytest.raises(WrongLog, match="is made anew"):
        open_counting(tmp_path / "state", log)
    with open_counting(tmp_path / "state", log, options=StateOptions(fold=QUICK, on_loss="remake")) as state:
        assert state.watermark.seq == 0
        caught_up(state, len(after))
        with state.snapshot() as reader:
            assert folded_count(reader) == len(after)


def test_snapshot_of_what_the_log_no_longer_has_is_passed_over(tmp_path: Path) -> None:
    options = StateOptions(fold=QUICK, on_loss="remake")
    log = words_of(memory_log(), "Zug")
    with open_counting(tmp_path / "state", log, options=options) as state:
        caught_up(state, 1)
        state.save_snapshot()
        words_of(log, "Tesla")
        assert state.watermark.wait(1, WAIT_S)
        state.save_snapshot()
    log = words_of(memory_log(), "Zug", "other", "more")
    with open_counting(tmp_path / "state", log, options=options) as state:
        assert state.watermark.seq == 1
        caught_up(state, 3)


def test_same_log_with_the_same_events_is_known_again(tmp_path: Path) -> None:
    for _ in range(2):
        with open_counting(tmp_path / "state", words_of(memory_log(), "Zug", "Tesla")) as state:
            caught_up(state, 2)


def test_watch_is_told_when_the_fold_stops_and_goes_on_after_a_rebuild(tmp_path: Path) -> None:
    class Mended(CountingFold):
        broken = True

        def apply(self, event: Word, state) -> None:  # type: ignore[no-untyped-def]
            if self.broken and event[0] == 2:
                raise RuntimeError("broken")
            super().apply(event, state)

    fold, log = Mended(), words_of(memory_log(), "Zug", "Tesla")
    with open_counting(tmp_path / "state", log, fold=fold) as state, state.watch(folded_count) as watch:
        caught_up(state, 2)
        change = watch.read(WAIT_S)
        assert change is not None
        words_of(log, "Zug")
        with pytest.raises(FoldStopped):
            watch.read(WAIT_S)
        fold.broken = False
        state.rebuild()
        change = watch.read(WAIT_S)
        assert change is not None
        assert (change.value, change.position) == (3, 3)


def test_rebuild_begins_where_the_state_began_whatever_the_options_say_now(tmp_path: Path) -> None:
    log = words_of(memory_log(), "Zug", "Tesla", "Zug", "Zug")
    with open_counting(tmp_path / "state", log, options=StateOptions(fold=QUICK, start=2)) as state:
        caught_up(state, 4)
        digest = state.digest()
    with open_counting(tmp_path / "state", log) as state:
        assert state.rebuild(digest=True).digest_after == digest
        past = state.as_of(3)
        with past.snapshot() as reader:
            assert folded_count(reader) == 1
        past.close()


def test_another_logs_cursor_is_no_reason_to_believe_that_an_event_is_applied(tmp_path: Path) -> None:
    log = words_of(memory_log(), "Zug", "Tesla")
    with open_counting(tmp_path / "state", log) as state:
        assert state.wait(log.cursor(0), 0.0)
        assert not state.wait(log.cursor(1), 0.0)
        caught_up(state, 2)
        assert state.wait(log.cursor(2), WAIT_S)
        with MemoryLog(clock_ms=lambda: 0, log_id=bytes(15) + b"2") as other, pytest.raises(WrongLog):
            state.wait(other.cursor(1), WAIT_S)
