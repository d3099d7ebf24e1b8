"""How large batches are, and when they are committed."""

import sys
import threading
import time
from types import FrameType

import pytest

from cortex import Commit, Runner, RunnerOptions
from cortex.progress import RATE_WINDOW_S, Meter
from stores import MemoryEngine, Staging
from tests.support.choking import (
    QUICK,
    ChokingFold,
    Word,
    choking_runner,
    memory_log,
    run_to_end,
    say,
)
from tests.support.faulty_files import WAIT_S
from tests.support.logs import LOG_ID, TIME_MS
from wal import Frame, MemoryLog
from wal.protocol import Position

SLOW = RunnerOptions(commit_interval_s=3600.0, poll_s=3600.0)  # a pause or a rest that no test outlasts
BURST = 200_000


class Fake:
    """A clock that a test moves."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Cursors:
    """The cursors of the commits, for whoever waits for one."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self._changed = threading.Condition()

    def __call__(self, commit: Commit) -> None:
        with self._changed:
            self.seen.append(commit.cursor)
            self._changed.notify_all()

    def wait(self, cursor: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: cursor in self.seen, WAIT_S)


# How large


def test_batches_double_while_a_backlog_is_left_and_fall_back_when_it_is_gone() -> None:
    log, store = memory_log(["a"] * 60), MemoryEngine()
    runner = choking_runner(log, store, ChokingFold(), options=QUICK._replace(batch_count_min=4, batch_count_max=16))
    assert run_to_end(runner) == [4, 8, 16, 16, 16]
    say(log, *["a"] * 9)
    assert run_to_end(runner) == [4, 5]
    say(log, *["a"] * 9)
    assert run_to_end(runner) == [4, 5], "gone is gone, also after a batch that was not the smallest"


def test_batch_that_bytes_bound_does_not_grow_in_number() -> None:
    log, store = memory_log(["abcdefgh"] * 40), MemoryEngine()
    options = QUICK._replace(batch_count_min=4, batch_count_max=1024, batch_bytes_max=80)
    runner = choking_runner(log, store, ChokingFold(), options=options)
    assert run_to_end(runner) == [4, 8, 10, 10, 8]
    say(log, *["abcdefgh"] * 40, *["a"] * 60)
    assert run_to_end(runner) == [4, 8, 10, 10, 8 + 8, 32, 20], "it doubles after batches of full number alone"


@pytest.mark.parametrize("name", ["batch_count_min", "batch_count_max", "batch_bytes_max"])
def test_batch_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0"):
        choking_runner(memory_log(), MemoryEngine(), options=QUICK._replace(**{name: 0}))  # type: ignore[arg-type]


def test_unknown_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="on_error is 'skip'"):
        choking_runner(memory_log(), MemoryEngine(), options=QUICK._replace(on_error="skip"))  # type: ignore[arg-type]


class TinyFold:
    """Counts, in one row."""

    name, version = "tiny", 1

    def apply(self, event: Word, state: Staging) -> None:
        state.put(b"count", b"%d" % (int(state.get(b"count") or b"0") + 1))


class MeasuredLog(MemoryLog):
    """A log that knows the largest page it gave out."""

    page_max = 0

    def read_from(self, position: Position, *, count_max: int, bytes_max: int) -> list[Frame]:
        frames = super().read_from(position, count_max=count_max, bytes_max=bytes_max)
        self.page_max = max(self.page_max, len(frames))
        return frames


