"""Where a runner begins and ends: its start, how far it is told to run, what it takes over, and who shares its log."""

import threading
from pathlib import Path

import pytest

from cortex import Commit, EventsGone, FoldClosed, FoldStopped, Runner, RunnerOptions, Watermark
from keycodec import subject_postings_key
from stores import HybridStore, MemoryEngine, MetaStore
from tests.support.choking import (
    QUICK,
    ChokingFold,
    Word,
    choking_runner,
    memory_log,
    run_to_end,
    say,
)
from tests.support.counting import FOLDS, decode_word, digest_of
from tests.support.faulty_files import WAIT_S
from tests.support.stores import SMALL
from wal import FutureSeq, LogOptions, MemoryLog, Retention, Truncated

TWO = QUICK._replace(batch_count_max=2)


def evicted_log(count: int = 400) -> MemoryLog:
    """A log whose first events are gone."""
    log = memory_log([], LogOptions(segment_bytes=4096, retention=Retention(count_min=1)))
    for _ in range(count // 50):
        say(log, *["a"] * 50)
    assert 0 < log.first_seq < log.durable_end == count
    return log


# The first event


def test_new_state_begins_at_start_and_a_reopening_goes_on(tmp_path: Path) -> None:
    log, fold = memory_log(["a", "b", "a", "b", "a"]), ChokingFold()
    store = HybridStore.open(tmp_path, SMALL)
    runner = choking_runner(log, store, fold, start=2, options=TWO)
    assert (runner.watermark.seq, runner.lag) == (2, 3)
    store.close()
    store = HybridStore.open(tmp_path, SMALL)
    runner = choking_runner(log, store, fold, options=TWO)
    assert runner.watermark.seq == 2, "also one that has folded nothing yet"
    runner.run_once()
    store.close()
    store = HybridStore.open(tmp_path, SMALL)
    for start in (0, 3):  # what is said later changes nothing
        runner = choking_runner(log, store, fold, start=start, options=TWO)
        assert runner.watermark.seq == 4
    run_to_end(runner)
    assert fold.counted(store, "ab") == {"a": 2, "b": 1}
    with store.snapshot() as reader:
        assert MetaStore(reader).start() == 2
    store.close()


def test_state_from_the_first_event_on_has_no_row_for_its_start() -> None:
    store = MemoryEngine()
    choking_runner(memory_log(["a"]), store, ChokingFold())
    with store.snapshot() as reader:
        assert MetaStore(reader).start() == 0
        assert not any(b"start" in key for key, _ in reader.scan(b"", count_max=99))


@pytest.mark.parametrize("start", [-1, 3])
def test_start_that_the_log_has_not_reached_is_refused_and_the_store_left_alone(start: int) -> None:
    log, store = memory_log(["a", "b"]), MemoryEngine()
    with pytest.raises(ValueError, match=f"start is {start}; the log ends at 2"):
        choking_runner(log, store, ChokingFold(), start=start)
    assert run_to_end(choking_runner(log, store, ChokingFold(), start=1)) == [1]


def test_log_whose_first_events_are_gone_is_refused_unless_start_says_so() -> None:
    log, store, fold = evicted_log(), MemoryEngine(), ChokingFold()
    with pytest.raises(EventsGone, match=f"seq 0, and the log keeps none before {log.first_seq}"):
        choking_runner(log, store, fold)
    with pytest.raises(EventsGone):
        choking_runner(log, store, fold, start=log.first_seq - 1)
    run_to_end(choking_runner(log, store, fold, start=log.first_seq))
    assert fold.counted(store, "a") == {"a": log.durable_end - log.first_seq}


def test_state_that_retention_has_overtaken_is_refused_when_it_is_opened() -> None:
    log = memory_log(["a"], LogOptions(segment_bytes=4096, retention=Retention(count_min=1)))
    store = MemoryEngine()
    run_to_end(choking_runner(log, store, ChokingFold()))
    for _ in range(8):
        say(log, *["a"] * 50)
    with pytest.raises(EventsGone, match="the next event to fold is seq 1"):
        choking_runner(log, store, ChokingFold(), start=log.first_seq)


def test_retention_that_overtakes_a_runner_stops_it() -> None:
    log = memory_log(["a"], LogOptions(segment_bytes=4096, retention=Retention(count_min=1)))
    runner = choking_runner(log, MemoryEngine(), ChokingFold())
    for _ in range(8):
        say(log, *["a"] * 50)
    runner.start()
    with pytest.raises(FoldStopped, match="seq 0: Truncated") as caught:
        runner.watermark.wait(399, WAIT_S)
    assert isinstance(caught.value.__cause__, Truncated)
    runner.close()


@pytest.mark.parametrize("names", [("one", "one"), ("decode",)])
def test_folds_that_could_not_be_told_apart_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="told apart by their names"):
        choking_runner(memory_log(), MemoryEngine(), *map(ChokingFold, names))


