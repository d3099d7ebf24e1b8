"""Envelopes as frames of net-mesh's log (RedEX), and its model of tasks, which folds such a log (CortEX).

Nothing is checked, hashed or verified: a frame is bytes.  Its folds are of tasks and memories; there is none to which
a claim could be given, so what is folded here are tasks, as `python -m bench.tasks` does with ours.
"""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


@contextmanager
def opened(folder: Path, durable_count: int) -> Iterator[Any]:
    """A log in this folder; at the end it must hold so many frames."""
    redex = importlib.import_module("net").Redex(persistent_dir=str(folder))
    log = redex.open_file("bench/claims", persistent=True)
    try:
        yield log
        assert len(log) == durable_count, (len(log), durable_count)
    finally:
        log.close()


def append_one(task: Task) -> Measured:
    """A sync after each append."""
    with opened(task.folder, len(task.warm) + len(task.bodies)) as log:

        def append(body: bytes) -> None:
            log.append(body)
            log.sync()

        return one_by_one(append, task)


def append_many(task: Task) -> Measured:
    """Batches of 64, a sync after each."""
    with opened(task.folder, len(task.warm) + len(task.bodies)) as log:

        def append(bodies: Sequence[bytes]) -> None:
            log.append_batch(list(bodies))
            log.sync()

        return in_batches(append, task, BATCH)


def folded(task: Task) -> Measured:
    """Tasks in a persistent log, until the fold has them."""
    net = importlib.import_module("net")
    tasks = net.TasksAdapter.open(net.Redex(persistent_dir=str(task.folder)), 1, persistent=True)
    measured = in_bursts(lambda number: tasks.create(number + 1, title(number), number), tasks.wait_for_seq)
    assert tasks.count() == TASKS, tasks.count()
    tasks.close()
    return measured


if __name__ == "__main__":
    main({APPEND_ONE: append_one, APPEND_MANY: append_many, FOLDED: folded})
