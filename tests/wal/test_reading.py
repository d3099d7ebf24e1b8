"""Reads by position: beside retention, beside each other, and led astray by an index."""

import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_files import WAIT_S, UnsyncedFiles
from tests.support.logs import ALL, TIME_MS, open_log, segment_files
from wal import FileLog, LogOptions, Retention, Truncated
from wal.files import Files
from wal.index import STRIDE, SparseIndex


def seqs_back(log: FileLog, seq: int, *, count_max: int = ALL, bytes_max: int = ALL) -> list[int]:
    return [frame.seq for frame in log.read_back(seq, count_max=count_max, bytes_max=bytes_max)]


def test_read_back_holds_no_more_than_it_gives(tmp_path: Path) -> None:
    size = 2**20
    with open_log(tmp_path, segment_bytes=2**30) as log:
        for _ in range(STRIDE // 2):
            log.append(bytes(size), 1).wait(WAIT_S)
        tracemalloc.start()
        try:
            assert seqs_back(log, STRIDE // 2, count_max=1) == [STRIDE // 2 - 1]
            assert seqs_back(log, STRIDE // 2, bytes_max=size + 1) == [STRIDE // 2 - 1, STRIDE // 2 - 2]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 8 * size


class RacingFiles(UnsyncedFiles):
    """Calls back once, before the first file is opened for reading from then on; knows what was removed."""

    def __init__(self) -> None:
        self.before_read: Callable[[], object] | None = None
        self._removed: set[Path] = set()
        self._changed = threading.Condition()

    def wait_removed(self, path: Path) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: path in self._removed, WAIT_S)

    def open_read(self, path: Path) -> int:
        before, self.before_read = self.before_read, None
        if before is not None:
            before()
        return super().open_read(path)

    def remove_if_there(self, path: Path) -> None:
        super().remove_if_there(path)
        with self._changed:
            self._removed.add(path)
            self._changed.notify_all()


def append_each(log: FileLog, count: int) -> None:
    for _ in range(count):
        log.append(b"x", 1).wait(WAIT_S)


def append_until_removed(log: FileLog, count: int, files: RacingFiles, seq: int) -> None:
    """Append, and wait until retention, which comes behind a commit, has taken the segment of a seq."""
    append_each(log, count)
    files.wait_removed(log.folder / f"{seq:020d}.redex")


@pytest.fixture
def files() -> RacingFiles:
    return RacingFiles()


def open_retaining(folder: Path, files: Files) -> FileLog:
    """A log with a segment for each frame that keeps 5 of them and one more."""
    options = LogOptions(segment_bytes=1, retention=Retention(count_min=5))
    return open_log(folder, files=files, options=options)


@pytest.mark.parametrize("more", [1, 3])
def test_read_back_that_retention_overtakes_ends_at_the_new_floor(
    tmp_path: Path, files: RacingFiles, more: int
) -> None:
    with open_retaining(tmp_path, files) as log:
        append_each(log, 10)
        floor, end = log.first_seq, log.durable_end
        files.before_read = lambda: append_until_removed(log, more, files, floor + more - 1)
        assert seqs_back(log, end) == list(range(end - 1, floor + more - 1, -1))
        assert log.first_seq == floor + more


def test_read_back_whose_start_retention_takes_finds_nothing(tmp_path: Path, files: RacingFiles) -> None:
    with open_retaining(tmp_path, files) as log:
        append_each(log, 10)
        end = log.durable_end
        files.before_read = lambda: append_until_removed(log, 20, files, end - 1)
        assert seqs_back(log, end) == []
        with pytest.raises(Truncated):
            seqs_back(log, end)


def test_remembered_place_is_replaced_by_one_thread_at_a_time(tmp_path: Path) -> None:
    looks = 0
    with open_log(tmp_path) as log:

        class Watched(dict[int, Any]):
            def __iter__(self) -> Iterator[int]:
                nonlocal looks
                looks += 1
                assert log._reading._remembering.locked(), "another thread could change it meanwhile"
                return super().__iter__()

        log.append_many([(1, b"x")] * 1000).wait(WAIT_S)
        log._reading._places = Watched()
        for seq in range(0, 999, 2):
            assert log.get(seq).seq == seq
        assert looks > 0
        assert len(log._reading._places) < 300


@pytest.mark.parametrize("wrong", ["an offset", "an offset beyond the end", "a time too early", "a time too late"])
def test_seek_time_that_a_wrong_index_leads_astray_makes_it_anew(tmp_path: Path, wrong: str) -> None:
    count = 4 * STRIDE
    now_ms = iter(range(TIME_MS, TIME_MS + 10 * count))
    with open_log(tmp_path, clock_ms=lambda: next(now_ms)) as log:
        append_each(log, count)
        times = [frame.time_ms for frame in log.read_from(0, count_max=ALL, bytes_max=ALL)]
        (segment,) = log._contents_now().segments
        for seq in range(count):
            index = SparseIndex(0)
            for at in range(0, count, STRIDE):
                index.note(at, segment.index.offsets[at // STRIDE], times[at] << 16)
            if wrong == "an offset":
                index.offsets[1:] = type(index.offsets)("Q", [offset + 1 for offset in index.offsets[1:]])
            elif wrong == "an offset beyond the end":
                index.offsets[1:] = type(index.offsets)("Q", [2**40] * 3)
            elif wrong == "a time too early":
                index.times[3] = index.times[2] + 1
            else:
                index.times[1] = index.times[2] - 1
            segment.use_index(index)
            assert log.seek_time(times[seq]) == seq
            segment.make_index()
    assert len(segment_files(tmp_path)) == 1
