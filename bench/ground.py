"""What the accuracy benchmarks of all data sets share: a throw-away database, the import, halves, rows of a table."""

import csv
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct

from bench.scoring import Bin, Judged, calibration, calibration_error, part
from episteme.config import NodeConfig
from episteme.importer import Keyring, Plan, Skipped, claims, read_rows
from episteme.keys import Key
from episteme.lenses import LENSES
from episteme.node import Node
from model import SignedEvent, SigningKey

# The rows say nothing about when, how sure and by what authority, so all claims are given the same.
TIMESTAMP_MS: Final = 1_767_225_600_000
CONFIDENCE: Final = "1"
TIER: Final = "community"

SILENT: Final = ("skeptic", "constraints")  # they name no winner, so they are never right or wrong
SPEAKING: Final = tuple(name for name in LENSES if name not in SILENT)
AS_ANSWERED: Final = "as the lens answers"
PLAIN_VOTE: Final = "plain vote"  # counted straight from the file, without the database
WAIT_S: Final = 30.0

Item = TypeVar("Item")


class Row(Struct, frozen=True):
    """How often one way to an answer was right.

    lenses: those for which all numbers of the row are the same.  scores: by name, parts of 1 over the answered ones.
    bins, error: calibration of what the scores' first name calls right.
    """

    reading: str
    lenses: list[str]
    asked: int
    answered: int
    scores: dict[str, float]
    bins: list[Bin]
    error: float

    @property
    def coverage(self) -> float:
        """What part of the questions got an answer."""
        return part(self.answered, self.asked)


class Table(Struct, frozen=True):
    """Rows of one data set, what they were measured on, and what is worth saying beneath."""

    title: str
    rows: list[Row]
    notes: list[str]


def make_row(
    reading: str, lens: str, asked: int, answered: int, scores: dict[str, float], judged: Sequence[Judged]
) -> Row:
    """A row of one lens with its calibration."""
    bins = calibration(judged)
    return Row(reading, [lens], asked, answered, scores, bins, calibration_error(bins))


def merge_same(rows: Iterable[Row]) -> list[Row]:
    """Rows of one reading that came out the same in every number become one."""
    merged: dict[object, Row] = {}
    for row in rows:
        key = (row.reading, row.asked, row.answered, tuple(row.scores.items()), tuple(row.bins))
        known = merged.get(key)
        if known is None:
            merged[key] = row
        else:
            known.lenses.extend(row.lenses)
    return list(merged.values())


@contextmanager
def database(folder: Path) -> Iterator[Node]:
    """A new database in process, whose own key is its operator."""
    operator = SigningKey(b"\xff" * 32)
    with Node.open(folder, key=operator, config=NodeConfig(operators=(operator.agent_hex,))) as node:
        yield node


def import_rows(node: Node, file: Path, subject: str, predicate: str, value: str, keys: Path) -> dict[str, str]:
    """Write a CSV file as `episteme import --sign-per source` would, until it is readable.

    Gives the agent of each source.
    """
    plan = Plan(
        subject=subject,
        predicate=predicate,
        object=value,
        confidence=CONFIDENCE,
        source_class=TIER,
        timestamp_ms=TIMESTAMP_MS,
        sign_per="source",
    )
    keyring = Keyring(plan, _no_single_key, keys)
    skipped: list[Skipped] = []
    write(node, (signed for _, signed in claims(read_rows(file), plan, keyring, skipped.append)))
    assert all(one.reason == "says nothing" for one in skipped), skipped[:3]
    sources = {row["source"].strip() for row in table_of(file)} - {""}
    return {source: keyring.key_for({"source": source}).agent_hex for source in sorted(sources)}


def write(node: Node, events: Iterable[SignedEvent]) -> None:
    """Write signed events, none of which is refused, until they are readable."""
    last = -1
    for result in node.ingest(events):
        assert result.status != "refused", result
        last = max(last, result.seq if result.seq is not None else -1)
    node.await_seq(max(last, 0), WAIT_S)


def table_of(file: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV file with a header."""
    with file.open(encoding="utf-8-sig", newline="") as opened:
        yield from csv.DictReader(opened)


def halves(items: Iterable[Item], seed: int) -> tuple[list[Item], list[Item]]:
    """Two halves by a seeded shuffle."""
    shuffled = list(items)
    random.Random(seed).shuffle(shuffled)
    middle = len(shuffled) // 2
    return shuffled[:middle], shuffled[middle:]


def _no_single_key() -> Key:
    raise AssertionError("every row is signed by its source")
