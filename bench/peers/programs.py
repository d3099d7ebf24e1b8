"""Peers that are libraries: each measured by a program of its own, one row a run, in the peers' environment.

    python -m bench.peers.NAME_program ROW FOLDER FILE WARM

FILE holds POSTs as bench.load reads them; what they send is the work.  The program prints one JSON object: `value` as
the row says, `p99_s` where there is one, `cpu_us` of an operation.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from bench.measured import INGEST, Measured
from bench.peer import Inputs, Row
from bench.peers.http_rows import bodies_of

APPEND_ONE: Final = "append-1"  # durable appends in process, one after another: /s, with p99
APPEND_MANY: Final = "append-64"  # the same with 64 under way, or 64 at a time: /s
FOLDED: Final = "tasks-folded"  # created in bursts, the last of each waited for, on a log without fsyncs: /s
BATCH: Final = 64
BURST: Final = 100
TASKS: Final = 10_000
PROGRAM_S: Final = 120.0

# Files of the inputs by row; of any other row, those of single appends.
_FILES: Final[Mapping[str, str]] = {APPEND_MANY: "many", INGEST: "ingest"}


class Task(NamedTuple):
    """What a program is to do."""

    folder: Path  # its own and empty
    warm: Sequence[bytes]  # bodies that count for nothing
    bodies: Sequence[bytes]


def program_rows(module: str, env: Mapping[str, str], folder: Path, names: Sequence[str]) -> Mapping[str, Row]:
    """The rows that a program can measure."""
    return {name: partial(_run, module, env, folder, name) for name in names}


def _run(module: str, env: Mapping[str, str], folder: Path, name: str, inputs: Inputs) -> Measured:
    field = _FILES.get(name, "one")
    warm = 0 if name == INGEST else inputs.warm
    with TemporaryDirectory(dir=folder) as fresh:
        done = subprocess.run(
            [sys.executable, "-m", module, name, fresh, str(getattr(inputs, field)), str(warm)],
            check=False,
            capture_output=True,
            env={**os.environ, **env},
            text=True,
            timeout=PROGRAM_S,
        )
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or "it said nothing").splitlines()[-1])
    return Measured(**json.loads(done.stdout))


def main(measures: Mapping[str, Callable[[Task], Measured]]) -> None:
    """The program: measure a row and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("row", choices=list(measures))
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("warm", type=int)
    options = parser.parse_args()
    bodies = list(bodies_of(options.file))
    found = measures[options.row](Task(options.folder, bodies[: options.warm], bodies[options.warm :]))
    print(json.dumps(found._asdict()))


def one_by_one(append: Callable[[bytes], Any], task: Task) -> Measured:
    """The rate of appends, each on the disk before the next begins."""
    for body in task.warm:
        append(body)
    seconds, cpu_s = [], time.process_time()
    for body in task.bodies:
        before = time.perf_counter()
        append(body)
        seconds.append(time.perf_counter() - before)
    return rate_of(seconds, (time.process_time() - cpu_s) / len(seconds) * 1e6)


def rate_of(seconds: Sequence[float], cpu_us: float | None = None) -> Measured:
    """Of operations one after another that took so long each."""
    return Measured(len(seconds) / sum(seconds), sorted(seconds)[len(seconds) * 99 // 100], cpu_us)


def in_batches(append: Callable[[Sequence[bytes]], Any], task: Task, size: int) -> Measured:
    """The rate of appends, so many at a time, each batch on the disk before the next begins."""
    append(task.warm) if task.warm else None
    cpu_s, started = time.process_time(), time.perf_counter()
    for start in range(0, len(task.bodies), size):
        append(task.bodies[start : start + size])
    seconds = time.perf_counter() - started
    return Measured(len(task.bodies) / seconds, cpu_us=(time.process_time() - cpu_s) / len(task.bodies) * 1e6)


def in_bursts(create: Callable[[int], Any], wait: Callable[[Any], Any]) -> Measured:
    """The rate of tasks made in bursts of 100, the last of each waited for until the fold has it."""
    cpu_s, started = time.process_time(), time.perf_counter()
    for start in range(0, TASKS, BURST):
        for number in range(start, start + BURST):
            made = create(number)
        wait(made)
    seconds = time.perf_counter() - started
    return Measured(TASKS / seconds, cpu_us=(time.process_time() - cpu_s) / TASKS * 1e6)


def title(number: int) -> str:
    """Of a task."""
    return f"task {number:07d}"
