"""Random histories of few agents, subjects and predicates, and logs that hold them."""

import itertools
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from cortex import apply_batch, bind
from episteme.folds import FOLDS, LoggedEvent, decode_frame
from model import (
    FRAME_KIND_EVENT,
    LIFECYCLES,
    SOURCE_CLASSES,
    Alias,
    AnyValue,
    Assertion,
    BooleanValue,
    NumberValue,
    Receipt,
    SignedEvent,
    SigningKey,
    TextValue,
    Vote,
    encode_record,
)
from stores import KV
from tests.support.events import NOW_MS, make_assertion, make_vote, signed
from tests.support.faulty_files import WAIT_S
from tests.support.logs import ALL, open_log

KEYS: Final = tuple(SigningKey(bytes([number]) * 32) for number in range(1, 6))
SUBJECTS: Final = ("Tesla", "Tesla:Inc", "Zürich")
PREDICATES: Final = ("revenue", "revenue:2025")
VALUES: Final[tuple[AnyValue, ...]] = (
    NumberValue("96.7"),
    NumberValue("96.70"),
    NumberValue("81"),
    TextValue("viel"),
    BooleanValue(True),
)
WEIGHTS: Final = ("1", "-1", "0", "0.5", "-0.333333", "0.1", "0.000001", "1.0", "-0")


def history(seed: int, event_count: int = 80) -> list[SignedEvent]:
    """Assertions, moves and forks, co-signatures, duplicates, votes of every sort, and a few other events.

    The claims are chosen first, so votes may come before what they vote on, or on what never comes.
    """
    generator = random.Random(seed)
    claims = _claims(generator, 14)
    said: list[SignedEvent] = []
    for _ in range(event_count):
        said.append(_next(generator, claims, said))
    return said


def _claims(generator: random.Random, count: int) -> list[Assertion]:
    claims: list[Assertion] = []
    for _ in range(count):
        parent = generator.choice(claims) if claims and generator.random() < 0.5 else None
        claims.append(_move(generator, parent) if parent else _claim(generator))
    return claims


def _claim(generator: random.Random, **overrides: Any) -> Assertion:
    fields: dict[str, Any] = {
        "subject": generator.choice(SUBJECTS),
        "predicate": generator.choice(PREDICATES),
        "object": generator.choice(VALUES),
        "confidence": generator.choice(["0.2", "0.85", "1"]),
        "source_class": generator.choice(SOURCE_CLASSES),
        "lifecycle": generator.choice(LIFECYCLES),
        "timestamp": NOW_MS + generator.randrange(5),
    }
    return make_assertion(**fields | overrides)


def _move(generator: random.Random, parent: Assertion) -> Assertion:
    """A lifecycle move, a fork, or a parent that lies under another pair."""
    same: dict[str, Any] = {"subject": parent.subject, "predicate": parent.predicate, "object": parent.object}
    if generator.random() < 0.4:
        same.pop(generator.choice(list(same)))
    return _claim(generator, parent_hash=signed(parent).hash_hex, **same)


def _next(generator: random.Random, claims: Sequence[Assertion], said: Sequence[SignedEvent]) -> SignedEvent:
    draw = generator.random()
    if said and draw < 0.1:
        return generator.choice(said)  # a duplicate
    if draw < 0.45:
        return signed(generator.choice(claims), *generator.sample(KEYS, generator.choice([1, 1, 1, 2, 3])))
    if draw < 0.95:
        return _vote(generator, generator.choice(claims))
    key = generator.choice(KEYS)
    alias = Alias(v=2, agent=key.agent_hex, timestamp=NOW_MS, subject=generator.choice(SUBJECTS), same_as="other")
    return signed(alias, key, *generator.sample([other for other in KEYS if other is not key], 1))


def _vote(generator: random.Random, claim: Assertion) -> SignedEvent:
    key = generator.choice(KEYS[:3])
    subject = generator.choice(SUBJECTS) if generator.random() < 0.15 else claim.subject
    event = make_vote(
        agent=key.agent_hex,
        assertion=signed(claim).hash_hex,
        subject=subject,
        weight=generator.choice(WEIGHTS),
        timestamp=NOW_MS + generator.randrange(4),
    )
    helpers = [other for other in KEYS if other is not key]
    return signed(event, key, *generator.sample(helpers, generator.choice([0, 0, 0, 1])))


def vote_of(key: SigningKey, claim: SignedEvent, weight: str, timestamp: int, **overrides: Any) -> SignedEvent:
    """A vote of one agent on a claim."""
    assert isinstance(claim.event, Assertion)
    subject = overrides.pop("subject", claim.event.subject)
    vote: Vote = make_vote(
        agent=key.agent_hex,
        assertion=claim.hash_hex,
        subject=subject,
        weight=weight,
        timestamp=timestamp,
        **overrides,
    )
    return signed(vote, key)


def logged(folder: Path, events: Iterable[SignedEvent]) -> tuple[bytes, list[LoggedEvent]]:
    """The events as they come back from a log on disk, and the log's id."""
    items = [(FRAME_KIND_EVENT, encode_record(event, Receipt("test"))) for event in events]
    with open_log(folder) as log:
        log.append_many(items).wait(WAIT_S)
        return log.log_id, [decode_frame(frame) for frame in log.read_from(0, count_max=ALL, bytes_max=ALL)]


def fold(store: KV, log_id: bytes, events: Sequence[LoggedEvent], cuts: Iterable[int] = ()) -> None:
    """Fold events into a store, a batch from each cut to the next."""
    bind(store, log_id, {one.name: one.version for one in FOLDS})
    places = sorted({0, *cuts, len(events)})
    for start, end in itertools.pairwise(places):
        apply_batch(store, FOLDS, events[start:end], end)
