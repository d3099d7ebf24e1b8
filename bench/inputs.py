"""The work of the rounds: claims signed beforehand, and files of whole requests about them.

    python -m bench.inputs FOLDER [--quick]

writes those of the first round, for repeating a row by hand (bench/README.md).

Claims are distinct over all rounds and rows, so that none is a duplicate in a store that stays from round to round.
"""

import argparse
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from bench.peer import Inputs
from bench.wire import get, post, write_requests
from model import (
    Assertion,
    NumberValue,
    Receipt,
    SignedEvent,
    SigningKey,
    TextValue,
    encode_envelope,
    encode_record,
    sign_event,
)
from model.bundle import sign_bundle

T = TypeVar("T")
PREDICATE: Final = "measured_value"
AGENTS: Final = [SigningKey(bytes([number]) * 32) for number in range(1, 17)]
ASKED_AGENTS: Final = [SigningKey(bytes([number, 1]) * 16) for number in range(1, 21)]
START_MS: Final = 1_767_225_600_000
ROUND_CLAIMS: Final = 1_000_000  # no round has as many
CANDIDATES: Final = 20  # claims of a pair that is asked about, each by an agent of its own
VALUES: Final = 5
LINES: Final = 1000  # of an ingest
PROBE_EVERY: Final = 10  # requests of the open loop
FRAME_HEAD_BYTES: Final = 32  # docs/format-log.md
FULL_READ: Final = "&max_age=0s"


class Counts(NamedTuple):
    """How much work a round is; each measurement takes one to three seconds."""

    pairs: int  # that questions are about, but for those of the large store
    warm: int  # requests before each measurement, which count for nothing
    many: int
    one: int
    ingest: int
    bundles: int
    queries: int
    full: int
    readable: int  # at most, whatever the rate
    readable_s: float
    held: int  # claims of the large store
    rows: int  # of the file that is imported, where it is made up


WHOLE: Final = Counts(
    pairs=200,
    warm=300,
    many=6000,
    one=800,
    ingest=10_000,
    bundles=20_000,
    queries=6000,
    full=2000,
    readable=6000,
    readable_s=1.5,
    held=1_000_000,
    rows=10_000,
)
QUICK: Final = Counts(
    pairs=200,
    warm=100,
    many=2000,
    one=300,
    ingest=5000,
    bundles=5000,
    queries=2000,
    full=1000,
    readable=2000,
    readable_s=1.0,
    held=40_000,
    rows=5000,
)


class Work(NamedTuple):
    """All files of a round: those that peers get too, and ours alone."""

    counts: Counts
    shared: Inputs
    lines: Path  # POST /v1/ingest with the claims of shared.ingest
    lines_last: str  # the question about the last of them
    readable: Path  # POSTs for the open loop
    probes: Path  # the question about every PROBE_EVERYth of them
    bundles: Path  # POST /v1/ingest, each a bundle and the claims that it signs
    bundles_last: str
    held_queries: Path  # as shared.queries and shared.full, about pairs drawn from all that the large store holds
    held_full: Path


def make_seed(path: Path, pairs: int) -> Path:
    """POSTs of what all questions but those of the large store are about."""
    return write_requests(path, map(_post, asked(pairs)))


