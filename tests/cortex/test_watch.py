"""Watching a state: what is given, when, in which thread, and how it ends."""

import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cortex import Change, Commit, CortexError, FoldClosed, FoldStopped, TooManyWatchers, Watchers
from keycodec import subject_postings_key, vote_count_prefix
from stores import Batch, MemoryEngine, Reader, Snapshot, StoreClosed
from stores.kv import position_of
from tests.support.choking import QUICK, ChokingFold, choking_runner, memory_log, say
from tests.support.faulty_files import WAIT_S
from tests.support.stores import entry
from wal import MemoryLog

Read = Callable[[Reader], bytes | None]


class Rows:
    """A store that is written without a fold, and those who watch it."""

    def __init__(self, count_max: int = 100) -> None:
        self.store = MemoryEngine()
        self.watchers = Watchers(self.open_snapshot, count_max=count_max)
        self.reads: list[int] = []  # the threads that took a snapshot

    def open_snapshot(self) -> Snapshot:
        self.reads.append(threading.get_ident())
        return self.store.snapshot()

    def put(self, *rows: tuple[bytes, bytes], lists: tuple[bytes, ...] = ()) -> None:
        """One commit."""
        batch = Batch()
        for key, value in rows:
            batch.put(key, value)
        for key in lists:
            batch.add_posting(key, entry(len(self.reads)))
        self.store.commit(batch)
        self.watchers.notify(Commit(0, batch.rows.keys(), batch.postings.keys()))


def get(key: bytes) -> Read:
    return lambda reader: reader.get(key)


# What is given


def test_current_result_comes_first_and_then_each_that_differs() -> None:
    rows = Rows()
    rows.put((b"a", b"1"))
    with rows.watchers.watch(get(b"a"), keys=[b"a"]) as watch:
        assert watch.read(0.0) == Change(0, b"1")
        assert watch.read(0.0) is None
        rows.put((b"a", b"2"))
        assert watch.read(0.0) == Change(0, b"2")
        rows.put((b"a", b"3"))
        assert watch.read(0.0) == Change(0, b"3")
        assert watch.read(0.0) is None


def test_nothing_is_a_result_too() -> None:
    rows = Rows()
    with rows.watchers.watch(get(b"a"), keys=[b"a"]) as watch:
        assert watch.read(0.0) == Change(0, None)
        assert watch.read(0.0) is None


def test_same_result_is_never_given_twice_in_a_row() -> None:
    rows = Rows()
    with rows.watchers.watch(get(b"a"), keys=[b"a"]) as watch:
        assert watch.read(0.0) == Change(0, None)
        rows.put((b"a", b"1"))
        assert watch.read(0.0) == Change(0, b"1")
        rows.put((b"a", b"1"))
        assert watch.read(0.0) is None
        assert len(rows.reads) == 3, "it was read again, and was the same"


def test_caller_says_when_two_results_are_the_same() -> None:
    rows, asked = Rows(), list[tuple[object, object]]()

    def same(one: object, two: object) -> bool:
        asked.append((one, two))
        return (one is None) == (two is None)

    with rows.watchers.watch(get(b"a"), keys=[b"a"], same=same) as watch:
        assert watch.read(0.0) == Change(0, None)
        assert asked == [], "the first is like no other"
        rows.put((b"a", b"1"))
        assert watch.read(0.0) == Change(0, b"1")
        rows.put((b"a", b"2"))
        assert watch.read(0.0) is None


def test_slow_reader_gets_the_newest_and_not_what_was_in_between() -> None:
    rows = Rows()
    with rows.watchers.watch(get(b"a"), keys=[b"a"]) as watch:
        assert watch.read(0.0) == Change(0, None)
        for number in range(1000):
            rows.put((b"a", b"%d" % number))
        assert watch.read(0.0) == Change(0, b"999")
        assert watch.read(0.0) is None
        assert len(rows.reads) == 2


def test_change_tells_the_position_of_the_state_that_gave_it() -> None:
    log, store, fold = memory_log(["a"]), MemoryEngine(), ChokingFold()
    watchers = Watchers(store.snapshot)
    runner = choking_runner(log, store, fold, options=QUICK, on_commit=watchers.notify)
    with watchers.watch(position_of, keys=[fold.view_key("a")]) as watch:
        assert watch.read(0.0) == Change(0, 0)
        runner.run_once()
        say(log, "b", "a")
        runner.run_once()
        assert watch.read(0.0) == Change(3, 3)


# Who is woken


def test_only_those_who_depend_on_a_touched_key_read_again() -> None:
    rows = Rows()
    watch = {key: rows.watchers.watch(get(key), keys=[key]) for key in (b"a", b"b", b"aa")}
    for one in watch.values():
        one.read(0.0)
    rows.put((b"a", b"1"), (b"c", b"1"))
    before = len(rows.reads)
    assert [watch[key].read(0.0) for key in (b"b", b"aa")] == [None, None]
    assert len(rows.reads) == before
    assert watch[b"a"].read(0.0) == Change(0, b"1")