def test_burst_that_nobody_awaits_is_folded_whole_and_never_held_whole() -> None:
    log, store = MeasuredLog(clock_ms=lambda: TIME_MS, log_id=LOG_ID), MemoryEngine()
    runner: Runner[Word] = choking_runner(log, store, TinyFold(), options=RunnerOptions())
    runner.start()
    for _ in range(BURST // 2000):
        log.append_many([(1, b"a")] * 2000)
    assert runner.watermark.wait(BURST - 1, WAIT_S)
    runner.close()
    assert log.page_max <= RunnerOptions().batch_count_max
    assert runner.progress.batches >= BURST // RunnerOptions().batch_count_max
    with store.snapshot() as reader:
        assert reader.get(b"count") == b"%d" % BURST


# When


def paused_runner(options: RunnerOptions = SLOW) -> tuple[MemoryLog, Runner[Word], Cursors]:
    """A runner that has just committed an event."""
    log, cursors = memory_log(["a"]), Cursors()
    runner = choking_runner(log, MemoryEngine(), ChokingFold(), options=options, on_commit=cursors)
    runner.start()
    assert cursors.wait(1), "after a rest an event is applied at once"
    return log, runner, cursors


def until_it_pauses(runner: Runner[Word]) -> None:
    """Return once the runner's thread waits in a pause."""
    thread, deadline_s = runner._thread, time.monotonic() + WAIT_S
    assert thread is not None
    assert thread.ident is not None
    while not (is_in(frame := sys._current_frames()[thread.ident], "_pace") and is_in(frame, "wait")):
        assert time.monotonic() < deadline_s


def is_in(frame: FrameType | None, name: str) -> bool:
    """Whether a function of that name is being called."""
    return frame is not None and (frame.f_code.co_name == name or is_in(frame.f_back, name))


def test_commit_is_not_held_up_when_somebody_waits_for_it() -> None:
    log, runner, _ = paused_runner()
    for seq in range(1, 5):
        say(log, "a")
        until_it_pauses(runner)
        assert runner.watermark.wait(seq, WAIT_S)
    runner.close()


def test_commit_is_not_held_up_for_who_waited_before_the_event_came() -> None:
    log, runner, _ = paused_runner()
    reached = threading.Event()
    say(log, "a")
    until_it_pauses(runner)
    runner.watermark.on_applied(2, lambda _: reached.set())
    until_it_pauses(runner)
    say(log, "a")
    assert reached.wait(WAIT_S)
    runner.close()


def test_full_batch_is_not_held_up() -> None:
    log, runner, cursors = paused_runner(SLOW._replace(batch_count_min=4, batch_count_max=4))
    say(log, "a")
    until_it_pauses(runner)
    say(log, "a", "a", "a")
    assert cursors.wait(5)
    runner.close()


def test_commits_that_nobody_waits_for_gather_until_the_interval_is_over() -> None:
    log, runner, cursors = paused_runner()
    say(log, "a")
    until_it_pauses(runner)
    for _ in range(50):
        say(log, "a")
    until_it_pauses(runner)
    assert runner.watermark.wait(51, WAIT_S)
    runner.close()
    assert cursors.seen == [1, 52]


def test_pause_begins_with_the_commit_and_no_event_that_nobody_awaits_ends_it_or_wakes_the_runner() -> None:
    log, runner, cursors = paused_runner()
    until_it_pauses(runner)
    for _ in range(50):
        say(log, "a")
        assert not runner._wake.is_set()
    runner.close()
    assert cursors.seen == [1]


def test_wait_for_what_is_far_off_does_not_end_the_pauses() -> None:
    log, runner, cursors = paused_runner()
    assert not runner.watermark.wait(10**9, 0.0)
    runner.watermark.on_applied(10**9, lambda _: None)
    for _ in range(50):
        say(log, "a")
        until_it_pauses(runner)
    assert runner.watermark.wait(50, WAIT_S)
    runner.close()
    assert cursors.seen == [1, 51]


def test_close_does_not_wait_for_a_pause_or_a_rest_to_end() -> None:
    log, runner, _ = paused_runner()
    say(log, "a")
    until_it_pauses(runner)
    runner.close()
    assert runner.watermark.seq == 1
    _, runner, _ = paused_runner()
    runner.close()


def test_interval_is_measured_by_the_clock_that_was_handed_in() -> None:
    clock, log, cursors = Fake(), memory_log(["a"]), Cursors()
    runner = choking_runner(log, MemoryEngine(), ChokingFold(), options=SLOW, on_commit=cursors, clock_s=clock)
    runner.start()
    assert cursors.wait(1)
    clock.now_s += 3600.0
    say(log, "a")
    assert cursors.wait(2)
    runner.close()


# How far


def test_progress_tells_where_the_runner_is_and_how_fast() -> None:
    clock, log = Fake(), memory_log(["a"] * 30)
    runner = choking_runner(
        log, MemoryEngine(), ChokingFold(), options=QUICK._replace(batch_count_max=10), clock_s=clock
    )
    assert runner.progress == (0, 30, 30, 0, 0.0, None)
    clock.now_s += 2.0
    runner.run_once()
    assert runner.progress == (10, 30, 20, 1, 5.0, None)
    runner.run_once()
    assert runner.progress == (20, 30, 10, 2, 10.0, None)
    clock.now_s += RATE_WINDOW_S - 2.0
    assert runner.progress.events_per_s == 2.0
    clock.now_s += RATE_WINDOW_S
    assert runner.progress.events_per_s == 0.0, "nothing came for as long as the window is"


def test_rate_is_of_late_and_its_samples_are_bounded() -> None:
    clock = Fake()
    meter = Meter(clock)
    for _ in range(10_000):
        clock.now_s += 0.01
        meter.add(1)
    assert meter.events_per_s() == pytest.approx(100.0, rel=0.05)
    for _ in range(2000):
        clock.now_s += 0.01
        meter.add(50)
    assert meter.events_per_s() == pytest.approx(5000.0, rel=0.05)
    assert len(meter._samples) < 150
    assert meter.batches == 12_000
