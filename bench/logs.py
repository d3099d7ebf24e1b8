"""Measure the logs of wal/, each figure beside its limit or its peer in the same run; print a table, with --json JSON.

python -m bench.logs [--runs N] [--json FILE] [--peer PYTHON] [--frames N]

--peer: a Python that has net-mesh (`make bench-logs` makes one where it can); without it those rows stay empty.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from bench.work import scratch
from wal import FileLog, Files, LogOptions

PAYLOAD = b"\xa5" * 256
FRAME_BYTES = 288
BATCH = 64
WRITERS = 64
SINGLE_APPENDS = 3000
APPENDS_A_WRITER = 600
OS_APPENDS = 200_000
OS_BATCHES = 6000
WAKE_UPS = 2000
UNROLLED = 2**30  # a segment that does not fill up, so that no sealing falls into the measurement


class Row(NamedTuple):
    """One line of the table: a figure of ours, and what it is held against, by name."""

    name: str
    unit: str
    limit: str | None = None
    peer: str | None = None


ROWS = [
    Row("durable, one writer", "/s", limit="write + fdatasync", peer="append_sync"),
    Row("durable, one writer, main thread", "/s", limit="write + fdatasync", peer="append_sync"),
    Row("durable, 64 writers", "/s"),
    Row("mean group of 64 writers", "frames"),
    Row("batches of 64, os", "/s", peer="append_batch_64"),
    Row("batches of 64, os, 64 MiB segments", "/s", peer="append_batch_64"),
    Row("single appends, os", "/s", peer="append"),
    Row("read in batches, 256 B", "/s", peer="read"),
    Row("read in batches, 4 KiB", "GB/s"),
    Row("append to wake-up, os", "us"),
    Row("append to wake-up, durable", "us"),
]


class CountingFiles(Files):
    """The real disk, and how often it was synced."""

    def __init__(self) -> None:
        self.sync_count = 0

    def sync(self, handle: int) -> None:
        self.sync_count += 1
        super().sync(handle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--frames", type=int, default=5_000_000, help="of the log that is opened; 0 leaves it out")
    options = parser.parse_args()
    found: dict[str, list[float]] = {}
    with scratch() as folder:
        for run in range(options.runs):
            print(f"run {run + 1} of {options.runs}", file=sys.stderr, flush=True)
            for name, value in one_run(folder, options.peer):
                found.setdefault(name, []).append(value)
        for name, value in open_times(folder, options.frames) if options.frames else ():
            found.setdefault(name, []).append(value)
    report(found, options.json)


def one_run(folder: Path, peer: Path | None) -> Iterator[tuple[str, float]]:
    yield "write + fdatasync", fdatasync_rate(folder / "bare")
    with ThreadPoolExecutor(1) as thread:
        yield "durable, one writer", thread.submit(one_writer_rate, folder).result()
    yield "durable, one writer, main thread", one_writer_rate(folder)
    rate, group = many_writers(folder)
    yield "durable, 64 writers", rate
    yield "mean group of 64 writers", group
    yield "batches of 64, os", batch_rate(folder, UNROLLED)
    yield "batches of 64, os, 64 MiB segments", batch_rate(folder, LogOptions().segment_bytes)
    yield "single appends, os", os_rate(folder)
    yield "read in batches, 256 B", read_rate(folder, PAYLOAD, 4000)
    yield "read in batches, 4 KiB", read_rate(folder, PAYLOAD * 16, 600) * (16 * 256 + 32) / 1e9
    yield "append to wake-up, os", wake_up_us(folder, LogOptions(durability="os"))
    yield "append to wake-up, durable", wake_up_us(folder, LogOptions())
    if peer is not None:
        done = subprocess.run(
            [str(peer), str(Path(__file__).with_name("net_mesh_peer.py")), str(folder / "peer")],
            capture_output=True,
            check=False,
            text=True,
            timeout=120,
        )
        if done.returncode:
            print(done.stderr.strip(), file=sys.stderr)
        else:
            yield from ((f"peer: {name}", value) for name, value in json.loads(done.stdout).items())


@contextmanager
def fresh_log(folder: Path, options: LogOptions, files: Files | None = None) -> Iterator[FileLog]:
    """A new log, removed afterwards."""
    path = folder / "log"
    with open_log(path, options, files) as log:
        yield log
    shutil.rmtree(path)


def open_log(
    path: Path,
    options: LogOptions,
    files: Files | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FileLog:
    return FileLog.open(
        path,
        clock_ms=lambda: time.time_ns() // 1_000_000,
        new_log_id=lambda: os.urandom(16),
        options=options,
        files=files,
        progress=progress,
    )


def fdatasync_rate(path: Path) -> float:
    """The disk's limit for one writer of frames of the same length."""
    handle, data = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), b"x" * FRAME_BYTES
    started = time.perf_counter()
    for _ in range(SINGLE_APPENDS):
        os.write(handle, data)
        os.fdatasync(handle)
    seconds = time.perf_counter() - started
    os.close(handle)
    return SINGLE_APPENDS / seconds