# A watermark that goes on


def test_watermark_that_is_handed_in_goes_on_and_who_waits_is_told() -> None:
    log, store, fold = memory_log(["a"] * 4), MemoryEngine(), ChokingFold()
    first = choking_runner(log, store, fold, options=TWO)
    first.run_once()
    told: list[object] = []
    first.watermark.on_applied(3, told.append)
    first.stop()
    assert told == []
    second = choking_runner(log, store, fold, options=TWO, watermark=first.watermark)
    assert second.watermark is first.watermark
    run_to_end(second)
    assert told == [None]
    second.close()
    assert isinstance(first.failure, FoldClosed)


def test_watermark_that_is_handed_in_moves_to_a_store_that_is_further() -> None:
    log, store = memory_log(["a"] * 4), MemoryEngine()
    run_to_end(choking_runner(log, store, ChokingFold()))
    watermark = Watermark(1)
    assert choking_runner(log, store, ChokingFold(), watermark=watermark).watermark.seq == watermark.seq == 4


def test_watermark_never_goes_back_to_a_store_that_is_behind() -> None:
    with pytest.raises(AssertionError):
        choking_runner(memory_log(["a"] * 4), MemoryEngine(), ChokingFold(), watermark=Watermark(3))


def test_runner_that_was_stopped_tries_no_letters_and_leaves_its_waits_alone() -> None:
    log, runner = memory_log(["a"]), None
    runner = choking_runner(log, MemoryEngine(), ChokingFold())
    runner.start()
    assert runner.watermark.wait(0, WAIT_S)
    runner.stop()
    assert runner.failure is None
    with pytest.raises(FoldClosed):
        runner.retry()


# Up to a position


@pytest.mark.parametrize("target", [0, 1, 5, 7, 10])
def test_run_to_folds_up_to_the_position_and_never_beyond_it(target: int) -> None:
    log, store, fold = memory_log(["a"] * 10), MemoryEngine(), ChokingFold()
    runner = choking_runner(log, store, fold, options=QUICK._replace(batch_count_min=2, batch_count_max=4))
    told: list[tuple[int, int]] = []
    assert runner.run_to(target, lambda done, of: told.append((done, of)))
    assert (runner.watermark.seq, sum(fold.counted(store, "a").values())) == (target, target)
    assert [of for _, of in told] == [target] * len(told)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert not told or told[-1] == (target, target)
    assert runner.run_to(10)
    assert fold.counted(store, "a") == {"a": 10}


def test_run_to_stops_between_batches_when_it_is_told_to() -> None:
    runner = choking_runner(memory_log(["a"] * 10), MemoryEngine(), ChokingFold(), options=TWO)
    stopping = threading.Event()

    def stop_at_four(done: int, _: int) -> None:
        if done == 4:
            stopping.set()

    assert not runner.run_to(10, stop_at_four, stopping)
    assert runner.watermark.seq == 4
    stopping.clear()
    assert runner.run_to(10, None, stopping)


def test_run_to_more_than_there_is_or_less_than_was_folded_is_refused() -> None:
    runner = choking_runner(memory_log(["a"] * 3), MemoryEngine(), ChokingFold())
    with pytest.raises(FutureSeq):
        runner.run_to(4)
    runner.run_to(2)
    with pytest.raises(ValueError, match="has folded 2 events, more than 1"):
        runner.run_to(1)


def test_run_to_raises_what_stops_it() -> None:
    fold, store = ChokingFold(in_apply=["bad"]), MemoryEngine()
    runner = choking_runner(memory_log(["a", "bad", "a"]), store, fold, options=QUICK)
    with pytest.raises(FoldStopped, match="seq 1"):
        runner.run_to(3)
    assert runner.watermark.seq == 1


# After a commit


