"""Rounds of measurements: each row's limit, ours and its peers one after another, so that a ratio is of one minute.

Rows are independent: one that fails says so in its place, and the others go on.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from bench import limits
from bench.driving import median_over_one, rate_over_many
from bench.inputs import Work, frame_bytes, make_work
from bench.measured import (
    APPEND_MANY,
    APPEND_ONE,
    BARE,
    BUNDLES,
    FOLDED,
    FULL,
    GROUPED,
    IMPORT,
    INGEST,
    LIMIT,
    POST_MANY,
    POST_ONE,
    QUERY,
    READABLE,
    Key,
    Measured,
    Unavailable,
)
from bench.ours import Stations, Variant, import_rate, measure
from bench.peer import Row
from bench.stores import Stores
from bench.targets import FDATASYNC, VERIFY

SYNCED: Final = "verified and fsynced before the answer"
NONE: Final = "nothing is kept"
LAID_OUT: Final = "fdatasync-laid-out"
DISK: Final = "disk"
VERIFICATIONS: Final = 5000


class Kind(NamedTuple):
    """What a row is, whoever does it."""

    what: str
    unit: str  # "/s", "s" or "B/s"
    durability: str


KINDS: Final[Mapping[str, Kind]] = {
    FDATASYNC: Kind("a write of one frame at the end of a file, and its fdatasync, median", "s", "each write"),
    LAID_OUT: Kind("the same within a file that is laid out beforehand", "s", "each write"),
    DISK: Kind("sequential write of 128 MiB, one fdatasync at the end", "B/s", "at the end"),
    VERIFY: Kind("Ed25519 verifications, libsodium, a process a core", "/s", "-"),
    POST_MANY: Kind("single POST, 64 connections", "/s", SYNCED),
    POST_ONE: Kind("single POST, 1 connection, median", "s", SYNCED),
    INGEST: Kind("ingest of individually signed claims, until readable", "/s", SYNCED),
    BUNDLES: Kind("ingest of bundled claims, until readable", "/s", SYNCED),
    QUERY: Kind("GET /v1/query answered by the view, 64 connections", "/s", "-"),
    FULL: Kind("GET /v1/query, full read of 20 candidates, 64 connections", "/s", "-"),
    READABLE: Kind("from 202 to readable, half load, median", "s", SYNCED),
    IMPORT: Kind("import of a CSV file, one key a source, until readable", "/s", SYNCED),
    GROUPED: Kind("single POST, 64 connections, to peers with a group commit added to them", "/s", SYNCED),
    APPEND_ONE: Kind("append of a POST's body to a log, one after another, no HTTP", "/s", "each append"),
    APPEND_MANY: Kind("the same, 64 under way or 64 at a time", "/s", "each append, or each batch"),
    FOLDED: Kind("tasks created in bursts of 100, the last of each folded, no HTTP", "/s", "none"),
}
LIMITS: Final[Mapping[str, Callable[["Round"], Measured]]] = {
    FDATASYNC: lambda found: limits.fdatasync(found.folder / "file", frame_bytes()),
    LAID_OUT: lambda found: limits.fdatasync(found.folder / "file", frame_bytes(), laid_out=True),
    DISK: lambda found: limits.sequential_write(found.folder / "file"),
    VERIFY: lambda _found: limits.verifications(VERIFICATIONS),
}
# Rows that a row is held against, and so measured with it.
NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    POST_ONE: (FDATASYNC, LAID_OUT),
    INGEST: (VERIFY,),
    BUNDLES: (INGEST, VERIFY),
    READABLE: (POST_MANY,),
}


class Round(NamedTuple):
    """What a measurement finds."""

    folder: Path
    work: Work
    stations: Stations
    values: dict[Key, float]  # of this round, so far


class Measurement(NamedTuple):
    """One figure of each round."""

    key: Key
    run: Callable[[Round], Measured]


class Failure(NamedTuple):
    """In the place of a figure."""

    reason: str
    expected: bool  # what is not there is no fault


Figures = dict[Key, list[Measured | Failure]]


def selected(rows: Sequence[str]) -> set[str]:
    """These rows, and those that they need; all, if none is named."""
    chosen = set(rows or KINDS)
    while more := {need for row in chosen for need in NEEDS.get(row, ())} - chosen:
        chosen |= more
    return chosen


def plan(chosen: set[str], variants: Sequence[Variant], peers: Mapping[Key, Row], file: Path) -> list[Measurement]:
    """Everything that is measured in a round, row by row: limits, bare, ours, peers."""
    found = []
    for row in KINDS:
        if row in chosen:
            found += _limits(row)
            found += [_ours(row, variant, file) for variant in variants if row in variant.rows]
            found += [_peers(key, peer) for key, peer in peers.items() if key.row == row]
    unknown = [key for key in peers if key.row not in KINDS and chosen == KINDS.keys()]
    return found + [_peers(key, peers[key]) for key in unknown]


def run_rounds(folder: Path, count: int, first: Work, stores: Stores, measurements: Sequence[Measurement]) -> Figures:
    """Measure everything so many times; a list of each, one item a round.

    Every other round goes through a row's figures backwards, so that none always has the same one before it.
    """
    figures: Figures = {measurement.key: [] for measurement in measurements}
    for number in range(count):
        talk(f"round {number + 1} of {count}")
        place = folder / f"round{number}"
        place.mkdir()
        work = make_work(place / "work", number, first.counts, first.shared.seed) if number else first
        with Stations(place / "stations", stores) as stations:
            found = Round(place, work, stations, {})
            for measurement in in_order(measurements, number):
                figures[measurement.key].append(_figure(measurement, found))
        shutil.rmtree(place)
    return figures


def in_order(measurements: Sequence[Measurement], number: int) -> Iterator[Measurement]:
    """Row by row, each row's backwards in odd rounds."""
    for row in dict.fromkeys(measurement.key.row for measurement in measurements):
        of_row = [measurement for measurement in measurements if measurement.key.row == row]
        yield from reversed(of_row) if number % 2 else of_row