def one_writer_rate(folder: Path) -> float:
    with fresh_log(folder, LogOptions()) as log:
        started = time.perf_counter()
        for _ in range(SINGLE_APPENDS):
            log.append(PAYLOAD, 1).wait()
        return SINGLE_APPENDS / (time.perf_counter() - started)


def many_writers(folder: Path) -> tuple[float, float]:
    """Frames a second, and frames an fsync."""
    files = CountingFiles()
    with fresh_log(folder, LogOptions(), files) as log:
        before = files.sync_count

        def write() -> None:
            for _ in range(APPENDS_A_WRITER):
                log.append(PAYLOAD, 1).wait()

        threads = [threading.Thread(target=write) for _ in range(WRITERS)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        count = WRITERS * APPENDS_A_WRITER
        return count / (time.perf_counter() - started), count / (files.sync_count - before)


def batch_rate(folder: Path, segment_bytes: int) -> float:
    items = [(1, PAYLOAD)] * BATCH
    with fresh_log(folder, LogOptions(segment_bytes=segment_bytes, durability="os", when_full="block")) as log:
        started = time.perf_counter()
        for _ in range(OS_BATCHES):
            ticket = log.append_batch(items)
        ticket.wait()
        return OS_BATCHES * BATCH / (time.perf_counter() - started)


def os_rate(folder: Path) -> float:
    with fresh_log(folder, LogOptions(segment_bytes=UNROLLED, durability="os", when_full="block")) as log:
        started = time.perf_counter()
        for _ in range(OS_APPENDS):
            ticket = log.append(PAYLOAD, 1)
        ticket.wait()
        return OS_APPENDS / (time.perf_counter() - started)


def read_rate(folder: Path, payload: bytes, batches: int) -> float:
    """From the files, which the system has in memory."""
    with fresh_log(folder, LogOptions(durability="os", when_full="block")) as log:
        for _ in range(batches):
            log.append_batch([(1, payload)] * BATCH)
        log.barrier().wait()
        seq, started = 0, time.perf_counter()
        while frames := log.read_from(seq, count_max=4096, bytes_max=4 * 1024 * 1024):
            seq += len(frames)
        return seq / (time.perf_counter() - started)


def wake_up_us(folder: Path, options: LogOptions) -> float:
    """The median from the call of append to the return of wait_past in another thread; durable: with the fsync."""
    times: list[float] = []
    waits, started = threading.Semaphore(0), [0.0]
    with fresh_log(folder, options) as log:

        def follow() -> None:
            for seq in range(WAKE_UPS):
                waits.release()
                log.wait_past(seq, None)
                times.append(time.perf_counter() - started[0])

        follower = threading.Thread(target=follow)
        follower.start()
        for _ in range(WAKE_UPS):
            waits.acquire()
            time.sleep(0.0002)  # until it waits
            started[0] = time.perf_counter()
            log.append(PAYLOAD, 1).wait()
        follower.join()
    return statistics.median(times) * 1e6


def open_times(folder: Path, count: int) -> Iterator[tuple[str, float]]:
    """Opening a long log with its index files, and without: then with all of them made anew."""
    path, options = folder / "long", LogOptions(durability="os", when_full="block")
    with open_log(path, options) as log:
        for _ in range(count // BATCH):
            log.append_batch([(1, PAYLOAD)] * BATCH)
        size = log.size_bytes
    yield "long log, GB", size / 1e9
    yield "open, with index, s", timed(lambda: open_log(path, options).close())
    for index in path.glob("*.index"):
        index.unlink()
    walked: list[int] = []

    def rebuild() -> None:
        with open_log(path, options, progress=lambda done, _: walked.append(done)) as log:
            log.build_indexes(lambda done, _: walked.append(done))

    yield "open, without index, all made anew, s", timed(rebuild)
    assert walked, "no progress was told"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open_log(path, options) as log:
        seq = 0
        while frames := log.read_from(seq, count_max=4096, bytes_max=4 * 1024 * 1024):
            seq += len(frames)
    yield "memory that reading all of it added, MB", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    shutil.rmtree(path)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def report(found: dict[str, list[float]], path: Path | None) -> None:
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    )
    print(f"{machine}, google-crc32c {version('google-crc32c')}, blake3 {version('blake3')}")
    print(f"\n{'':38} {'median':>11} {'lowest':>11} {'highest':>11} {'of limit':>9} {'of peer':>8}")
    median = {name: statistics.median(values) for name, values in found.items()}
    for row in ROWS:
        values = found[row.name]
        limit = f"{median[row.name] / median[row.limit]:.2f}" if row.limit else ""
        peer = f"peer: {row.peer}"
        against = f"{median[row.name] / median[peer]:.2f}" if row.peer and peer in median else ""
        numbers = " ".join(f"{shown(value):>11}" for value in (median[row.name], min(values), max(values)))
        print(f"{row.name + ', ' + row.unit:38} {numbers} {limit:>9} {against:>8}")
    print()
    named = {row.name for row in ROWS}
    for name, value in median.items():
        if name not in named:
            print(f"{name:44} {shown(value):>11}")
    if path is not None:
        path.write_text(json.dumps({"machine": machine, "rows": found}, indent=2) + "\n")


def shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


if __name__ == "__main__":
    main()
