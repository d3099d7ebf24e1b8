"""Events that cannot be applied: what becomes of them and of those around them."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortex import FoldStopped
from stores import Batch, DeadLetter, DeadLetterWriter, MemoryEngine, Staging, StoreFailed, reason_of
from stores.deadletter import REASON_BYTES_MAX
from tests.support.choking import (
    LETTERS,
    QUICK,
    UNDECODABLE,
    WORDS,
    Choked,
    ChokingFold,
    Word,
    choking_runner,
    cursor_of,
    letters_in,
    letters_of,
    memory_log,
    run_to_end,
    say,
)
from tests.support.faulty_engines import Killed
from tests.support.faulty_files import WAIT_S
from tests.support.logs import LOG_ID, TIME_MS
from wal import Frame, MemoryLog
from wal.format import FLAG_LOST
from wal.protocol import Position

# One is set aside, all others are folded


def test_poison_event_becomes_a_dead_letter_and_the_rest_is_folded() -> None:
    log, store, fold = memory_log(["a", "bad", "a", "b"]), MemoryEngine(), ChokingFold(in_apply=["bad"])
    runner = choking_runner(log, store, fold)
    assert run_to_end(runner) == [4]
    assert runner.failure is None
    time = log.get(1).time
    assert letters_of(store) == [DeadLetter(1, time, "choking", "Choked: on bad", attempts=1)]
    assert fold.counted(store, WORDS) == {"a": 2, "b": 1}
    assert cursor_of(store) == runner.watermark.seq == 4


def test_event_that_cannot_be_decoded_is_a_dead_letter_of_decode() -> None:
    log, store, fold = memory_log(["a", UNDECODABLE, "b"]), MemoryEngine(), ChokingFold()
    run_to_end(choking_runner(log, store, fold))
    [letter] = letters_of(store)
    assert (letter.seq, letter.fold) == (1, "decode")
    assert letter.reason.startswith("UnicodeDecodeError: ")
    assert fold.counted(store, WORDS) == {"a": 1, "b": 1}


@pytest.mark.parametrize("choking", [{"in_apply": ["bad"]}, {"in_finish": ["bad"]}])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_event_is_applied_by_all_folds_or_by_none(position: int, choking: dict[str, list[str]]) -> None:
    folds = [ChokingFold(f"fold {number}", **(choking if number == position else {})) for number in range(3)]
    log, store = memory_log(["a", "bad", "b", "bad", "a"]), MemoryEngine()
    run_to_end(choking_runner(log, store, *folds))
    assert [(letter.seq, letter.fold) for letter in letters_of(store)] == [
        (1, f"fold {position}"),
        (3, f"fold {position}"),
    ]
    for fold in folds:
        assert fold.counted(store, WORDS) == {"a": 2, "b": 1}


class StagesFold:
    """Stages something that no engine can keep."""

    name, version = "stages", 1

    def apply(self, event: Word, state: Staging) -> None:
        seq, word = event
        state.put(b"good %d" % seq, b"")
        if word == "long":
            state.put(b"k" * 512, b"")
        if word == "empty":
            state.delete(b"")
        if word == "text":
            state.put(b"key", "text")  # type: ignore[arg-type]
        if word == "long list":
            state.add_posting(b"k" * 512, bytes(40))
        if word == "short entry":
            state.add_posting(b"list", b"")

    def finish(self, events: Sequence[Word], state: Staging) -> None:
        if any(word == "long at the end" for _, word in events):
            state.put(b"k" * 512, b"")


@pytest.mark.parametrize("word", ["long", "empty", "text", "long list", "short entry", "long at the end"])
def test_event_for_which_a_fold_stages_what_no_engine_can_keep_is_a_dead_letter(word: str) -> None:
    log, store = memory_log(["a", word, "b"]), MemoryEngine()
    run_to_end(choking_runner(log, store, StagesFold()))
    assert [(letter.seq, letter.fold) for letter in letters_of(store)] == [(1, "stages")]
    with store.snapshot() as reader:
        assert [key for key, _ in reader.scan(b"good", count_max=9)] == [b"good 0", b"good 2"]


words_said = st.lists(st.sampled_from(["a", "b", "bad", "worse", UNDECODABLE]), max_size=12)


@given(words_said, st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_letters_and_state_are_the_same_however_batches_fall(
    words: list[str | bytes], count_min: int, count_max: int
) -> None:
    folds = (ChokingFold("one", in_apply=["bad"]), ChokingFold("two", in_finish=["worse"]))
    log, store = memory_log(words), MemoryEngine()
    options = LETTERS._replace(batch_count_min=count_min, batch_count_max=count_max)
    run_to_end(choking_runner(log, store, *folds, options=options))
    at_fault = {"bad": "one", "worse": "two", UNDECODABLE: "decode"}
    expected = [(seq, at_fault[word]) for seq, word in enumerate(words) if word in at_fault]
    assert [(letter.seq, letter.fold) for letter in letters_of(store)] == expected
    for fold in folds:
        assert fold.counted(store, WORDS) == Counter(word for word in words if word not in at_fault)


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=12))
@settings(max_examples=30, deadline=None)
def test_events_that_are_folded_singly_leave_what_they_leave_as_a_batch(words: list[str]) -> None:
    by_batch, singly, fold = MemoryEngine(), MemoryEngine(), ChokingFold()
    run_to_end(choking_runner(memory_log([*words, "b", "b"]), by_batch, fold))
    run_to_end(choking_runner(memory_log([*words, "b", UNDECODABLE, "b"]), singly, fold))
    assert len(letters_of(singly)) == 1
    assert fold.counted(singly, "abc") == fold.counted(by_batch, "abc") == Counter([*words, "b", "b"])


def _lost(frame: Frame) -> Frame:
    return Frame(frame.seq, frame.time, frame.kind, FLAG_LOST, UNDECODABLE, frame.chain)


class LossyLog(MemoryLog):
    """A log whose frame at seq 1 was lost in a repair."""

    def read_from(self, position: Position, *, count_max: int, bytes_max: int) -> list[Frame]:
        frames = super().read_from(position, count_max=count_max, bytes_max=bytes_max)
        return [_lost(frame) if frame.seq == 1 else frame for frame in frames]


def test_lost_frame_is_passed_over_beside_a_poison_event_and_is_no_letter_itself() -> None:
    log, store, fold = LossyLog(clock_ms=lambda: TIME_MS, log_id=LOG_ID), MemoryEngine(), ChokingFold(in_apply=["bad"])
    say(log, "a", "lost", "bad", "b")
    run_to_end(choking_runner(log, store, fold))
    assert [letter.seq for letter in letters_of(store)] == [2]
    assert fold.counted(store, WORDS) == {"a": 1, "b": 1}


def test_letter_whose_frame_was_lost_since_stays_one() -> None:
    store, fold = MemoryEngine(), ChokingFold(in_apply=["bad"])
    run_to_end(choking_runner(memory_log(["a", "bad", "b"]), store, fold))
    log = LossyLog(clock_ms=lambda: TIME_MS, log_id=LOG_ID)
    say(log, "a", "bad", "b")
    fold.in_apply.clear()
    [letter] = choking_runner(log, store, fold).retry().failing
    assert (letter.seq, letter.reason, letter.attempts) == (1, "its frame was lost in a repair", 2)
    assert fold.counted(store, WORDS) == {"a": 1, "b": 1}


def test_engine_that_fails_is_no_events_fault() -> None:
    class FailingStore(MemoryEngine):
        failing = False

        def commit(self, batch: Batch) -> None:
            if self.failing:
                raise StoreFailed("no disk")
            super().commit(batch)

    log, store = memory_log(["a", "b"]), FailingStore()
    runner = choking_runner(log, store, ChokingFold())
    store.failing = True
    runner.start()
    with pytest.raises(FoldStopped, match="seq 0: StoreFailed: no disk"):
        runner.watermark.wait(1, WAIT_S)
    runner.close()
    assert letters_of(store) == []
    assert cursor_of(store) == 0


@pytest.mark.parametrize("error", [StoreFailed, MemoryError, Killed])
def test_fault_of_the_machine_that_comes_up_within_a_fold_is_no_events_fault(error: type[BaseException]) -> None:
    class BrokenFold(ChokingFold):
        def apply(self, event: Word, state: Staging) -> None:
            raise error("broken")

    log, store = memory_log(["a", "b"]), MemoryEngine()
    runner = choking_runner(log, store, BrokenFold())
    runner.start()
    with pytest.raises(FoldStopped, match=f"seq 0: {error.__name__}: broken"):
        runner.watermark.wait(0, WAIT_S)
    assert isinstance(runner.failure, FoldStopped)
    assert (runner.failure.seq, runner.failure.fold) == (0, None)
    runner.close()
    assert letters_of(store) == []


# Halting


def test_halting_runner_commits_all_before_the_event_and_names_it() -> None:
    log, store, fold = memory_log(["a", "b", "bad", "a"]), MemoryEngine(), ChokingFold(in_apply=["bad"])
    runner = choking_runner(log, store, fold, options=QUICK)
    with pytest.raises(FoldStopped, match=r"seq 2: Choked: on bad \(in choking\)") as caught:
        runner.run_once()
    assert (caught.value.seq, caught.value.fold) == (2, "choking")
    assert isinstance(caught.value.__cause__, Choked)
    assert fold.counted(store, WORDS) == {"a": 1, "b": 1}
    assert cursor_of(store) == runner.watermark.seq == 2
    assert letters_of(store) == []


def test_halted_state_tries_the_same_event_again_when_it_is_reopened() -> None:
    log, store, fold = memory_log(["a", "bad", "b"]), MemoryEngine(), ChokingFold(in_apply=["bad"])
    for _ in range(2):
        runner = choking_runner(log, store, fold, options=QUICK)
        runner.start()
        with pytest.raises(FoldStopped, match="seq 1"):
            runner.watermark.wait(2, WAIT_S)
        assert runner.watermark.wait(0, 0.0)
        runner.close()
    fold.in_apply.clear()
    run_to_end(choking_runner(log, store, fold, options=QUICK))
    assert fold.counted(store, WORDS) == {"a": 1, "bad": 1, "b": 1}


def test_state_that_halted_goes_on_with_dead_letters() -> None:
    log, store, fold = memory_log(["bad", "b"]), MemoryEngine(), ChokingFold(in_apply=["bad"])
    with pytest.raises(FoldStopped):
        choking_runner(log, store, fold, options=QUICK).run_once()
    run_to_end(choking_runner(log, store, fold))
    assert [letter.seq for letter in letters_of(store)] == [0]
    assert fold.counted(store, WORDS) == {"b": 1}


# Bounds


def test_one_letter_more_than_dead_letters_max_stops_the_runner() -> None:
    log, store = memory_log(["bad", "a", "bad", "b", "bad", "a"]), MemoryEngine()
    fold, options = ChokingFold(in_apply=["bad"]), LETTERS._replace(dead_letters_max=2)
    for _ in range(2):  # a reopening stops at the same event
        with pytest.raises(FoldStopped, match=r"seq 4: Choked: on bad.*2 dead letters already.*dead_letters_max"):
            run_to_end(choking_runner(log, store, fold, options=options))
        assert [letter.seq for letter in letters_of(store)] == [0, 2]
        assert fold.counted(store, WORDS) == {"a": 1, "b": 1}
    run_to_end(choking_runner(log, store, fold, options=options._replace(dead_letters_max=3)))
    assert [letter.seq for letter in letters_of(store)] == [0, 2, 4]


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@given(st.text(max_size=3000) | st.text("\n\r\t\0\x1b\u202e\ud800é ", max_size=3000))
@settings(max_examples=50, deadline=None)
def test_reason_is_one_short_printable_line(text: str) -> None:
    reason = reason_of(ValueError(text))
    assert reason.startswith("ValueError:")
    assert reason.isprintable()
    assert len(reason.encode()) <= REASON_BYTES_MAX


def test_reason_of_an_error_that_has_none_to_give_is_its_name() -> None:
    assert reason_of(BrokenError()).startswith("BrokenError: ")
    assert len(reason_of(ValueError("x" * 10_000_000))) == REASON_BYTES_MAX


def test_reason_with_line_breaks_reaches_the_letter_on_one_line() -> None:
    fold = ChokingFold(in_apply=["bad\nline\x1b[2J"])
    log, store = memory_log(["bad\nline\x1b[2J"]), MemoryEngine()
    run_to_end(choking_runner(log, store, fold))
    assert letters_of(store)[0].reason == "Choked: on bad line [2J"


def test_letters_are_read_in_pages_by_seq() -> None:
    store, state = MemoryEngine(), Staging(MemoryEngine().snapshot())
    writer = DeadLetterWriter(state)
    for seq in (300, 2, 1, 17, 2):  # one of them twice
        writer.put(DeadLetter(seq, 0, "f", "r", 1))
    writer.remove(17)
    writer.remove(18)
    store.commit(state.batch)
    with store.snapshot() as reader:
        assert [letter.seq for letter in letters_in(reader)] == [1, 2, 300]
        store_ = DeadLetterWriter(Staging(reader))
        assert [letter.seq for letter in store_.letters(count_max=2)] == [1, 2]
        assert [letter.seq for letter in store_.letters(after=2, count_max=2)] == [300]
        assert store_.get(300) == DeadLetter(300, 0, "f", "r", 1)
        assert store_.get(17) is None
