"""What answers cost in process: full reads of a small and a large pair under every lens, the view, the past.

    python -m bench.reads [--runs 5] [--json FILE]

One database, 20 claims on one pair and 10,000 on another, five values, a
thousand agents, all six tiers.  The rows of a run are taken one after the
other, so what disturbs the machine disturbs all of them; medians over the runs.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from bench.work import scratch
from episteme import Node
from episteme.lenses import LENSES
from episteme.parameters import make_question
from model import SOURCE_CLASSES, Assertion, SignedEvent, SigningKey, TextValue, sign_event

SMALL, LARGE, PREDICATE = "twenty", "ten thousand", "measured_value"
COUNTS = {SMALL: 20, LARGE: 10_000}
AGENTS = 1000
VALUES = 5
REPEATS = {SMALL: 300, LARGE: 2}


def claims(subject: str, count: int) -> Iterator[SignedEvent]:
    """Claims of many agents about one pair."""
    chosen = random.Random(7)
    keys = [SigningKey(number.to_bytes(32)) for number in range(1, min(AGENTS, count) + 1)]
    for number in range(count):
        event = Assertion(
            v=2,
            subject=subject,
            predicate=PREDICATE,
            object=TextValue(f"value {chosen.randrange(VALUES)}"),
            confidence="0.8",
            source_class=chosen.choice(SOURCE_CLASSES),
            lifecycle="approved",
            timestamp=1_767_225_600_000 + number,
        )
        yield sign_event(event, keys[number % len(keys)])


def rows(node: Node) -> dict[str, tuple[Callable[[], object], int]]:
    """What is measured, by name, and how often in a run."""
    found: dict[str, tuple[Callable[[], object], int]] = {}
    for lens in LENSES.values():
        if lens.takes_predicate:
            for subject, count in COUNTS.items():
                question = make_question(subject, PREDICATE, lens=lens.name, full=True)
                found[f"{lens.name}, {count:,} claims"] = (_asking(node, question), REPEATS[subject])
    for subject, count in COUNTS.items():
        found[f"view, {count:,} claims"] = (_asking(node, make_question(subject, PREDICATE)), 300)
    past = make_question(LARGE, PREDICATE, as_of="seq:500", lens="consensus")
    found["as of a position, 481 claims"] = (_asking(node, past), 10)
    found["explain, 20 claims"] = (_asking(node, make_question(SMALL, PREDICATE, explain=True)), 100)
    found["compare 7 lenses with levers, 20 claims"] = (lambda: node.compare(SMALL, PREDICATE), 5)
    found["history, 20 turns"] = (lambda: node.history(SMALL, PREDICATE), 5)
    return found


def _asking(node: Node, question: object) -> Callable[[], object]:
    return lambda: node.ask(question)  # type: ignore[arg-type]


def measure(folder: Path, runs: int) -> dict[str, list[float]]:
    """Seconds for each answer, by row."""
    taken: dict[str, list[float]] = {}
    with Node.open(folder) as node:
        receipts = list(node.ingest([*claims(SMALL, COUNTS[SMALL]), *claims(LARGE, COUNTS[LARGE])]))
        last = receipts[-1].seq
        assert last is not None
        node.wait_applied(last, 30)
        for _ in range(runs):
            for name, (ask, repeats) in rows(node).items():
                start = time.perf_counter()
                for _ in range(repeats):
                    ask()
                taken.setdefault(name, []).append((time.perf_counter() - start) / repeats)
    return taken


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.reads", description="Measure answers in process.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with scratch() as folder:
        taken = measure(folder / "data", options.runs)
    print(f"{'answer':<42} {'median ms':>10} {'a second':>9}   lowest to highest ms")
    for name, times in taken.items():
        median = statistics.median(times)
        spread = f"{min(times) * 1e3:.3f} to {max(times) * 1e3:.3f}"
        print(f"{name:<42} {median * 1e3:>10.3f} {1 / median:>9,.0f}   {spread}")
    if options.json:
        options.json.write_bytes(msgspec.json.encode(taken))


if __name__ == "__main__":
    main()
