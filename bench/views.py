"""What keeping views exact costs: claims into one pair against claims over as many pairs.

    python -m bench.views [--count 100000] [--runs 3]

Claims are unsigned and in the log beforehand; what is measured is the fold of
all of them, commits included, and at its end the hot pair's view against a
full read.  Medians over the runs; the rows of a run are taken one after the
other, so what disturbs the machine disturbs all of them.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from bench.work import scratch
from cortex import Runner
from episteme.folds import FOLDS, decode_frame
from episteme.reading import compute_view
from model import (
    FRAME_KIND_EVENT,
    Assertion,
    NumberValue,
    Receipt,
    Signature,
    SignedEvent,
    encode_record,
    event_hash,
)
from stores import HybridStore, Reader, ViewStore
from wal import FileLog

HOT = "hot"
PREDICATE = "measured_value"
AGENTS = 1000
CHUNK = 1000

Place = tuple[str, int, int]  # subject, agent, value


def spread(number: int) -> Place:
    """Every claim in a pair of its own."""
    return f"subject-{number:06d}", number % AGENTS, number % 7


def many_agents(number: int) -> Place:
    """One pair, a thousand agents, seven values: each agent goes from value to value."""
    return HOT, number % AGENTS, number % 7


def many_values(number: int) -> Place:
    """One pair, one agent, every value new."""
    return HOT, 0, number


ROWS: dict[str, Callable[[int], Place]] = {
    "a pair each": spread,
    "one pair, 1,000 agents, 7 values": many_agents,
    "one pair, 1 agent, all values distinct": many_values,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in ROWS}
    with scratch() as folder:
        for name, place in ROWS.items():
            write_log(folder / name, options.count, place)
        for run in range(options.runs):
            print(f"run {run + 1} of {options.runs}", file=sys.stderr, flush=True)
            for name in ROWS:
                rates[name].append(fold_rate(folder / name, folder / f"{name}.{run}", options.count))
    report(rates, options.count)


def write_log(folder: Path, count: int, place: Callable[[int], Place]) -> None:
    log = open_log(folder)
    items = [(FRAME_KIND_EVENT, payload) for payload in payloads(count, place)]
    for start in range(0, count, CHUNK):
        log.append_many(items[start : start + CHUNK]).wait(60.0)
    log.close()


def payloads(count: int, place: Callable[[int], Place]) -> Iterator[bytes]:
    for number in range(count):
        subject, agent, value = place(number)
        event = Assertion(
            v=2,
            subject=subject,
            predicate=PREDICATE,
            object=NumberValue(f"{value}.5"),
            confidence="0.85",
            source_class="observational",
            lifecycle="approved",
            timestamp=1_767_225_600_000 + number,
        )
        signature = Signature(agent.to_bytes(32, "big"), bytes(64))
        yield encode_record(SignedEvent(event, event_hash(event), (signature,)), Receipt())


def fold_rate(log_folder: Path, folder: Path, count: int) -> float:
    log = open_log(log_folder)
    store = HybridStore.open(folder)
    runner = Runner(log, store, FOLDS, decode_frame)
    started = time.perf_counter()
    while runner.run_once():
        pass
    seconds = time.perf_counter() - started
    assert runner.watermark.seq == count, runner.watermark.seq
    with store.snapshot() as snapshot:
        check(snapshot)
    store.close()
    log.close()
    return count / seconds


def check(reader: Reader) -> None:
    view = ViewStore(reader).get(HOT, PREDICATE)
    if view is not None:
        full = compute_view(reader, HOT, PREDICATE, view.seq, view.time)
        assert msgspec.msgpack.encode(view) == msgspec.msgpack.encode(full), "the view is not exact"


def open_log(folder: Path) -> FileLog:
    return FileLog.open(folder, clock_ms=lambda: 1_767_225_600_000, new_log_id=lambda: bytes(16))


def report(rates: dict[str, list[float]], count: int) -> None:
    (_, base), *hot = ((name, statistics.median(values)) for name, values in rates.items())
    print(f"{f'{count:,} claims in':42} {'claims/s':>9} {'lowest':>9} {'highest':>9}")
    for name, values in rates.items():
        print(f"{name:42} {statistics.median(values):9,.0f} {min(values):9,.0f} {max(values):9,.0f}")
    for name, rate in hot:
        print(f"{name}, against a pair each: {rate / base:.2f}")


if __name__ == "__main__":
    main()
