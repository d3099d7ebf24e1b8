"""Random histories of claims, co-signatures, moves, forks and votes, each a function of its seed."""

from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Final

from model import LIFECYCLES, SOURCE_CLASSES, Assertion, Event
from tests.lenses.claims import Value, assertion, vote

PAIRS: Final = (("earth", "age"), ("earth", "shape"), ("moon", "age"))
EVENTS_MAX: Final = 24
_NAMES: Final = ("ana", "ben", "cho", "dan", "eve")
_VALUES: Final[tuple[Value, ...]] = ("round", " round ", "flat", True, False, Decimal("4.54"), Decimal("4.540"), 4)
_WEIGHTS: Final = ("-1", "-0.5", "0", "0.000001", "0.5", "1")


def history(seed: int) -> list[tuple[Event, str]]:
    """Up to EVENTS_MAX events with their signers; a vote, or a co-signature, may come before what it is about."""
    random = Random(seed)
    claims: list[Assertion] = []
    said: list[tuple[Event, str]] = []
    for _ in range(random.randint(2, EVENTS_MAX)):
        kind = random.random()
        if not claims or kind < 0.55:
            claims.append(_claim(random, claims))
            said.append((claims[-1], random.choice(_NAMES)))
        elif kind < 0.65:
            said.append((random.choice(claims), random.choice(_NAMES)))
        else:
            said.append(_vote(random, random.choice(claims)))
    if seed % 2:
        random.shuffle(said)
    return said


def in_batches(said: list[tuple[Event, str]], seed: int) -> Iterator[list[tuple[Event, str]]]:
    """The same events, cut at random."""
    random = Random(seed)
    start = 0
    while start < len(said):
        end = start + random.randint(1, 8)
        yield said[start:end]
        start = end


def _claim(random: Random, claims: list[Assertion]) -> Assertion:
    parent = random.choice(claims) if claims and random.random() < 0.5 else None
    subject, predicate = random.choice(PAIRS)
    value = random.choice(_VALUES)
    if parent is not None and random.random() < 0.9:
        subject, predicate = parent.subject, parent.predicate
        value = parent.object if random.random() < 0.6 else value
    return assertion(
        value,
        subject=subject,
        predicate=predicate,
        at=random.randrange(8),
        confidence=random.choice(("0.5", "0.9", "1")),
        tier=random.choice(SOURCE_CLASSES),
        lifecycle=random.choice(LIFECYCLES),
        follows=parent,
    )


def _vote(random: Random, on: Assertion) -> tuple[Event, str]:
    name = random.choice(_NAMES)
    subject = "mars" if random.random() < 0.1 else on.subject
    return vote(on, name, random.choice(_WEIGHTS), at=random.randrange(8), subject=subject)
