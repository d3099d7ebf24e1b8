"""Events that cannot be applied: what becomes of them, of those around them, and how they are tried again."""

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortex import Commit, FoldClosed, FoldStopped, Retried
from cortex.retries import RETRY_COUNT_MAX
from keycodec import dead_letter_prefix
from stores import (
    DEAD_LETTER_COUNT_KEY,
    Batch,
    DeadLetter,
    DeadLetterWriter,
    HybridStore,
    MemoryEngine,
    MetaStore,
    Staging,
    StoreFailed,
    reason_of,
)
from stores.deadletter import REASON_BYTES_MAX
from tests.support.choking import (
    LETTERS,
    QUICK,
    UNDECODABLE,
    Choked,
    ChokingFold,
    Word,
    choking_runner,
    letters_in,
    letters_of,
    memory_log,
    run_to_end,
    say,
)
from tests.support.counting import digest_of
from tests.support.faulty_engines import Call, Crash, Faults, Killed, When, open_faulty
from tests.support.faulty_files import WAIT_S
from tests.support.logs import LOG_ID, TIME_MS, open_log
from tests.support.stores import SMALL
from wal import Frame, LogOptions, MemoryLog, Retention
from wal.format import FLAG_LOST
from wal.protocol import Position

WORDS: Final = ("a", "b", "bad", "worse")


def cursor_of(store: MemoryEngine | HybridStore) -> int:
    with store.snapshot() as reader:
        return MetaStore(reader).cursor()


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


# Again


def test_letter_whose_event_can_be_applied_now_is_gone_and_the_others_tell_of_the_try() -> None:
    fold = ChokingFold(in_apply=["bad", "worse"])
    log, store = memory_log(["a", "bad", "worse", "b", "bad"]), MemoryEngine()
    commits: list[Commit] = []
    runner = choking_runner(log, store, fold, on_commit=commits.append)
    run_to_end(runner)
    fold.in_apply.remove("bad")
    fold.in_finish.add("worse")
    report = runner.retry()
    letter = DeadLetter(2, log.get(2).time, "choking", "Choked: on worse", attempts=2)
    assert report == Retried(3, applied=(1, 4), failing=(letter,))
    assert letters_of(store) == [letter]
    assert fold.counted(store, WORDS) == {"a": 1, "b": 1, "bad": 2}
    assert cursor_of(store) == 5, "the cursor stays"
    assert (len(commits), commits[-1].cursor) == (2, 5)
    assert fold.view_key("bad") in commits[-1].row_keys, "who watches is told"


def test_named_letters_alone_are_tried_and_seqs_without_one_are_passed_over() -> None:
    fold = ChokingFold(in_apply=["bad"])
    log, store = memory_log(["bad", "a", "bad", "bad"]), MemoryEngine()
    runner = choking_runner(log, store, fold)
    run_to_end(runner)
    fold.in_apply.clear()
    assert runner.retry([2, 1, 2, 99]) == Retried(1, (2,), ())
    assert runner.retry([2]) == Retried(0, (), ())
    assert [letter.seq for letter in letters_of(store)] == [0, 3]
    assert fold.counted(store, WORDS) == {"a": 1, "bad": 1}


def test_all_letters_are_tried_however_many_there_are() -> None:
    count = 2 * RETRY_COUNT_MAX + 1
    fold, store, log = ChokingFold(in_apply=["bad"]), MemoryEngine(), memory_log(["bad"] * count)
    commits: list[int] = []
    runner = choking_runner(log, store, fold, on_commit=lambda commit: commits.append(len(commit.row_keys)))
    run_to_end(runner)
    assert len(letters_of(store)) == count
    commits.clear()
    assert len(runner.retry().failing) == count
    assert commits == [RETRY_COUNT_MAX, RETRY_COUNT_MAX, 1], "new events need not wait for all of them"
    fold.in_apply.clear()
    assert runner.retry().applied == tuple(range(count))
    assert letters_of(store) == []
    with store.snapshot() as reader:
        assert reader.get(DEAD_LETTER_COUNT_KEY) is None
        assert list(reader.scan(dead_letter_prefix(), count_max=1)) == []


