"""Measure what the database does, each figure beside its limit and its peers in the same rounds; print one table.

python -m bench [--quick] [--runs N] [--rows ROW,ROW] [--without-peers] [--held N] [--json FILE] [--claims FILE.csv]

Rows are told in bench/README.md.  Exit code 1: a row failed; the others are there.
"""

import argparse
import importlib
import json
import pkgutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from bench import machine, peers
from bench.inputs import QUICK, WHOLE, Counts, Work, make_seed, make_work, synthetic_rows
from bench.measured import Key, Unavailable
from bench.ours import variants
from bench.peer import PROGRAM_SUFFIXES, Peer, Row
from bench.rounds import KINDS, Figures, plan, run_rounds, selected, talk
from bench.stores import make_stores
from bench.table import Report, as_json, as_text, failures
from bench.work import scratch

BOOK_CLAIMS = Path("../shared/data/book/claims.csv")
RUNS = 5


def main() -> int:
    options = parse()
    started = time.monotonic()
    counts = (QUICK if options.quick else WHOLE)._replace(**({} if options.held is None else {"held": options.held}))
    runs = options.runs or (1 if options.quick else RUNS)
    with scratch() as folder:
        about = {
            "machine": machine.describe(folder),
            "versions": machine.versions(),
            "commit": machine.commit(),
            "settings": {"rounds": runs, "quick": options.quick, **counts._asdict()},
        }
        figures, facts = measure_all(folder, runs, counts, options)
        report = Report(about, facts, figures, time.monotonic() - started)
    print(as_text(report))
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(report), indent=1) + "\n")
    return 1 if failures(figures) else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round of less work, in a minute; judge nothing by it")
    parser.add_argument("--runs", type=int, help=f"rounds; {RUNS}, or 1 with --quick")
    parser.add_argument("--rows", type=names, default=[], help=f"of {', '.join(KINDS)}; default all")
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--held", type=int, help="claims of the large store; 0: no rows of it")
    parser.add_argument("--json", type=Path, help="write every value of every round there")
    parser.add_argument("--claims", type=Path, default=BOOK_CLAIMS, help="a CSV file with source, isbn, authors")
    return parser.parse_args()


def names(text: str) -> list[str]:
    rows = text.split(",")
    if unknown := set(rows) - KINDS.keys():
        raise argparse.ArgumentTypeError(f"no row is called {', '.join(sorted(unknown))}")
    return rows


def measure_all(
    folder: Path, runs: int, counts: Counts, options: argparse.Namespace
) -> tuple[Figures, dict[str, dict[str, str]]]:
    """All figures, and what is to be said of peers."""
    talk("signing, filling stores")
    seed = make_seed(folder / "seed", counts.pairs)
    stores = make_stores(folder, seed, counts.held)
    first = make_work(folder / "work", 0, counts, seed)
    file = options.claims if options.claims.exists() else synthetic_rows(folder / "claims.csv", counts.rows)
    with ExitStack() as opened:
        facts: dict[str, dict[str, str]] = {}
        found: dict[Key, Row] = {}
        for peer in [] if options.without_peers else all_peers(facts):
            open_peer(peer, folder, first, opened, found, facts)
        measurements = plan(selected(options.rows), variants(large=counts.held > 0), found, file)
        return run_rounds(folder, runs, first, stores, measurements), facts


def all_peers(facts: dict[str, dict[str, str]]) -> list[Peer]:
    """Those that bench/peers has; of one that cannot be imported the reason goes to facts."""
    found: list[Peer] = []
    names = sorted(one.name for one in pkgutil.iter_modules(peers.__path__))
    for module in (name for name in names if not name.endswith(PROGRAM_SUFFIXES)):
        try:
            peer = getattr(importlib.import_module(f"bench.peers.{module}"), "PEER", None)
        except ImportError as error:
            facts[module] = {"missing": str(error)}
            continue
        if peer is not None:
            found.append(peer)
    return found


def open_peer(
    peer: Peer, folder: Path, work: Work, opened: ExitStack, found: dict[Key, Row], facts: dict[str, dict[str, str]]
) -> None:
    """Open one for all rounds and note its rows, or why it is not there."""
    talk(f"opening {peer.name}")
    place = folder / f"peer{len(facts)}"
    place.mkdir()
    try:
        rows = opened.enter_context(peer.open(place, work.shared))
        facts[peer.name] = {"versions": peer.versions(), "durability": peer.durability}
    except Unavailable as error:
        facts[peer.name] = {"missing": str(error)}
    except Exception as error:  # another's software: whatever it is, ours is measured
        facts[peer.name] = {"failed": f"{type(error).__name__}: {error}"}
    else:
        found.update({Key(row, peer.name): run for row, run in rows.items()})


if __name__ == "__main__":
    sys.exit(main())