def talk(text: str) -> None:
    """On stderr, as it goes."""
    print(text, file=sys.stderr, flush=True)


def _figure(measurement: Measurement, found: Round) -> Measured | Failure:
    key, started = measurement.key, time.monotonic()
    try:
        measured = measurement.run(found)
    except Unavailable as error:
        talk(f"  {key.row}, {key.who}: missing, {error}")
        return Failure(str(error), True)
    except Exception as error:  # whatever it is, the other rows go on; the table and the exit code tell
        talk(f"  {key.row}, {key.who}: {type(error).__name__}: {error}")
        found.stations.stop(key.who)
        return Failure(f"{type(error).__name__}: {error}", False)
    found.values[key] = measured.value
    talk(f"  {key.row}, {key.who}: {measured.value:,.6g} in {time.monotonic() - started:.1f} s")
    return measured


def _limits(row: str) -> list[Measurement]:
    if row in LIMITS:
        return [Measurement(Key(row, LIMIT), LIMITS[row])]
    return [Measurement(Key(row, BARE), partial(_bare, row))] if row in (POST_MANY, POST_ONE, QUERY) else []


def _bare(row: str, found: Round) -> Measured:
    server, shared = found.stations.bare(), found.work.shared
    if row == POST_ONE:
        return median_over_one(server, shared.one, shared.warm, 202)
    if row == POST_MANY:
        return rate_over_many(server, shared.many, shared.warm, 202)
    return rate_over_many(server, shared.queries, shared.warm, 200)


def _ours(row: str, variant: Variant, file: Path) -> Measurement:
    def run(found: Round) -> Measured:
        if row == IMPORT:
            return import_rate(found.folder / "import", file)
        rate = found.values.get(Key(POST_MANY, variant.who))
        return measure(row, found.stations.ours(variant), found.work, variant, rate)

    return Measurement(Key(row, variant.who), run)


def _peers(key: Key, row: Row) -> Measurement:
    return Measurement(key, lambda found: row(found.work.shared))