def test_running_runner_tries_letters_in_its_own_thread_between_batches() -> None:
    threads: list[str] = []
    fold, store, log = ChokingFold(in_apply=["bad"]), MemoryEngine(), memory_log(["a", "bad"])
    runner = choking_runner(log, store, fold, on_commit=lambda _: threads.append(threading.current_thread().name))
    runner.start()
    assert runner.watermark.wait(1, WAIT_S)
    fold.in_apply.clear()
    with ThreadPoolExecutor(4) as pool:
        reports = [one.result(WAIT_S) for one in [pool.submit(runner.retry) for _ in range(4)]]
    assert sorted(report.applied for report in reports) == [(), (), (), (1,)]
    say(log, "b")
    assert runner.watermark.wait(2, WAIT_S), "the fold goes on"
    runner.close()
    assert set(threads) == {"cortex-runner"}
    assert fold.counted(store, WORDS) == {"a": 1, "b": 1, "bad": 1}


def test_retry_does_not_wait_for_a_pause_to_end() -> None:
    fold, store, log = ChokingFold(in_apply=["bad"]), MemoryEngine(), memory_log(["bad"])
    runner = choking_runner(log, store, fold, options=LETTERS._replace(commit_interval_s=3600.0, poll_s=3600.0))
    runner.start()
    assert runner.watermark.wait(0, WAIT_S)
    say(log, "a")  # nobody waits for it: the runner pauses
    assert len(runner.retry(timeout_s=WAIT_S).failing) == 1
    runner.close()


def test_retry_that_takes_too_long_gives_up() -> None:
    class GatedStore(MemoryEngine):
        leave = threading.Event()

        def commit(self, batch: Batch) -> None:
            assert self.leave.wait(WAIT_S)
            super().commit(batch)

    fold, store, log = ChokingFold(in_apply=["bad"]), GatedStore(), memory_log(["bad"])
    store.leave.set()
    runner = choking_runner(log, store, fold)
    run_to_end(runner)
    store.leave.clear()
    runner.start()
    say(log, "a")
    with pytest.raises(TimeoutError):
        runner.retry(timeout_s=0.01)
    store.leave.set()
    assert runner.watermark.wait(1, WAIT_S)
    fold.in_apply.clear()
    assert runner.retry().retried_count == 1, "the next request is served"
    runner.close()


@pytest.mark.parametrize("started", [True, False])
def test_closed_runner_tries_nothing(started: bool) -> None:
    fold, store, log = ChokingFold(in_apply=["bad"]), MemoryEngine(), memory_log(["bad"])
    runner = choking_runner(log, store, fold)
    run_to_end(runner)
    if started:
        runner.start()
    runner.close()
    with pytest.raises(FoldClosed):
        runner.retry()
    assert letters_of(store)[0].attempts == 1


def test_letters_of_a_runner_that_has_stopped_can_be_tried() -> None:
    fold, store, log = ChokingFold(in_apply=["bad"]), MemoryEngine(), memory_log(["bad", "bad"])
    runner = choking_runner(log, store, fold, options=LETTERS._replace(dead_letters_max=1))
    runner.start()
    with pytest.raises(FoldStopped):
        runner.watermark.wait(1, WAIT_S)
    fold.in_apply.clear()
    assert runner.retry().applied == (0,)
    runner.close()
    run_to_end(choking_runner(log, store, fold))
    assert fold.counted(store, WORDS) == {"bad": 2}