def test_on_commit_comes_after_the_commit_is_visible_and_the_watermark_has_moved() -> None:
    log, store, fold = memory_log(["a", "b", "a"]), MemoryEngine(), ChokingFold()
    seen: list[tuple[int, int, int, bool, bool]] = []

    def look(commit: Commit) -> None:
        with store.snapshot() as reader:
            visible = MetaStore(reader).cursor()
        touched = fold.count_key("b") in commit.row_keys
        listed = subject_postings_key("choking b") in commit.posting_keys
        seen.append((commit.cursor, visible, runner.watermark.seq, touched, listed))

    runner = choking_runner(log, store, fold, options=TWO, on_commit=look)
    run_to_end(runner)
    assert seen == [(2, 2, 2, True, True), (3, 3, 3, False, False)]


def test_on_commit_that_raises_does_not_stop_the_fold(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Commit) -> None:
        raise RuntimeError("a bug in the layer above")

    log, store, fold = memory_log(["a"] * 5), MemoryEngine(), ChokingFold()
    runner = choking_runner(log, store, fold, options=TWO, on_commit=fail)
    runner.start()
    assert runner.watermark.wait(4, WAIT_S)
    runner.close()
    assert fold.counted(store, "a") == {"a": 5}
    assert "a bug in the layer above" in caplog.text


# Several


def test_folds_of_one_runner_are_in_one_commit_and_need_no_finish() -> None:
    class Last:
        name, version = "last", 1

        def apply(self, event: Word, state: object) -> None:
            state.put(b"last", b"%d" % event[0])  # type: ignore[attr-defined]

    log, store, fold = memory_log(["a", "b", "a"]), MemoryEngine(), ChokingFold()
    commits: list[frozenset[bytes]] = []
    runner = choking_runner(
        log, store, fold, Last(), options=TWO, on_commit=lambda commit: commits.append(frozenset(commit.row_keys))
    )
    run_to_end(runner)
    assert [{b"last", fold.view_key("a")} <= keys for keys in commits] == [True, True]
    with store.snapshot() as reader:
        assert reader.get(b"last") == b"2"
        assert MetaStore(reader).fold_versions() == {"choking": 1, "last": 1}


def test_two_runners_over_one_log_each_at_its_own_pace() -> None:
    log, slow_store, quick_store = memory_log(["a"] * 9), MemoryEngine(), MemoryEngine()
    slow = choking_runner(log, slow_store, ChokingFold("slow"), options=TWO)
    quick = choking_runner(log, quick_store, ChokingFold("quick"))
    quick.start()
    slow.run_once()
    assert quick.watermark.wait(8, WAIT_S)
    assert (slow.lag, quick.lag) == (7, 0)
    slow.start()
    assert slow.watermark.wait(8, WAIT_S)
    slow.close()
    say(log, "a")
    assert quick.watermark.wait(9, WAIT_S), "one that is closed does not stop the other"
    quick.close()


def test_runners_of_several_logs_have_nothing_to_do_with_each_other() -> None:
    logs = [MemoryLog(clock_ms=lambda: 0, log_id=bytes([number]) * 16) for number in range(3)]
    stores = [MemoryEngine() for _ in logs]
    folds = [ChokingFold(in_apply=["bad"] if number == 1 else []) for number in range(3)]
    runners: list[Runner[Word]] = [
        choking_runner(log, store, fold, options=QUICK) for log, store, fold in zip(logs, stores, folds, strict=True)
    ]
    for runner, log in zip(runners, logs, strict=True):
        runner.start()
        say(log, "a", "bad")
    with pytest.raises(FoldStopped):
        runners[1].watermark.wait(1, WAIT_S)
    for number in (0, 2):
        assert runners[number].watermark.wait(1, WAIT_S)
        assert folds[number].counted(stores[number], ["a", "bad"]) == {"a": 1, "bad": 1}
    for runner in runners:
        runner.close()


def test_log_in_memory_and_its_folds_make_the_same_as_any_other() -> None:
    words = ["Tesla", "Zug", "Tesla"]
    one, other = MemoryEngine(), MemoryEngine()
    run_to_end(Runner(memory_log(words), one, FOLDS, decode_word, RunnerOptions(batch_count_max=1)))
    run_to_end(Runner(memory_log(words), other, FOLDS, decode_word))
    assert digest_of(one) == digest_of(other)
