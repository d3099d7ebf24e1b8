"""Envelopes as frames of wal/ and tasks of cortex/, in process: nothing is checked, hashed or verified here."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.measured import Measured
from bench.peers.programs import (
    APPEND_MANY,
    APPEND_ONE,
    BATCH,
    FOLDED,
    TASKS,
    Task,
    in_batches,
    in_bursts,
    main,
    one_by_one,
    title,
)
from cortex import Tasks
from wal import FileLog, LogOptions

FRAME_KIND = 1


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def new_log_id() -> bytes:
    return os.urandom(16)


@contextmanager
def opened(folder: Path, durable_count: int) -> Iterator[FileLog]:
    """A log in this folder; at the end it must hold so many frames."""
    with FileLog.open(folder / "log", clock_ms=now_ms, new_log_id=new_log_id, options=LogOptions()) as log:
        yield log
        assert log.durable_end == durable_count, (log.durable_end, durable_count)


def append_one(task: Task) -> Measured:
    """Each waited for."""
    with opened(task.folder, len(task.warm) + len(task.bodies)) as log:
        return one_by_one(lambda body: log.append(body, FRAME_KIND).wait(), task)


def append_many(task: Task) -> Measured:
    """Batches of 64, each waited for."""
    with opened(task.folder, len(task.warm) + len(task.bodies)) as log:

        def append(bodies: Sequence[bytes]) -> None:
            log.append_batch([(FRAME_KIND, body) for body in bodies]).wait()

        return in_batches(append, task, BATCH)


def folded(task: Task) -> Measured:
    """Tasks on a log of durability os, until the fold has them."""
    options = LogOptions(durability="os")
    with Tasks.open(task.folder, clock_ms=now_ms, new_log_id=new_log_id, log_options=options) as tasks:
        measured = in_bursts(lambda number: tasks.create(title(number)), tasks.wait)
        assert tasks.counts()["created"] == TASKS, tasks.counts()
        return measured


if __name__ == "__main__":
    main({APPEND_ONE: append_one, APPEND_MANY: append_many, FOLDED: folded})
