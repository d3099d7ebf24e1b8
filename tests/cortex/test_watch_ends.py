"""How a watch ends, what it outlasts, and what bounds it."""

import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from types import FrameType

import pytest

from cortex import Change, Commit, CortexError, FoldClosed, FoldStopped, TooManyWatchers, Watchers
from keycodec import vote_count_prefix
from stores import MemoryEngine, Reader, StoreClosed
from tests.support.choking import QUICK, ChokingFold, choking_runner, memory_log, say
from tests.support.faulty_files import WAIT_S
from tests.support.watched import Rows, get
from wal import MemoryLog

# How it ends


def test_iterator_ends_when_nothing_comes_in_time() -> None:
    rows = Rows()
    rows.put((b"a", b"1"))
    with rows.watchers.watch(get(b"a"), keys=[b"a"], timeout_s=0.0) as watch:
        assert list(watch) == [Change(0, b"1")]
        rows.put((b"a", b"2"))
        assert list(watch) == [Change(0, b"2")], "and may be asked again"


def follow_to_the_end(log: MemoryLog, watchers: Watchers, fold: ChokingFold, seen: list[object]) -> None:
    for change in watchers.watch(get(fold.view_key("a")), keys=[fold.view_key("a")], timeout_s=WAIT_S):
        seen.append(change)
        if len(seen) == 1:
            say(log, "a")


def test_fold_that_stops_raises_once_all_before_it_was_given() -> None:
    log, store, fold = memory_log(), MemoryEngine(), ChokingFold(in_apply=["bad"])
    watchers, seen = Watchers(store.snapshot), list[object]()
    runner = choking_runner(log, store, fold, options=QUICK, on_commit=watchers.notify)
    runner.watermark.on_end(watchers.end)
    late = watchers.watch(get(fold.view_key("a")), keys=[fold.view_key("a")])
    assert late.read(0.0) == Change(0, None)
    runner.start()
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(follow_to_the_end, log, watchers, fold, seen)
        assert runner.watermark.wait(0, WAIT_S)
        say(log, "a", "bad")
        with pytest.raises(FoldStopped, match="seq 2"):
            following.result(WAIT_S)
    assert len(seen) >= 2
    two = (2).to_bytes(8, "little")
    assert seen[-1] == Change(2, two)
    assert late.read(0.0) == Change(2, two), "what was folded before is there to be read"
    for _ in range(2):
        with pytest.raises(FoldStopped, match="seq 2"):
            late.read(WAIT_S)
    after = watchers.watch(get(fold.view_key("a")), keys=[fold.view_key("a")])
    assert after.read(0.0) == Change(2, two)
    with pytest.raises(FoldStopped):
        after.read(WAIT_S)
    runner.close()


def test_fold_that_is_closed_ends_the_iteration_and_the_read_raises() -> None:
    rows = Rows()
    watch = rows.watchers.watch(get(b"a"), keys=[b"a"])
    assert next(iter(watch)) == Change(0, None)
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(list, watch)
        rows.watchers.end(FoldClosed("the fold was closed"))
        assert following.result(WAIT_S) == []
    rows.store.close()
    with pytest.raises(FoldClosed):
        watch.read(0.0)
    with pytest.raises(FoldClosed):
        rows.watchers.watch(get(b"a"), keys=[b"a"]).read(0.0)


def test_store_that_is_closed_under_a_read_ends_the_watch_as_a_closed_fold_does() -> None:
    rows = Rows()

    def read(reader: Reader) -> bytes | None:
        rows.watchers.end(FoldClosed("the fold was closed"))
        raise StoreClosed("the snapshot is closed")

    with pytest.raises(FoldClosed):
        rows.watchers.watch(read, keys=[b"a"]).read(0.0)


def test_watch_that_is_closed_from_another_thread_ends_at_once() -> None:
    rows = Rows()
    watch = rows.watchers.watch(get(b"a"), keys=[b"a"])
    watch.read(0.0)
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(list, watch)
        watch.close()
        watch.close()
        assert following.result(WAIT_S) == []
    with pytest.raises(FoldClosed, match="the watch was closed"):
        watch.read(0.0)
    rows.put((b"a", b"1"))
    assert rows.watchers.count == 0


def test_fold_that_runs_again_after_it_had_stopped_is_watched_on() -> None:
    rows = Rows()
    watch = rows.watchers.watch(get(b"a"), keys=[b"a"])
    assert watch.read(0.0)
    rows.watchers.end(FoldStopped("poison"))
    with pytest.raises(FoldStopped):
        watch.read(0.0)
    rows.watchers.end(None)
    assert watch.read(0.0) is None
    rows.put((b"a", b"1"))
    assert watch.read(0.0) == Change(0, b"1")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_read_that_raises_is_told_to_who_asked_and_tried_again(error: type[BaseException]) -> None:
    rows, fails = Rows(), [True]

    def read(_: Reader) -> str:
        if fails.pop():
            raise error("a bug of the caller's, or Ctrl-C")
        return "well"

    with rows.watchers.watch(read, keys=[b"a"]) as watch:
        with pytest.raises(error):
            watch.read(0.0)
        fails.append(False)
        assert watch.read(0.0) == Change(0, "well")


