"""How often is a lens right?  Real claims that disagree, with known truth: every lens, its accuracy and calibration.

    python -m bench.accuracy [--data ../shared/data] [--json FILE] [--seed N]

Imports each data set into a throw-away database in this process, one key a source, asks for every subject that has
truth under every lens, and prints coverage (answered of asked), accuracy, and calibration: of the answers that were so
sure, how many were right.  The data is not part of the project; where it is absent this says so and ends.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bench import birthplaces, books
from bench.ground import AS_ANSWERED, SILENT, Row, Table, database
from bench.work import scratch
from episteme.node import Node

DATA = Path("../shared/data")
SEED = 20
WIDTH = 58  # of the first column
SETS: dict[str, Callable[[Node, Path, Path, int], list[Table]]] = {
    birthplaces.FOLDER: birthplaces.measure,
    books.FOLDER: books.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="a folder with the folders birthplaces and book")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=SEED, help="of the halves with and without gold standards")
    options = parser.parse_args()
    tables: list[Table] = []
    for name, measure in SETS.items():
        if not (options.data / name / "truth.csv").exists():
            print(f"{options.data / name} is not here: nothing to measure it with")
            continue
        started_s = time.monotonic()
        with scratch() as folder, database(folder / "data") as node:
            tables += measure(node, options.data, folder / "keys", options.seed)
        print(f"{name}: {time.monotonic() - started_s:.0f} s", file=sys.stderr, flush=True)
    for table in tables:
        show(table)
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(tables)) + b"\n")


def show(table: Table) -> None:
    """The scores of all rows, then their calibration, under the reading that they share."""
    names = list(table.rows[0].scores)
    print(f"\n{table.title}\n")
    print(f"{'':{WIDTH}} {'coverage':>9}" + "".join(f" {name:>10}" for name in names) + f" {'cal. error':>11}")
    for reading, rows in by_reading(table.rows).items():
        print(reading)
        for row in rows:
            scores = "".join(f" {row.scores[name]:10.4f}" for name in names)
            print(f"  {', '.join(row.lenses):{WIDTH - 2}} {row.coverage:9.4f}{scores} {row.error:11.4f}")
        if reading == AS_ANSWERED:
            print(f"  {', '.join(SILENT):{WIDTH - 2}} name no winner: never right or wrong")
    for note in table.notes:
        print(f"* {note}")
    show_bins(table.rows)


def show_bins(rows: Sequence[Row]) -> None:
    """How many answers were about so sure, what they said on average, and what part of them was right."""
    print(f"\n{'':{WIDTH}} {'sure':>11} {'answers':>9} {'said':>7} {'right':>7}")
    for reading, members in by_reading(rows).items():
        print(reading)
        for row in members:
            head = f"  {', '.join(row.lenses)}"
            for one in row.bins:
                span = f"{one.low:.1f} to {one.high:.1f}"
                print(f"{head:{WIDTH}} {span:>11} {one.answers:9,} {one.said:7.3f} {one.right:7.3f}")
                head = ""


def by_reading(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.reading, []).append(row)
    return found


if __name__ == "__main__":
    main()
