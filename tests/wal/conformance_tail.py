"""What a log promises to whoever follows it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue

import pytest

from tests.support.faulty_files import WAIT_S
from tests.support.logs import ALL
from tests.wal.conformance_tools import MakeLog, fill, read_all, seqs_of
from wal.errors import LogClosed
from wal.format import Frame
from wal.options import LogOptions
from wal.protocol import Log
from wal.tail import PAGE_COUNT_MAX, Subscription

SMALL = LogOptions(segment_bytes=1000)
FOLLOWERS = 1000


class TailPromises:
    """Waiting, subscriptions and wake-ups."""

    def test_wait_past_is_true_at_once_for_what_is_there(self, make_log: MakeLog) -> None:
        log = make_log()
        fill(log, 3)
        assert [log.wait_past(seq, 0) for seq in (-1, 0, 2)] == [True, True, True]
        assert log.wait_past(2, None)

    def test_wait_past_is_false_when_time_runs_out(self, make_log: MakeLog) -> None:
        log = make_log()
        assert not log.wait_past(0, 0)
        fill(log, 3)
        assert not log.wait_past(3, 0.001)

    def test_wait_past_wakes_every_waiter_when_its_seq_is_there(self, make_log: MakeLog) -> None:
        log = make_log()
        with ThreadPoolExecutor(8) as threads:
            waiting = [threads.submit(log.wait_past, seq, WAIT_S) for seq in range(8)]
            fill(log, 8)
            assert all(waiter.result(WAIT_S) for waiter in waiting)

    @pytest.mark.parametrize("timeout_s", [WAIT_S, None])
    def test_wait_past_is_false_when_the_log_is_closed(self, make_log: MakeLog, timeout_s: float | None) -> None:
        log = make_log()
        fill(log, 3)
        with ThreadPoolExecutor(4) as threads:
            waiting = [threads.submit(log.wait_past, 3, timeout_s) for _ in range(4)]
            log.close()
            assert not any(waiter.result(WAIT_S) for waiter in waiting)
        assert not log.wait_past(3, timeout_s)

    def test_subscription_gives_what_is_there_and_ends_when_time_runs_out(self, make_log: MakeLog) -> None:
        log = make_log(SMALL)
        assert list(log.subscribe(0, timeout_s=0)) == []
        frames = fill(log, 30)
        for seq in range(31):
            assert list(log.subscribe(seq, timeout_s=0)) == frames[seq:]
        assert list(log.subscribe(28, timeout_s=0.001)) == frames[28:]

    def test_subscription_that_ended_goes_on_when_it_is_iterated_again(self, make_log: MakeLog) -> None:
        log = make_log()
        subscription = log.subscribe(0, timeout_s=0)
        for round_ in range(5):
            assert subscription.seq == 3 * round_
            frames = fill(log, 3)
            assert list(subscription) == frames
            assert list(subscription) == []

    def test_subscription_left_within_a_page_goes_on_behind_what_it_gave(self, make_log: MakeLog) -> None:
        log = make_log()
        frames = fill(log, 10)
        subscription = log.subscribe(2, timeout_s=0)
        assert list(islice(subscription, 3)) == frames[2:5]
        assert subscription.seq == 5
        assert subscription.read(0) == frames[5:]

    def test_subscription_holds_a_page_and_no_more(self, make_log: MakeLog) -> None:
        log = make_log()
        log.append_many([(1, b"ten bytes.")] * (PAGE_COUNT_MAX + 1)).wait(WAIT_S)
        pages = list(log.subscribe(0, timeout_s=0).pages())
        assert [len(page) for page in pages] == [PAGE_COUNT_MAX, 1]
        subscription = log.subscribe(0)
        assert seqs_of(subscription.read(0, count_max=2)) == [0, 1]
        assert seqs_of(subscription.read(0, bytes_max=25)) == [2, 3, 4]
        assert subscription.seq == 5

    def test_read_of_a_subscription_gives_none_when_time_runs_out(self, make_log: MakeLog) -> None:
        log = make_log()
        subscription = log.subscribe(0)
        assert subscription.read(0) == []
        frames = fill(log, 2)
        assert subscription.read(0) == frames
        assert subscription.read(0.001) == []

    def test_subscriptions_from_any_position_miss_and_repeat_nothing(self, make_log: MakeLog) -> None:
        log = make_log(SMALL)
        fill(log, 100)
        starts = [0, 1, 37, 99, 100, 0, 50, 100]

        def follow(start: int) -> list[Frame]:
            return list(islice(log.subscribe(log.cursor(start)), 500 - start))

        def write(writer: int) -> None:
            for index in range(0, 100, 4):
                log.append(b"%d of %d" % (index, writer), writer)
                log.append_batch([(writer, b"batch")] * 3).wait(WAIT_S)

        with ThreadPoolExecutor(len(starts) + 4) as threads:
            followers = [threads.submit(follow, start) for start in starts]
            list(threads.map(write, range(4)))
            seen = [follower.result(WAIT_S) for follower in followers]
        whole = read_all(log)
        assert seqs_of(whole) == list(range(500))
        assert seen == [whole[start:] for start in starts]

    def test_close_is_told_after_the_last_frame(self, make_log: MakeLog) -> None:
        log = make_log()
        frames = fill(log, 3)
        seen: SimpleQueue[Frame] = SimpleQueue()
        with ThreadPoolExecutor(1) as thread:
            following = thread.submit(_follow_into, seen, log.subscribe(0))
            assert [seen.get(timeout=WAIT_S) for _ in range(3)] == frames
            frames = fill(log, 2)
            assert [seen.get(timeout=WAIT_S) for _ in range(2)] == frames
            log.close()
            with pytest.raises(LogClosed):
                following.result(WAIT_S)
        assert seen.empty()

    @pytest.mark.parametrize("timeout_s", [None, WAIT_S])
    def test_close_is_never_a_silent_end(self, make_log: MakeLog, timeout_s: float | None) -> None:
        """Whether the subscriber waits, reads or lags, and whatever close has still to commit."""
        for _ in range(30):
            log = make_log(SMALL)
            fill(log, 2)
            seen: list[SimpleQueue[Frame]] = [SimpleQueue() for _ in range(3)]
            with ThreadPoolExecutor(3) as threads:
                following = [
                    threads.submit(_follow_into, frames, log.subscribe(0, timeout_s=timeout_s)) for frames in seen
                ]
                log.append_many([(1, b"x")] * 5)
                log.append(b"y", 1)
                log.close()
                for follower in following:
                    with pytest.raises(LogClosed):
                        follower.result(WAIT_S)
            for frames in seen:
                assert [frames.get().seq for _ in range(frames.qsize())] in [list(range(end)) for end in range(9)]

    def test_subscription_to_a_closed_log_is_told_so(self, make_log: MakeLog) -> None:
        log = make_log()
        fill(log, 3)
        lagging, ahead = log.subscribe(0, timeout_s=0), log.subscribe(3, timeout_s=0)
        log.close()
        for subscription in (lagging, ahead):
            for _ in range(2):
                with pytest.raises(LogClosed):
                    list(subscription)
                with pytest.raises(LogClosed):
                    subscription.read(None)

    def test_watcher_is_called_when_there_is_more_to_read(self, make_log: MakeLog) -> None:
        log = make_log()
        called = threading.Event()
        log.watch(called.set)
        for end in range(1, 20):
            called.clear()
            log.append(b"x", 1)
            _wait_until(log, called, lambda end=end: log.durable_end == end)  # type: ignore[misc]

    def test_watcher_is_called_when_the_log_ends(self, make_log: MakeLog) -> None:
        log = make_log()
        called = threading.Event()
        log.watch(called.set)
        with ThreadPoolExecutor(1) as thread:
            closing = thread.submit(log.close)
            _wait_until(log, called, lambda: log.ended)
            closing.result(WAIT_S)

    def test_end_is_said_when_no_frame_can_follow(self, make_log: MakeLog) -> None:
        def look_until_the_end(log: Log) -> int:
            while not log.ended:
                log.wait_past(log.durable_end, None)
            return log.durable_end

        for _ in range(30):
            log = make_log(SMALL)
            with ThreadPoolExecutor(2) as threads:
                looking = [threads.submit(look_until_the_end, log) for _ in range(2)]
                log.append_many([(1, bytes(10_000))] * 20)
                log.append(b"x", 1)
                log.close()
                assert [seen.result(WAIT_S) for seen in looking] == [21, 21]

    def test_watcher_that_was_stopped_is_called_no_more(self, make_log: MakeLog) -> None:
        log = make_log()
        stopped: SimpleQueue[None] = SimpleQueue()
        called = threading.Event()
        stop = log.watch(lambda: stopped.put(None))
        log.watch(called.set)
        log.append(b"x", 1)
        stopped.get(timeout=WAIT_S)
        _settle(log, called)
        stop()
        _settle(log, called)
        before = stopped.qsize()
        fill(log, 3)
        _settle(log, called)
        assert stopped.qsize() == before
        stop()

    def test_callback_that_watches_twice_is_stopped_once_at_a_time(self, make_log: MakeLog) -> None:
        log = make_log()
        called = threading.Event()
        callback = called.set
        stop_first, stop_second = log.watch(callback), log.watch(callback)
        stop_first()
        stop_first()
        _settle(log, called)
        stop_second()

    def test_one_thread_serves_a_thousand_subscriptions(self, make_log: MakeLog) -> None:
        log = make_log(SMALL)
        fill(log, 20)
        subscriptions = [log.subscribe(seq % 21) for seq in range(FOLLOWERS)]
        seen: list[list[Frame]] = [[] for _ in subscriptions]
        worth_looking = threading.Event()
        stop = log.watch(worth_looking.set)
        worth_looking.set()  # for what was there before
        with ThreadPoolExecutor(1) as thread:
            writing = thread.submit(fill, log, 20)
            while any(subscription.seq < 40 for subscription in subscriptions):
                assert worth_looking.wait(WAIT_S)
                worth_looking.clear()
                for subscription, frames in zip(subscriptions, seen, strict=True):
                    while page := subscription.read(0):
                        frames += page
            writing.result(WAIT_S)
        stop()
        whole = read_all(log)
        assert seen == [whole[seq % 21 :] for seq in range(FOLLOWERS)]

    def test_followers_see_all_though_nobody_waits_for_a_ticket(self, make_log: MakeLog) -> None:
        log = make_log(SMALL)
        barrier = threading.Barrier(9)

        def follow() -> list[Frame]:
            subscription, frames = log.subscribe(0, timeout_s=WAIT_S), list[Frame]()
            barrier.wait(WAIT_S)
            for page in subscription.pages():
                frames += page
                if len(frames) >= 100:
                    break
            return frames

        with ThreadPoolExecutor(8) as threads:
            following: list[Future[list[Frame]]] = [threads.submit(follow) for _ in range(8)]
            barrier.wait(WAIT_S)
            for _ in range(10):
                log.append_many([(1, b"x")] * 10)
            seen = [follower.result(WAIT_S) for follower in following]
        assert all(frames == log.read_from(0, count_max=ALL, bytes_max=ALL) for frames in seen)


def _follow_into(seen: SimpleQueue[Frame], subscription: Subscription) -> None:
    for frame in subscription:
        seen.put(frame)


def _wait_until(log: Log, called: threading.Event, reached: Callable[[], bool]) -> None:
    """Look whenever the watcher was called, until it was called with that reached."""
    while True:
        assert called.wait(WAIT_S), f"nobody called; the log ends at {log.durable_end}"
        called.clear()
        if reached():
            return


def _settle(log: Log, called: threading.Event) -> None:
    """Append twice and see both told: the calls for all before the second are over."""
    for _ in range(2):
        called.clear()
        end = log.append(b"x", 1).last_seq + 1
        _wait_until(log, called, lambda end=end: log.durable_end >= end)  # type: ignore[misc]