def test_prefix_covers_every_key_under_it_and_none_beside_it() -> None:
    rows = Rows()
    count = 0

    def read(_: Reader) -> int:
        nonlocal count
        count += 1
        return count

    with rows.watchers.watch(read, prefixes=[b"ab", b"x"], keys=[b"q"]) as watch:
        assert watch.read(0.0)
        for key, woken in [
            (b"ab", True), (b"abc", True), (b"a", False), (b"ac", False), (b"b", False),
            (b"xyz", True), (b"q", True), (b"qq", False), (b"", False),
        ]:  # fmt: skip
            rows.watchers.notify(Commit(0, {key: b""}.keys(), ()))
            assert (watch.read(0.0) is not None) is woken, key


def test_empty_prefix_covers_everything() -> None:
    rows = Rows()
    with rows.watchers.watch(get(b"a"), prefixes=[b""]) as watch:
        watch.read(0.0)
        rows.put((b"a", b"1"))
        assert watch.read(0.0) == Change(0, b"1")


def test_posting_lists_are_watched_by_their_keys_too() -> None:
    rows, key = Rows(), subject_postings_key("a")
    by_key = rows.watchers.watch(lambda reader: reader.posting_count(key), keys=[key])
    by_prefix = rows.watchers.watch(lambda reader: reader.posting_count(key), prefixes=[b"a"])
    for watch in (by_key, by_prefix):
        assert watch.read(0.0) == Change(0, 0)
    rows.put(lists=(key,))
    for watch in (by_key, by_prefix):
        assert watch.read(0.0) == Change(0, 1)


keys = st.binary(max_size=3).map(lambda key: bytes(byte % 3 for byte in key))


@given(
    st.lists(st.tuples(st.sets(keys, max_size=3), st.sets(keys, max_size=2)), max_size=6), st.sets(keys), st.sets(keys)
)
@settings(max_examples=150, deadline=None)
def test_a_commit_wakes_exactly_those_whose_keys_or_prefixes_it_touched(
    watched: list[tuple[set[bytes], set[bytes]]], rows: set[bytes], lists: set[bytes]
) -> None:
    state = Rows()
    watches = [state.watchers.watch(get(b"a"), keys=exact, prefixes=prefixes) for exact, prefixes in watched]
    for watch in watches:
        watch.read(0.0)
    state.reads.clear()
    state.watchers.notify(Commit(0, dict.fromkeys(rows).keys(), dict.fromkeys(lists).keys()))
    for watch, (exact, prefixes) in zip(watches, watched, strict=True):
        before = len(state.reads)
        assert watch.read(0.0) is None
        touched = any(key in exact or key.startswith(tuple(prefixes)) for key in rows | lists)
        assert len(state.reads) - before == touched
    for watch in watches:
        watch.close()
    assert state.watchers.count == 0
    assert not state.watchers._by_key
    assert not state.watchers._by_prefix


def test_nothing_is_read_in_the_thread_that_commits() -> None:
    rows = Rows()
    with rows.watchers.watch(get(b"a"), keys=[b"a"]) as watch, ThreadPoolExecutor(1) as thread:
        watch.read(0.0)
        waiting = thread.submit(watch.read, WAIT_S)
        rows.put((b"a", b"1"))
        assert waiting.result(WAIT_S) == Change(0, b"1")
        reader = thread.submit(threading.get_ident).result(WAIT_S)
    assert rows.reads == [threading.get_ident(), reader]


def test_no_commit_between_the_registration_and_the_first_read_is_missed() -> None:
    rows = Rows()
    watch = rows.watchers.watch(get(b"a"), keys=[b"a"])
    rows.put((b"a", b"1"))
    assert watch.read(0.0) == Change(0, b"1")
    assert watch.read(0.0) is None


def test_commit_that_comes_during_a_read_is_seen_by_the_next() -> None:
    rows = Rows()
    rows.put((b"a", b"0"))

    def read_slowly(reader: Reader) -> bytes | None:
        found = reader.get(b"a")
        if found == b"0":
            rows.put((b"a", b"1"))  # after the snapshot was taken
        return found

    watch = rows.watchers.watch(read_slowly, keys=[b"a"])
    assert watch.read(0.0) == Change(0, b"0")
    assert watch.read(0.0) == Change(0, b"1")


def test_no_wake_up_is_lost_between_a_fold_and_those_who_watch_it() -> None:
    count = 3000
    log, store, fold = memory_log(), MemoryEngine(), ChokingFold()
    watchers = Watchers(store.snapshot)
    runner = choking_runner(log, store, fold, options=QUICK, on_commit=watchers.notify)
    interval = sys.getswitchinterval()

    def follow() -> list[int]:
        with watchers.watch(
            lambda reader: int.from_bytes(reader.get(fold.view_key("a")) or b"", "little"),
            keys=[fold.view_key("a")],
            timeout_s=WAIT_S,
        ) as watch:
            seen = []
            for change in watch:
                seen.append(change.value)
                if change.value == count:
                    break
            return seen

    runner.start()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(3) as threads:
            following = [threads.submit(follow) for _ in range(3)]
            for _ in range(count):
                say(log, "a")
            for one in following:
                seen = one.result(WAIT_S)
                assert seen[-1] == count
                assert seen == sorted(set(seen)), "each differs from the one before, and none goes back"
    finally:
        sys.setswitchinterval(interval)
        runner.close()


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
