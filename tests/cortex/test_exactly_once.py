"""Kills at random commits: each event of the log is in the state once, up to the cursor."""

import random
from pathlib import Path

import pytest

from cortex import FoldStopped, apply_batch
from stores import Batch, MemoryEngine, MetaStore, StoreFailed
from tests.support.counting import FOLDS, Reference, decode_word, digest_of, folded_count, make_runner, word_log
from tests.support.faulty_engines import Call, Crash, Faults, Killed, When, open_faulty
from tests.support.faulty_files import WAIT_S
from tests.support.stores import SMALL

EVENTS = 200


class FailingMemory(MemoryEngine):
    """A memory engine whose next commit fails, before or after it took effect."""

    fail_next = ""

    def commit(self, batch: Batch) -> None:
        fail, self.fail_next = self.fail_next, ""
        if fail == "before":
            raise StoreFailed(fail)
        super().commit(batch)
        if fail == "after":
            raise StoreFailed(fail)


@pytest.mark.parametrize("seed", range(4))
def test_every_event_counts_once_whatever_commit_fails(tmp_path: Path, seed: int) -> None:
    generator, store = random.Random(seed), FailingMemory()
    with word_log(tmp_path / "log", EVENTS) as log:
        reference = Reference(log)
        cursor, failures = 0, 0
        while cursor < EVENTS:
            runner = make_runner(log, store, count_max=generator.randrange(1, 6))
            store.fail_next = generator.choice(["", "", "before", "after"])
            try:
                runner.run_once()
            except StoreFailed:
                failures += 1
            with store.snapshot() as snapshot:
                cursor = MetaStore(snapshot).cursor()
                assert folded_count(snapshot) == cursor
            assert digest_of(store) == reference[cursor], f"seed {seed}, cursor {cursor}"
    assert failures > 10


@pytest.mark.parametrize("error", [StoreFailed, Killed])
@pytest.mark.parametrize("seed", range(2))
def test_every_event_counts_once_whatever_engine_is_killed_when(
    tmp_path: Path, seed: int, error: type[BaseException]
) -> None:
    generator, faults = random.Random(seed), Faults()
    with word_log(tmp_path / "log", EVENTS) as log:
        reference = Reference(log)
        cursor, crashes = 0, 0
        while cursor < EVENTS:
            store = open_faulty(tmp_path / "state", faults)
            runner = make_runner(log, store, count_max=generator.randrange(1, 6))
            cursor = runner.watermark.seq
            assert digest_of(store) == reference[cursor], f"seed {seed}, cursor {cursor}"
            calls: list[Call] = ["write.commit", "read.commit"]
            whens: list[When] = ["before", "after"]
            faults.add(Crash(generator.choice(calls), generator.choice(whens), generator.randrange(1, 4), error))
            try:
                while runner.run_once():
                    pass
                cursor = runner.watermark.seq
            except error:
                crashes += 1
            store.close()
    assert crashes > 20


@pytest.mark.parametrize("call", ["write.commit", "read.commit"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_store_that_fails_stops_the_running_fold_and_reopening_goes_on(tmp_path: Path, call: Call, when: When) -> None:
    faults = Faults()
    with word_log(tmp_path / "log", 20) as log:
        reference = Reference(log)
        store = open_faulty(tmp_path / "state", faults, SMALL)
        runner = make_runner(log, store, count_max=5)
        faults.add(Crash(call, when, 2, StoreFailed))
        runner.start()
        with pytest.raises(FoldStopped, match="seq 5: StoreFailed"):
            runner.watermark.wait(19, WAIT_S)
        assert runner.watermark.wait(4, 0.0)
        assert digest_of(store) == reference[5], "readers go on with what was applied"
        runner.close()
        store.close()
        store = open_faulty(tmp_path / "state", faults, SMALL)
        runner = make_runner(log, store, count_max=5)
        assert runner.watermark.seq == (5 if (call, when) == ("write.commit", "before") else 10)
        runner.start()
        assert runner.watermark.wait(19, WAIT_S)
        runner.close()
        assert digest_of(store) == reference[20]
        store.close()


def test_the_reference_counts_each_event_once(tmp_path: Path) -> None:
    """Guards the tests above: a batch that is applied twice must show."""
    store = MemoryEngine()
    with word_log(tmp_path / "log", 10) as log:
        reference = Reference(log)
        runner = make_runner(log, store, count_max=10)
        runner.run_once()
        assert digest_of(store) == reference[10]
        [frame] = log.read_from(9, count_max=1, bytes_max=1)
        with pytest.raises(AssertionError):  # the fold compares its counter with its list
            apply_batch(store, FOLDS, [decode_word(frame)], 10)
