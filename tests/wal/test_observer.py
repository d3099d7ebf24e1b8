"""Whoever observes a log is told of every write and every fsync, and of nothing that failed."""

from pathlib import Path

import pytest

from tests.support.faulty_files import FaultyFiles
from tests.support.logs import open_log
from wal import LogError


class Told:
    def __init__(self) -> None:
        self.writes: list[tuple[int, int]] = []
        self.syncs = 0
        self.seconds: list[float] = []

    def wrote(self, frame_count: int, size_bytes: int, seconds: float) -> None:
        self.writes.append((frame_count, size_bytes))
        self.seconds.append(seconds)

    def synced(self, seconds: float) -> None:
        self.syncs += 1
        self.seconds.append(seconds)


def test_every_group_is_told_with_its_frames_its_bytes_and_how_long_it_took(tmp_path: Path) -> None:
    told = Told()
    with open_log(tmp_path / "log") as log:
        before = log.size_bytes
        log.observe(told)
        log.append(b"one", 1).wait()
        log.append_many([(1, b"payload")] * 7).wait()
        log.barrier().wait()
        assert [count for count, _ in told.writes] == [1, 7]
        assert sum(size for _, size in told.writes) == log.size_bytes - before
        assert told.syncs == 2
        assert all(0 <= seconds < 60 for seconds in told.seconds)
        log.observe(None)
        log.append(b"unseen", 1).wait()
        assert len(told.writes) == 2


@pytest.mark.parametrize(("operation", "writes"), [("write", 0), ("sync", 1)])
def test_what_failed_is_not_told_as_done(tmp_path: Path, operation: str, writes: int) -> None:
    files, told = FaultyFiles(), Told()
    with open_log(tmp_path / "log", files=files) as log:
        log.observe(told)
        files.fail(operation)
        with pytest.raises(LogError):
            log.append(b"lost", 1).wait()
        assert (len(told.writes), told.syncs) == (writes, 0)
