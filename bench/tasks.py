"""Measure the task model of cortex/: create in bursts, and wait for the fold of each; print a row.

python -m bench.tasks [--runs N] [--bursts N] [--durability os|durable]
"""

import argparse
import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.work import scratch
from cortex import Tasks
from wal import LogOptions

BURST = 100
TARGET_PER_S = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--bursts", type=int, default=100, help="of 100 tasks each, in a run")
    parser.add_argument("--durability", choices=("os", "durable"), default="os")
    options = parser.parse_args()
    with scratch() as folder:
        rates = [rate(folder, options.bursts, options.durability) for _ in range(options.runs)]
    print("| row | median /s | lowest to highest | target |\n| --- | --- | --- | --- |")
    print(
        f"| tasks: create and wait for the fold, {options.durability}, bursts of {BURST} | "
        f"{statistics.median(rates):,.0f} | {min(rates):,.0f} to {max(rates):,.0f} | {TARGET_PER_S:,} |"
    )


def rate(folder: Path, burst_count: int, durability: str) -> float:
    """Tasks a second, from the first create to the last one's fold, on a new log and state."""
    with TemporaryDirectory(dir=folder) as path, open_tasks(Path(path), durability) as tasks:
        tasks.create("to warm up", wait=True)
        start_s = time.perf_counter()
        for burst in range(burst_count):
            for number in range(BURST):
                receipt = tasks.create(f"task {burst:05d}-{number:02d}")
            tasks.wait(receipt)
        took_s = time.perf_counter() - start_s
        assert tasks.counts()["created"] == burst_count * BURST + 1
    return burst_count * BURST / took_s


def open_tasks(folder: Path, durability: str) -> Tasks:
    return Tasks.open(
        folder,
        clock_ms=lambda: time.time_ns() // 1_000_000,
        new_log_id=lambda: os.urandom(16),
        log_options=LogOptions(durability="os" if durability == "os" else "durable"),
    )


if __name__ == "__main__":
    main()
