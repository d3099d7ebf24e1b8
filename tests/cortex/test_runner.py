import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cortex import CortexError, FoldClosed, FoldStopped, FoldVersionChanged, Runner, RunnerOptions, WrongLog
from keycodec import view_key
from stores import Batch, HybridStore, MemoryEngine, MetaStore
from tests.support.counting import (
    FOLDS,
    POISON,
    WORDS,
    PoisonFound,
    Reference,
    decode_word,
    digest_of,
    folded_count,
    make_runner,
    word_log,
    write_words,
)
from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.logs import flip_bit, open_log, read_all, segment_files
from tests.support.stores import SMALL, entry
from wal import FileLog, Frame, LogError, repair_log

BURST = 50_000


class GatedStore(MemoryEngine):
    """A memory engine whose commit waits for leave once it has told that it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.gated = False
        self.arrived = threading.Event()
        self.leave = threading.Event()

    def commit(self, batch: Batch) -> None:
        if self.gated:
            self.arrived.set()
            assert self.leave.wait(WAIT_S)
        super().commit(batch)


def cursor_of(store: MemoryEngine | HybridStore) -> int:
    with store.snapshot() as snapshot:
        return MetaStore(snapshot).cursor()


def run_to_end(runner: Runner[tuple[int, str]]) -> list[int]:
    """Apply batch after batch in this thread; give their sizes."""
    sizes = []
    while size := runner.run_once():
        sizes.append(size)
    return sizes


@pytest.mark.parametrize("count_max", [1, 2, 7, 1024])
def test_state_does_not_depend_on_the_size_of_batches(tmp_path: Path, count_max: int) -> None:
    with word_log(tmp_path / "log", 60) as log:
        expected = Reference(log)[60]
        memory, store = MemoryEngine(), HybridStore.open(tmp_path / "state", SMALL)
        for engine in (memory, store):
            sizes = run_to_end(make_runner(log, engine, count_max=count_max))
            assert max(sizes) <= count_max
            assert sum(sizes) == 60
            assert digest_of(engine) == expected
        store.close()


def test_batch_is_bounded_by_bytes_and_holds_at_least_one_event(tmp_path: Path) -> None:
    with open_log(tmp_path / "log") as log:
        log.append_many([(1, b"x" * 1000)] * 6).wait(WAIT_S)
        bounded = Runner(log, MemoryEngine(), FOLDS[:0], decode_word, RunnerOptions(batch_bytes_max=2500))
        assert run_to_end(bounded) == [3, 3]
        bounded = Runner(log, MemoryEngine(), FOLDS[:0], decode_word, RunnerOptions(batch_bytes_max=1))
        assert run_to_end(bounded) == [1] * 6


def test_restart_goes_on_at_the_cursor(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", 10) as log:
        store = HybridStore.open(tmp_path / "state", SMALL)
        runner = make_runner(log, store, count_max=4)
        assert (runner.run_once(), runner.run_once(), runner.lag) == (4, 4, 2)
        runner.close()
        store.close()
        write_words(log, 5, start=10)
        store = HybridStore.open(tmp_path / "state", SMALL)
        runner = make_runner(log, store, count_max=100)
        assert (runner.watermark.seq, runner.lag) == (8, 7)
        assert run_to_end(runner) == [7]
        assert (cursor_of(store), runner.lag) == (15, 0)
        assert digest_of(store) == Reference(log)[15]
        store.close()


def test_lag_counts_durable_events_that_are_not_applied(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", 3) as log:
        runner = make_runner(log, MemoryEngine(), count_max=2)
        assert runner.lag == 3
        runner.run_once()
        assert runner.lag == 1
        write_words(log, 4, start=3)
        assert runner.lag == 5
        run_to_end(runner)
        assert runner.lag == 0
        assert runner.run_once() == 0


def test_running_fold_follows_the_log(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", 3) as log:
        store = MemoryEngine()
        runner = make_runner(log, store)
        runner.start()
        assert runner.watermark.wait(2, WAIT_S)
        for seq in range(3, 40):
            write_words(log, 1, start=seq)
            assert runner.watermark.wait(seq, WAIT_S)
            with store.snapshot() as snapshot:
                assert folded_count(snapshot) == seq + 1
        runner.close()
        assert runner.lag == 0


def test_burst_of_appends_that_nobody_awaits_is_folded_whole(tmp_path: Path) -> None:
    with open_log(tmp_path / "log") as log:
        store = HybridStore.open(tmp_path / "state", SMALL)
        runner = make_runner(log, store)
        runner.start()
        for index in range(BURST):
            log.append(WORDS[index % len(WORDS)].encode(), 1)
        assert runner.watermark.wait(BURST - 1, WAIT_S)
        runner.close()
        with store.snapshot() as snapshot:
            assert folded_count(snapshot) == BURST
            for word in WORDS:
                counted = int.from_bytes(snapshot.get(view_key(word, "count")) or b"", "little")
                assert counted == BURST // len(WORDS)
        store.close()


def test_fold_that_raises_stops_the_runner_and_everybody_is_told(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", 4) as log, ThreadPoolExecutor(2) as threads:
        store = HybridStore.open(tmp_path / "state", SMALL)
        runner = make_runner(log, store)
        ended: list[CortexError | None] = []
        runner.watermark.on_end(ended.append)
        runner.start()
        assert runner.watermark.wait(3, WAIT_S)
        waits = [threads.submit(runner.watermark.wait, seq, WAIT_S) for seq in (5, 1000)]
        log.append_many([(1, b"Tesla"), (1, POISON), (1, b"Zug")]).wait(WAIT_S)
        for wait in waits:
            with pytest.raises(FoldStopped, match="seq 5: PoisonFound"):
                wait.result(WAIT_S)
        assert isinstance(runner.failure, FoldStopped)
        assert (runner.failure.seq, runner.failure.fold) == (5, "counting")
        assert isinstance(runner.failure.__cause__, PoisonFound)
        assert ended == [runner.failure]
        assert (runner.watermark.seq, cursor_of(store), runner.lag) == (5, 5, 2), "what came before is applied"
        assert digest_of(store) == Reference(log, 5)[5]
        write_words(log, 2, start=7)
        assert len(read_all(log)) == 9
        runner.close()
        assert isinstance(runner.failure, FoldStopped), "closing does not hide why"
        store.close()


def test_frame_that_a_repair_could_not_save_is_passed_over(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", 6) as log:
        words = [decode_word(frame)[1] for frame in read_all(log)]
    (path,) = segment_files(tmp_path / "log")
    flip_bit(path, (path.stat().st_size // 2) * 8)
    repair_log(tmp_path / "log", tmp_path / "repaired")
    with open_log(tmp_path / "repaired") as log:
        lost = [frame.seq for frame in read_all(log) if frame.lost]
        assert len(lost) == 1
        store, seen = MemoryEngine(), list[str]()

        def decode(frame: Frame) -> tuple[int, str]:
            seen.append(decode_word(frame)[1])
            return decode_word(frame)

        runner = Runner(log, store, FOLDS, decode, RunnerOptions(commit_interval_s=0.0))
        assert run_to_end(runner) == [6]
        assert cursor_of(store) == 6
        assert seen == [word for seq, word in enumerate(words) if seq not in lost]


def test_event_that_cannot_be_decoded_stops_the_runner(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", 2) as log:
        store = MemoryEngine()
        runner = make_runner(log, store)
        runner.start()
        log.append(b"\xff", 1).wait(WAIT_S)
        with pytest.raises(FoldStopped, match="UnicodeDecodeError"):
            runner.watermark.wait(2, WAIT_S)
        assert len(read_all(log)) == 3
        runner.close()


def test_state_of_another_log_is_refused_and_left_alone(tmp_path: Path) -> None:
    store = MemoryEngine()
    with word_log(tmp_path / "one", 3) as log:
        run_to_end(make_runner(log, store))
    before = digest_of(store)
    other = FileLog.open(tmp_path / "two", clock_ms=lambda: 0, new_log_id=lambda: b"another log's id")
    with other:
        write_words(other, 5)
        with pytest.raises(WrongLog):
            make_runner(other, store)
    assert digest_of(store) == before


@pytest.mark.parametrize("version", [0, 2])
def test_state_of_another_fold_version_is_refused_and_left_alone(tmp_path: Path, version: int) -> None:
    store = MemoryEngine()
    with word_log(tmp_path / "log", 3) as log:
        run_to_end(make_runner(log, store))
        before = digest_of(store)
        with pytest.raises(FoldVersionChanged):
            make_runner(log, store, version=version)
        with pytest.raises(FoldVersionChanged):  # a fold is missing
            Runner(log, store, (), decode_word)
        assert digest_of(store) == before
        assert make_runner(log, store).watermark.seq == 3


def test_state_that_is_ahead_of_its_log_is_refused(tmp_path: Path) -> None:
    store = MemoryEngine()
    with word_log(tmp_path / "long", 5) as log:
        run_to_end(make_runner(log, store))
    with word_log(tmp_path / "short", 4) as log, pytest.raises(WrongLog, match="5"):
        make_runner(log, store)
    with word_log(tmp_path / "longer", 6) as log:
        assert make_runner(log, store).watermark.seq == 5


def test_close_finishes_the_batch_in_hand(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", 6) as log, ThreadPoolExecutor(1) as threads:
        store = GatedStore()
        runner = make_runner(log, store, count_max=4)
        store.gated = True
        runner.start()
        assert store.arrived.wait(WAIT_S)
        closing = threads.submit(runner.close)
        with pytest.raises(TimeoutError):
            closing.result(0.01)
        store.leave.set()
        closing.result(WAIT_S)
        assert cursor_of(store) in (4, 6)
        assert digest_of(store) == Reference(log)[cursor_of(store)]
        assert runner.watermark.seq == cursor_of(store)


def test_close_tells_those_who_wait_and_may_come_twice(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", 2) as log, ThreadPoolExecutor(1) as threads:
        runner = make_runner(log, MemoryEngine())
        runner.start()
        assert runner.watermark.wait(1, WAIT_S)
        wait = threads.submit(runner.watermark.wait, 10, WAIT_S)
        runner.close()
        with pytest.raises(FoldClosed):
            wait.result(WAIT_S)
        runner.close()
        assert isinstance(runner.failure, FoldClosed)


def test_runner_that_was_never_started_closes(tmp_path: Path) -> None:
    with word_log(tmp_path / "log", 2) as log:
        runner = make_runner(log, MemoryEngine())
        runner.close()
        with pytest.raises(FoldClosed):
            runner.watermark.wait(0, 0.0)


class CountedLog(FileLog):
    """A log that tells when it has been asked how far it is suspiciously often."""

    looks = 0
    spun: threading.Event

    @property
    def durable_end(self) -> int:
        self.looks += 1
        if self.looks == 500:
            self.spun.set()
        return super().durable_end


@pytest.mark.parametrize("how", ["failed", "closed"])
def test_log_that_failed_or_closed_is_not_asked_in_a_circle(tmp_path: Path, how: str) -> None:
    files = FaultyFiles()
    log = CountedLog.open(tmp_path, clock_ms=lambda: 0, new_log_id=lambda: entry(1)[-16:], files=files)
    log.spun = threading.Event()
    runner = make_runner(log, MemoryEngine())
    runner.start()
    write_words(log, 3)
    assert runner.watermark.wait(2, WAIT_S)
    if how == "failed":
        files.fail("sync")
        with pytest.raises(LogError):
            log.append(b"lost", 1).wait(WAIT_S)
    else:
        log.close()
    assert not log.spun.wait(0.1), "the runner burns a processor"
    runner.close()
    log.close()