def test_event_that_the_log_no_longer_has_stays_a_dead_letter() -> None:
    fold, store = ChokingFold(in_apply=["bad"]), MemoryEngine()
    log = memory_log(["bad"], LogOptions(segment_bytes=4096, retention=Retention(count_min=1)))
    runner = choking_runner(log, store, fold)
    run_to_end(runner)
    for _ in range(4):
        say(log, *["a"] * 100)
        run_to_end(runner)
    assert log.first_seq > 0
    fold.in_apply.clear()
    [letter] = runner.retry().failing
    assert (letter.seq, letter.fold, letter.attempts) == (0, "choking", 2)
    assert letter.reason.startswith("Truncated: seq 0 is gone")


def test_log_that_was_closed_ends_a_retry_and_not_the_fold(tmp_path: Path) -> None:
    fold, store = ChokingFold(in_apply=["bad"]), MemoryEngine()
    with open_log(tmp_path) as log:
        say(log, "bad")
        log.barrier().wait(WAIT_S)
        runner = choking_runner(log, store, fold)
        runner.start()
        assert runner.watermark.wait(0, WAIT_S)
    with pytest.raises(Exception, match="closed"):
        runner.retry(timeout_s=WAIT_S)
    runner.close()
    assert isinstance(runner.failure, FoldClosed)
    assert letters_of(store)[0].attempts == 1


def test_letters_outlast_a_reopening_and_are_gone_from_a_state_that_is_made_anew(tmp_path: Path) -> None:
    log = memory_log(["a", "bad", "b"])
    fold, fixed = ChokingFold(in_apply=["bad"]), ChokingFold()
    store = HybridStore.open(tmp_path / "one", SMALL)
    run_to_end(choking_runner(log, store, fold))
    before = letters_of(store)
    store.close()
    store = HybridStore.open(tmp_path / "one", SMALL)
    run_to_end(choking_runner(log, store, fixed))
    assert letters_of(store) == before, "nothing is tried again unless somebody asks"
    anew = HybridStore.open(tmp_path / "two", SMALL)
    run_to_end(choking_runner(log, anew, fixed))
    assert letters_of(anew) == []
    assert fixed.counted(anew, WORDS) == {"a": 1, "bad": 1, "b": 1}
    assert choking_runner(log, store, fixed).retry().applied == (1,)
    assert digest_of(anew) != digest_of(store), "the fold keeps which word was the last: late is not in order"
    store.close()
    anew.close()


def test_letters_make_no_difference_to_the_digest() -> None:
    good, bad, log = MemoryEngine(), MemoryEngine(), memory_log(["bad", "bad"])
    run_to_end(choking_runner(log, bad, ChokingFold(in_apply=["bad"])))
    folded_nothing = memory_log([UNDECODABLE, UNDECODABLE])
    run_to_end(choking_runner(folded_nothing, good, ChokingFold()))
    assert letters_of(good) != letters_of(bad)
    assert digest_of(good) == digest_of(bad)


CALLS: Final[tuple[Call, ...]] = ("write.commit", "read.commit")
WHENS: Final[tuple[When, ...]] = ("before", "after")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("when", WHENS)
@pytest.mark.parametrize("error", [StoreFailed, Killed])
def test_letter_is_either_there_or_applied_whatever_fails_in_a_retry(
    tmp_path: Path, call: Call, when: When, error: type[BaseException]
) -> None:
    faults, log, fold = Faults(), memory_log(["a", "bad", "b", "bad"]), ChokingFold(in_apply=["bad"])
    store = open_faulty(tmp_path, faults)
    runner = choking_runner(log, store, fold)
    run_to_end(runner)
    fold.in_apply.clear()
    faults.add(Crash(call, when, 1, error))
    with pytest.raises(error):
        runner.retry()
    store.close()
    store = open_faulty(tmp_path, faults)
    runner = choking_runner(log, store, fold)
    left = [letter.seq for letter in letters_of(store)]
    assert left == ([1, 3] if (call, when) == ("write.commit", "before") else [])
    assert fold.counted(store, WORDS) == Counter({"a": 1, "b": 1} | ({} if left else {"bad": 2}))
    assert runner.retry().applied == tuple(left)
    assert fold.counted(store, WORDS) == {"a": 1, "b": 1, "bad": 2}
    store.close()