def make_work(folder: Path, number: int, counts: Counts, seed: Path) -> Work:
    """The files of one round, in a new folder.  seed: as make_seed made it."""
    folder.mkdir()
    start = (number + 1) * ROUND_CLAIMS
    taken = _after(start, counts.warm + counts.many, counts.warm + counts.one, counts.ingest, counts.readable)
    many, one, ingest, readable = (list(claims(count, place)) for count, place in taken)
    bundled = events(counts.bundles, start + ROUND_CLAIMS // 2)

    def file(name: str, requests: Iterable[bytes]) -> Path:
        return write_requests(folder / name, requests)

    def questions(name: str, prefix: str, pairs: int, count: int, more: str = "") -> Path:
        chosen = random.Random(number)
        paths = (_path(f"{prefix}-{chosen.randrange(pairs):06d}") + more for _ in range(counts.warm + count))
        return file(name, map(get, paths))

    return Work(
        counts=counts,
        shared=Inputs(
            warm=counts.warm,
            many=file("many", map(_post, many)),
            one=file("one", map(_post, one)),
            ingest=file("ingest", map(_post, ingest)),
            seed=seed,
            queries=questions("queries", "asked", counts.pairs, counts.queries),
            full=questions("full", "asked", counts.pairs, counts.full, FULL_READ),
        ),
        lines=file("lines", map(ingest_of, chunks(ingest, LINES))),
        lines_last=_path(subject_of(ingest[-1])),
        readable=file("readable", map(_post, readable)),
        probes=file("probes", (get(_path(subject_of(signed)) + "&min_seq=") for signed in readable[::PROBE_EVERY])),
        bundles=file("bundles", map(ingest_of, _bundles(bundled))),
        bundles_last=_path(bundled[-1].subject),
        held_queries=questions("held-queries", "held", held_pairs(counts.held), counts.queries),
        held_full=questions("held-full", "held", held_pairs(counts.held), counts.full, FULL_READ),
    )


def events(count: int, start: int = 0) -> list[Assertion]:
    """Distinct assertions, ten a pair."""
    return [
        _assertion(f"subject-{number // 10:07d}", NumberValue(f"{number % 7}.{number % 10}"), number)
        for number in range(start, start + count)
    ]


def claims(count: int, start: int = 0) -> Iterator[SignedEvent]:
    """The same, signed in turns by 16 agents."""
    for number, event in enumerate(events(count, start), start):
        yield sign_event(event, AGENTS[number % len(AGENTS)])


def asked(pairs: int) -> Iterator[SignedEvent]:
    """What questions are about: pairs of 20 claims by 20 agents, of five values."""
    for pair in range(pairs):
        for agent, key in enumerate(ASKED_AGENTS):
            yield sign_event(_candidate("asked", pair, agent), key)


def held(count: int) -> Iterator[bytes]:
    """The same in bundles, for the large store: whole ingests, in which each agent speaks of as many pairs as fit."""
    pairs = list(range(held_pairs(count)))
    for some in chunks(pairs, LINES - 1):
        for agent, key in enumerate(ASKED_AGENTS):
            yield ingest_of(_bundle([_candidate("held", pair, agent) for pair in some], key))


def held_pairs(count: int) -> int:
    """How many pairs so many claims are about."""
    return max(1, count // CANDIDATES)


def ingest_of(signed: Sequence[SignedEvent]) -> bytes:
    """One request, an envelope a line."""
    return post("/v1/ingest", b"\n".join(map(encode_envelope, signed)))


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Parts of that size; the last may be smaller."""
    return (items[start : start + size] for start in range(0, len(items), size))


def synthetic_rows(path: Path, count: int) -> Path:
    """Rows of the same shape as the book claims, where those are not at hand."""
    lines = ["source,isbn,authors"]
    lines += [f"shop {row % 800},{row // 26:010d},Author number {row % 11}" for row in range(count)]
    path.write_text("\n".join(lines) + "\n")
    return path


def frame_bytes() -> int:
    """What one of these claims takes in the log."""
    (claim,) = claims(1)
    return len(encode_record(claim, Receipt("http"))) + FRAME_HEAD_BYTES


def subject_of(signed: SignedEvent) -> str:
    """An assertion's."""
    assert isinstance(signed.event, Assertion)
    return signed.event.subject


def _bundles(unsigned: Sequence[Assertion]) -> Iterator[list[SignedEvent]]:
    for number, some in enumerate(chunks(unsigned, LINES - 1)):
        yield _bundle(some, AGENTS[number % len(AGENTS)])


def _bundle(some: Sequence[Assertion], key: SigningKey) -> list[SignedEvent]:
    """The bundle first, then what it signs."""
    bundle, signed = sign_bundle(some, key, START_MS)
    return [bundle, *signed]


def _candidate(prefix: str, pair: int, agent: int) -> Assertion:
    number = pair * CANDIDATES + agent
    return _assertion(f"{prefix}-{pair:06d}", TextValue(f"value {number * 7 // 3 % VALUES}"), number)


def _assertion(subject: str, value: NumberValue | TextValue, number: int) -> Assertion:
    return Assertion(
        v=2,
        subject=subject,
        predicate=PREDICATE,
        object=value,
        confidence="0.85",
        source_class="observational",
        lifecycle="approved",
        timestamp=START_MS + number,
    )


def _after(start: int, *counts: int) -> Iterator[tuple[int, int]]:
    """Each count, and where it begins if the one before was taken."""
    for count in counts:
        yield count, start
        start += count


def _post(signed: SignedEvent) -> bytes:
    return post("/v1/assertions", encode_envelope(signed))


def _path(subject: str) -> str:
    return f"/v1/query?subject={subject}&predicate={PREDICATE}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="is made")
    parser.add_argument("--quick", action="store_true", help="as many as with that")
    options = parser.parse_args()
    counts = QUICK if options.quick else WHOLE
    options.folder.mkdir()
    work = make_work(options.folder / "work", 0, counts, make_seed(options.folder / "seed", counts.pairs))
    for name, file in {**work.shared._asdict(), **work._asdict()}.items():
        if name not in ("shared", "counts"):
            print(f"{name}: {file}")


if __name__ == "__main__":
    main()
