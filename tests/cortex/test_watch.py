"""Watching a state: what is given, who is woken, and in which thread."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings
from hypothesis import strategies as st

from cortex import Change, Commit, Watchers
from keycodec import subject_postings_key
from stores import MemoryEngine, Reader
from stores.kv import position_of
from tests.support.choking import QUICK, ChokingFold, choking_runner, memory_log, say
from tests.support.faulty_files import WAIT_S
from tests.support.watched import Rows, get

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
