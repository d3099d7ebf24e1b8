"""Dead letters that are tried again: which go, which stay, and what a reopening or a crash leaves of them."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from cortex import Commit, FoldClosed, FoldStopped, Retried
from cortex.retries import RETRY_COUNT_MAX
from keycodec import dead_letter_prefix
from stores import DEAD_LETTER_COUNT_KEY, Batch, DeadLetter, HybridStore, MemoryEngine, StoreFailed
from tests.support.choking import (
    LETTERS,
    UNDECODABLE,
    WORDS,
    ChokingFold,
    choking_runner,
    cursor_of,
    letters_of,
    memory_log,
    run_to_end,
    say,
)
from tests.support.counting import digest_of
from tests.support.faulty_engines import Call, Crash, Faults, Killed, When, open_faulty
from tests.support.faulty_files import WAIT_S
from tests.support.logs import open_log
from tests.support.stores import SMALL
from wal import LogOptions, Retention


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
