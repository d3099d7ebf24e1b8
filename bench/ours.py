"""Our servers in a round, and the rows that are measured on them.

A server is started when the first row of a round needs it, and stopped at the end of the round; one whose row failed
is stopped at once, so that the next row finds a new one.
"""

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple, Self

from bench.driving import ingest_rate, median_over_one, rate_over_many, readable_median
from bench.inputs import CANDIDATES, PROBE_EVERY, Work
from bench.limits import cores
from bench.measured import (
    BARE,
    BUNDLES,
    FULL,
    HELD,
    IMPORT,
    INGEST,
    OURS,
    POST_MANY,
    POST_ONE,
    QUERY,
    READABLE,
    Measured,
    Unavailable,
)
from bench.stores import QUESTION, Stores
from bench.work import Server, episteme_server, last_words, serving

HALF: Final = 0.5
EXPECTED: Final = f'"candidates_count":{CANDIDATES},'


class Variant(NamedTuple):
    """A way to serve, and the rows that are measured of it."""

    who: str
    options: tuple[str, ...] = ()
    held: bool = False
    rows: tuple[str, ...] = (POST_MANY, POST_ONE, INGEST, BUNDLES, QUERY, FULL, READABLE)


def variants(*, large: bool) -> list[Variant]:
    """The defaults first; more workers where there are cores for them; the large store, if there is one."""
    return [
        Variant(OURS, rows=(POST_MANY, POST_ONE, INGEST, BUNDLES, QUERY, FULL, READABLE, IMPORT)),
        *(
            Variant(f"{OURS}, {n} workers", ("--workers", str(n)), rows=(POST_MANY, INGEST, BUNDLES, QUERY, FULL))
            for n in (2, 4)
            if n <= max(2, cores())
        ),
        Variant(f"{OURS}, no audit", ("--no-audit",), rows=(QUERY,)),
        *([Variant(HELD, held=True)] if large else []),
    ]


class Stations:
    """The servers of one round."""

    def __init__(self, folder: Path, stores: Stores) -> None:
        folder.mkdir()
        self._folder = folder
        self._stores = stores
        self._running: dict[str, tuple[Server, ExitStack]] = {}
        self._count = 0

    def bare(self) -> Server:
        """The bare application."""
        return self._running_as(BARE, ["bench.bare", str(self._stores.answer_bytes)])

    def ours(self, variant: Variant) -> Server:
        """The variant's.

        Raises: Unavailable if there is no such option; RuntimeError if it does not start.
        """
        data = self._folder if variant.who in self._running else self._data(variant)
        try:
            return self._running_as(
                variant.who, ["episteme", "serve", "--data", str(data), "--port", "0", *variant.options]
            )
        except RuntimeError as error:
            if "No such option" in str(error):
                raise Unavailable(f"serve has no {variant.options[0]}") from error
            raise

    def stop(self, who: str) -> None:
        """Stop a server, if it runs."""
        if who in self._running:
            self._running.pop(who)[1].close()

    def _running_as(self, who: str, arguments: list[str]) -> Server:
        if who not in self._running:
            stack = ExitStack()
            self._running[who] = stack.enter_context(serving(arguments)), stack
        return self._running[who][0]

    def _data(self, variant: Variant) -> Path:
        store = self._stores.large if variant.held else self._stores.seeded
        if isinstance(store, Exception):
            raise store
        if variant.held:
            return store
        self._count += 1
        return Path(shutil.copytree(store, self._folder / f"data{self._count}"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for who in list(self._running):
            self.stop(who)
        shutil.rmtree(self._folder)


def measure(row: str, server: Server, work: Work, variant: Variant, post_rate: float | None) -> Measured:
    """One row on a server of ours.  post_rate: of POSTs over 64 connections in this round, for half of it."""
    shared, warm = work.shared, work.counts.warm
    queries, full = (work.held_queries, work.held_full) if variant.held else (shared.queries, shared.full)
    match row:
        case "post-64":
            readable = QUESTION % ("held" if variant.held else "asked")
            return rate_over_many(server, shared.many, warm, 202, readable=readable)
        case "post-1":
            return median_over_one(server, shared.one, warm, 202)
        case "ingest":
            return ingest_rate(server, work.lines, work.lines_last, claims=work.counts.ingest)
        case "bundles":
            return ingest_rate(server, work.bundles, work.bundles_last, claims=work.counts.bundles)
        case "query":
            return rate_over_many(server, queries, warm, 200, expect=EXPECTED)
        case "full":
            return rate_over_many(server, full, warm, 200, expect=EXPECTED)
        case "readable":
            if post_rate is None:
                raise Unavailable(f"it needs the rate of {POST_MANY}")
            rate, seconds = post_rate * HALF, work.counts.readable_s
            return readable_median(server, work.readable, work.probes, PROBE_EVERY, rate=rate, seconds=seconds)
        case _:
            raise AssertionError(row)


def import_rate(folder: Path, file: Path) -> Measured:
    """Claims a second of the import command: reading, signing, sending, verifying, logging, folding, until readable."""
    env = {**os.environ, "XDG_CONFIG_HOME": str(folder / "keys")}
    with episteme_server(folder / "data") as server:
        arguments = ["--subject", "isbn:{isbn}", "--predicate", "authors", "--object", "{authors}"]
        done = subprocess.run(
            [
                *(sys.executable, "-m", "episteme", "import", str(file), *arguments, "--sign-per", "source"),
                *("--url", f"http://127.0.0.1:{server.port}", "-o", "jsonl"),
            ],
            capture_output=True,
            text=True,
            env=env,
        )
    if done.returncode:
        raise RuntimeError(last_words(done.stderr))
    return Measured(float(json.loads(done.stdout)["claims_per_second"]))