def is_in(frame: FrameType | None, name: str) -> bool:
    """Whether a function of that name is being called."""
    return frame is not None and (frame.f_code.co_name == name or is_in(frame.f_back, name))


def test_ctrl_c_ends_a_wait_in_the_main_thread_and_the_watch_goes_on() -> None:
    assert threading.current_thread() is threading.main_thread()
    rows = Rows()
    watch = rows.watchers.watch(get(b"a"), keys=[b"a"])
    watch.read(0.0)

    def interrupt() -> None:
        main = threading.main_thread().ident
        assert main is not None
        while not is_in(sys._current_frames()[main], "_wait"):
            pass
        signal.pthread_kill(main, signal.SIGINT)

    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        watch.read(None)
    helper.join()
    rows.put((b"a", b"1"))
    assert watch.read(0.0) == Change(0, b"1")


# Bounds, and what stays


def test_one_more_than_may_watch_is_refused_until_one_is_closed() -> None:
    rows = Rows(count_max=2)
    first, _ = (rows.watchers.watch(get(b"a"), keys=[b"a"]) for _ in range(2))
    with pytest.raises(TooManyWatchers, match="2 watch already"):
        rows.watchers.watch(get(b"a"), keys=[b"a"])
    first.close()
    rows.watchers.watch(get(b"a"), keys=[b"a"])
    assert rows.watchers.count == 2


def test_watches_go_on_when_the_store_is_replaced() -> None:
    rows = Rows()
    rows.put((b"a", b"1"), (b"b", b"1"))
    watches = {key: rows.watchers.watch(get(key), keys=[key]) for key in (b"a", b"b")}
    for watch in watches.values():
        assert watch.read(0.0) == Change(0, b"1")
    old, rows.store = rows.store, MemoryEngine()
    rows.put((b"a", b"2"), (b"b", b"1"))
    rows.watchers.notify_all()
    old.close()
    assert watches[b"a"].read(0.0) == Change(0, b"2")
    assert watches[b"b"].read(0.0) is None
    rows.put((b"b", b"2"))
    assert watches[b"b"].read(0.0) == Change(0, b"2")


class Counted(bytes):
    """A key that counts how often it is looked at."""

    looks = 0

    def __hash__(self) -> int:
        Counted.looks += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other)


def test_cost_of_a_touched_key_does_not_grow_with_those_who_watch_others() -> None:
    looks = []
    for others in (10, 2000):
        rows = Rows(count_max=5000)
        for number in range(others):
            rows.watchers.watch(get(b"a"), keys=[b"%04d" % number], prefixes=[b"p%04d" % number])
        touched = {Counted(b"t%d" % number): b"" for number in range(3)}
        Counted.looks = 0
        rows.watchers.notify(Commit(0, touched.keys(), ()))
        looks.append(Counted.looks)
    assert looks[0] == looks[1]


def test_commit_costs_nothing_when_nobody_watches() -> None:
    class Untouchable:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"{name} was asked for")

    rows = Rows()
    rows.watchers.notify(Untouchable())  # type: ignore[arg-type]


def test_many_watch_one_fold_and_each_ends_with_what_it_should() -> None:
    words = [f"w{number}" for number in range(20)]
    log, store, fold = memory_log(), MemoryEngine(), ChokingFold()
    watchers = Watchers(store.snapshot)
    runner = choking_runner(log, store, fold, options=QUICK, on_commit=watchers.notify)
    runner.watermark.on_end(watchers.end)
    runner.start()

    def follow(word: str) -> bytes | None:
        last = None
        prefix = vote_count_prefix(f"choking {word}")
        for change in watchers.watch(get(fold.count_key(word)), prefixes=[prefix], timeout_s=WAIT_S):
            last = change.value
            if last is not None and int.from_bytes(last, "little") == 25:
                break
        return last

    with ThreadPoolExecutor(len(words)) as threads:
        following = [threads.submit(follow, word) for word in words]
        for _ in range(25):
            say(log, *words)
        for one in following:
            assert one.result(WAIT_S) == (25).to_bytes(8, "little")
    runner.close()


def test_errors_that_are_raised_often_do_not_gather_places() -> None:
    rows = Rows()
    watch = rows.watchers.watch(get(b"a"), keys=[b"a"])
    watch.read(0.0)
    error: CortexError = FoldStopped("poison", seq=7, fold="one")
    rows.watchers.end(error)
    for _ in islice(iter(int, 1), 3):
        with pytest.raises(FoldStopped) as caught:
            watch.read(0.0)
        assert (caught.value.seq, caught.value.fold) == (7, "one")
    assert error.__traceback__ is None
