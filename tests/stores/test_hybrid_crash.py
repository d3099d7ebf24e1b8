"""Crashes at random places: after each, the pair holds the fold of exactly the commits that it reports."""

import random
from pathlib import Path

import pytest

from keycodec import assertion_key, meta_key, subject_postings_key, view_key, vote_count_key
from stores import (
    KV,
    Batch,
    HybridStore,
    MemoryEngine,
    MetaStore,
    MetaWriter,
    Reader,
    Staging,
    StoreFailed,
    state_digest,
)
from tests.support.faulty_engines import Call, Crash, Faults, Killed, When, engine_numbers, open_faulty
from tests.support.stores import SMALL, entry, hash_hex

WRITE_COUNTER = vote_count_key("Tesla", hash_hex(0))
READ_COUNTER = view_key("Tesla", "counter")
LIST = subject_postings_key("Tesla")
CRASHES_PER_SEED = 80


def fold_commit(reader: Reader, number: int) -> Batch:
    """The number-th batch: counters in both engines, and rows that depend on what is there already."""
    state = Staging(reader)
    for key in (WRITE_COUNTER, READ_COUNTER):
        state.put(key, _plus_one(state.get(key)))
    state.add_posting(LIST, entry(number))
    generator = random.Random(number)
    for _ in range(6):
        subject = f"subject {generator.randrange(40)}"
        write_key, read_key = assertion_key(subject, hash_hex(1)), view_key(subject, "p")
        before = state.get(read_key) or b""
        if generator.random() < 0.2:
            state.delete(write_key)
            state.delete(read_key)
        else:
            state.put(read_key, (before + b"%d," % number)[-2000:] + bytes(generator.choice([0, 1500])))
            state.put(write_key, before[:100] + b"%d" % number)
    MetaWriter(state).put_cursor(number + 1)
    return state.batch


def _plus_one(value: bytes | None) -> bytes:
    return (int.from_bytes(value or b"", "little") + 1).to_bytes(8, "little")


def commit_next(store: KV, number: int) -> None:
    with store.snapshot() as snapshot:
        batch = fold_commit(snapshot, number)
    store.commit(batch)


class Reference:
    """The digest of the state after each number of commits, made without crashes in memory."""

    def __init__(self) -> None:
        self._engine = MemoryEngine()
        self._digests = [state_digest(self._engine.snapshot())]

    def digest(self, count: int) -> str:
        while len(self._digests) <= count:
            commit_next(self._engine, len(self._digests) - 1)
            self._digests.append(state_digest(self._engine.snapshot()))
        return self._digests[count]


def check(store: HybridStore, reference: Reference) -> int:
    """The number of commits in a store that is the fold of exactly as many."""
    with store.snapshot() as snapshot:
        count = MetaStore(snapshot).cursor()
        assert int.from_bytes(snapshot.get(meta_key("commit")) or b"", "little") == count
        for key in (WRITE_COUNTER, READ_COUNTER):
            assert int.from_bytes(snapshot.get(key) or b"", "little") == count
        assert snapshot.posting_count(LIST) == count
        assert state_digest(snapshot) == reference.digest(count)
    return count


def random_crash(generator: random.Random) -> Crash:
    calls: list[Call] = ["write.commit", "write.commit", "read.commit", "read.commit", "read.grow"]
    whens: list[When] = ["before", "after"]
    error = generator.choice([StoreFailed, Killed])
    return Crash(generator.choice(calls), generator.choice(whens), generator.choice([1, 1, 2, 4]), error)


def commit_until_crash(store: HybridStore, done: int, generator: random.Random, reference: Reference) -> int:
    """Commit, perhaps until a fault; give the number of commits that were acknowledged."""
    try:
        for _ in range(generator.randrange(1, 5)):
            commit_next(store, done)
            done += 1
    except StoreFailed:
        with pytest.raises(StoreFailed):
            store.commit(Batch())
    except Killed:
        pass
    return done


@pytest.mark.parametrize("seed", range(5))
def test_reopened_pair_is_the_fold_of_exactly_the_commits_it_reports(tmp_path: Path, seed: int) -> None:
    generator, reference, faults = random.Random(seed), Reference(), Faults()
    acknowledged, seen, kept_after_crash = 0, 0, 0
    for crash_number in range(CRASHES_PER_SEED):
        try:
            store = open_faulty(tmp_path, faults)
        except (StoreFailed, Killed):  # a crash while the crash before is being mended
            continue
        try:
            seen = check(store, reference)
            assert acknowledged <= seen <= acknowledged + 1, f"seed {seed}, crash {crash_number}"
            kept_after_crash += seen - acknowledged
            faults.add(random_crash(generator))
            acknowledged = commit_until_crash(store, seen, generator, reference)
        finally:
            store.close()
    assert engine_numbers(tmp_path)[0] >= acknowledged > 40
    assert kept_after_crash > 5, "too few crashes came between the two engines"


