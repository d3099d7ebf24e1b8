"""Measure the state: folding, posting lists, restart and memory; print a table and, with --json, JSON.

python -m bench.state [--runs N] [--assertions N] [--json FILE]
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.work import scratch
from cortex import Runner, RunnerOptions
from episteme.folds import FOLDS, decode_frame
from keycodec import pair_postings_key
from model import FRAME_KIND_EVENT, Assertion, NumberValue, Receipt, Signature, SignedEvent, encode_record, event_hash
from stores import Batch, HybridStore
from wal import FileLog, LogOptions

FOLDED = 200_000
ADDED = 20_000
LONG, SHORT = 1_000_000, 10
AGENTS = 16
READY_S = 300.0
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--assertions", type=int, default=1_000_000, help="of the store that is killed")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: dict[str, list[float]] = {}
    with scratch() as folder:
        for run in range(options.runs):
            print(f"run {run + 1} of {options.runs}", file=sys.stderr, flush=True)
            for name, measure in measures(folder / str(run)).items():
                rows.setdefault(name, []).append(measure())
            shutil.rmtree(folder / str(run))
        for name, value in killed_store(folder / "killed", options.assertions).items():
            rows[name] = [value]
    print(f"{'':66} {'median':>11} {'lowest':>11} {'highest':>11}")
    for name, values in rows.items():
        print(f"{name:66} {statistics.median(values):11,.2f} {min(values):11,.2f} {max(values):11,.2f}")
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def measures(folder: Path) -> dict[str, Callable[[], float]]:
    return {
        "index fold, ten claims a pair /s": lambda: fold_rate(folder / "ten", pair_of_ten),
        "index fold, every claim a pair of its own /s": lambda: fold_rate(folder / "own", str),
        "index fold, pairs in no order /s": lambda: fold_rate(folder / "mixed", scattered),
        "adding to a posting list of 1,000,000, against one of 10": lambda: posting_ratio(folder / "lists"),
    }


def pair_of_ten(number: int) -> str:
    return str(number // 10)


def scattered(number: int) -> str:
    return str(number * 7919 % (FOLDED // 10))


def assertions(count: int, subject_of: Callable[[int], str]) -> Iterator[bytes]:
    """Records as the log has them; the fold verifies no signature, so these hold none."""
    for number in range(count):
        event = Assertion(
            v=2,
            subject=f"subject-{subject_of(number)}",
            predicate="measured_value",
            object=NumberValue(f"{number % 7}.{number % 10}"),
            confidence="0.85",
            source_class="observational",
            lifecycle="approved",
            timestamp=1_767_225_600_000 + number,
        )
        signature = Signature(bytes([number % AGENTS + 1]) * 32, bytes(64))
        yield encode_record(SignedEvent(event, event_hash(event), (signature,)), Receipt("bench"))


@contextmanager
def filled_log(folder: Path, records: Iterator[bytes]) -> Iterator[FileLog]:
    with FileLog.open(
        folder,
        clock_ms=lambda: time.time_ns() // 1_000_000,
        new_log_id=lambda: os.urandom(16),
        options=LogOptions(durability="os", when_full="block"),
    ) as log:
        for record in records:
            ticket = log.append(record, FRAME_KIND_EVENT)
        ticket.wait()
        yield log


def fold_rate(folder: Path, subject_of: Callable[[int], str]) -> float:
    """Assertions a second: read from the log, decoded, folded and committed; synced as a database is."""
    with filled_log(folder / "log", assertions(FOLDED, subject_of)) as log:
        store = HybridStore.open(folder / "state")
        runner = Runner(log, store, FOLDS, decode_frame, RunnerOptions())
        started = time.perf_counter()
        runner.run_to(FOLDED)
        seconds = time.perf_counter() - started
        store.close()
    shutil.rmtree(folder)
    return FOLDED / seconds


def posting_ratio(folder: Path) -> float:
    """How the rate of adding to a long list compares with that of adding to a short one, in commits of 100."""
    store = HybridStore.open(folder)
    long_key, short_key = (pair_postings_key(name, "p") for name in ("long", "short"))
    for start in range(0, LONG, 10_000):
        add(store, long_key, range(start, start + 10_000))
    add(store, short_key, range(SHORT))
    seconds = {long_key: 0.0, short_key: 0.0}
    for place in range(0, ADDED, 100):
        for key, length in ((long_key, LONG), (short_key, SHORT)):
            started = time.perf_counter()
            add(store, key, range(length + place, length + place + 100))
            seconds[key] += time.perf_counter() - started
    store.close()
    return seconds[short_key] / seconds[long_key]


def add(store: HybridStore, key: bytes, numbers: range) -> None:
    batch = Batch()
    for number in numbers:
        batch.add_posting(key, number.to_bytes(8, "big") + bytes(32))
    store.commit(batch)


def killed_store(data: Path, count: int) -> dict[str, float]:
    """A server folds count assertions, is killed, and comes back."""
    with filled_log(data / "log", assertions(count, pair_of_ten)):
        pass
    started = time.perf_counter()
    with server(data) as (process, port):
        until_ready(port)
        folded_s = time.perf_counter() - started
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.send_signal(signal.SIGKILL)
        process.wait()
    memory = {name: int(kib) / 1024 for name, kib in re.findall(r"(RssAnon|VmHWM):\s+(\d+) kB", status)}
    started = time.perf_counter()
    with server(data) as (_, port):
        until_ready(port)
        restart_s = time.perf_counter() - started
    return {
        f"a server folds {count:,} assertions /s": count / folded_s,
        "its anonymous memory then, MiB": memory["RssAnon"],
        "kill -9, then start until ready, s": restart_s,
        "the same, bare: start of an empty database, s": bare_start(data.with_name("empty")),
    }


def bare_start(data: Path) -> float:
    started = time.perf_counter()
    with server(data) as (_, port):
        until_ready(port)
        return time.perf_counter() - started


@contextmanager
def server(data: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    arguments = [sys.executable, "-m", "episteme", "serve", "--data", str(data), "--port", "0"]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "listening on " in line:
                yield process, int(line.rsplit(":", 1)[1])
                break
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()


def until_ready(port: int) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.01)
    raise AssertionError("the server did not become ready")


if __name__ == "__main__":
    main()