@pytest.mark.parametrize("error", [StoreFailed, Killed])
@pytest.mark.parametrize(
    ("crash", "numbers"),
    [
        (("write.commit", "before"), (1, 1)),
        (("write.commit", "after"), (2, 1)),
        (("read.commit", "before"), (2, 1)),
        (("read.commit", "after"), (2, 2)),
    ],
)
def test_interrupted_commit_is_finished_or_leaves_no_trace(
    tmp_path: Path, crash: tuple[Call, When], numbers: tuple[int, int], error: type[BaseException]
) -> None:
    faults, reference = Faults(), Reference()
    store = open_faulty(tmp_path, faults)
    commit_next(store, 0)
    faults.add(Crash(*crash, 1, error))
    with pytest.raises(error):
        commit_next(store, 1)
    store.close()
    assert engine_numbers(tmp_path) == numbers
    store = open_faulty(tmp_path, faults)
    assert check(store, reference) == numbers[0]
    store.close()
    assert engine_numbers(tmp_path) == (numbers[0], numbers[0])


@pytest.mark.parametrize("call", ["write.commit", "read.commit"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_after_a_failed_commit_readers_keep_the_state_before_it(tmp_path: Path, call: Call, when: When) -> None:
    faults, reference = Faults(), Reference()
    store = open_faulty(tmp_path, faults, SMALL)
    commit_next(store, 0)
    faults.add(Crash(call, when, 1, StoreFailed))
    with pytest.raises(StoreFailed):
        commit_next(store, 1)
    assert check(store, reference) == 1
    store.close()


@pytest.mark.parametrize(
    ("call", "when"), [("write.commit", "after"), ("read.commit", "before"), ("read.commit", "after")]
)
@pytest.mark.parametrize("error", [Killed, KeyboardInterrupt, MemoryError, OSError])
def test_commit_that_anything_cut_short_is_finished_before_another_is_taken(
    tmp_path: Path, call: Call, when: When, error: type[BaseException]
) -> None:
    """Else the next takes its number and its redo's place, and LMDB never sees what RocksDB has of it."""
    faults, reference = Faults(), Reference()
    store = open_faulty(tmp_path, faults, SMALL)
    commit_next(store, 0)
    faults.add(Crash(call, when, 1, error))
    with pytest.raises(error):
        commit_next(store, 1)
    assert check(store, reference) == 1
    with pytest.raises(StoreFailed, match=error.__name__):
        store.commit(Batch())
    store.close()
    store = open_faulty(tmp_path, faults, SMALL)
    assert check(store, reference) == 2
    store.close()


@pytest.mark.parametrize("call", ["write.snapshot", "read.snapshot"])
def test_pair_that_cannot_show_a_commit_takes_no_more(tmp_path: Path, call: Call) -> None:
    """Else the next batch would be made from the state before this one, and this one's counts be lost."""
    faults, reference = Faults(), Reference()
    store = open_faulty(tmp_path, faults, SMALL)
    commit_next(store, 0)
    faults.add(Crash(call, "before", 1, StoreFailed))
    with pytest.raises(StoreFailed):
        commit_next(store, 1)
    with pytest.raises(StoreFailed):
        store.commit(Batch())
    store.close()
    store = open_faulty(tmp_path, faults, SMALL)
    assert check(store, reference) == 2
    store.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_crash_while_a_redo_is_applied_is_mended_by_the_next_open(tmp_path: Path, when: When) -> None:
    faults, reference = Faults(), Reference()
    store = open_faulty(tmp_path, faults)
    commit_next(store, 0)
    faults.add(Crash("read.commit", "before", 1, Killed))
    with pytest.raises(Killed):
        commit_next(store, 1)
    store.close()
    faults.add(Crash("read.commit", when, 1, Killed))
    with pytest.raises(Killed):
        open_faulty(tmp_path, faults)
    store = open_faulty(tmp_path, faults)
    assert check(store, reference) == 2
    store.close()
