"""Random histories of few pairs with all that can happen to one, unsigned, and a way to fold them in batches."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from cortex import apply_batch
from episteme.folds import FOLDS, LoggedEvent, decode_frame
from episteme.folds.view import ViewFold
from episteme.reading import compute_view
from model import (
    FRAME_KIND_EVENT,
    LIFECYCLES,
    SOURCE_CLASSES,
    AnyValue,
    Assertion,
    BooleanValue,
    Event,
    NumberValue,
    Receipt,
    Signature,
    SignedEvent,
    Supersession,
    TextValue,
    encode_record,
    event_hash,
)
from stores import KV, IndexStore, Reader, ViewStore
from tests.support.events import NOW_MS, make_assertion, make_vote
from wal import Frame

SUBJECTS: Final = ("earth", "moon")
PREDICATES: Final = ("age", "shape")
_LONG: Final = TextValue("because " * 40)  # too long to be kept twice
_VALUES: Final[tuple[AnyValue, ...]] = (
    NumberValue("1"),
    NumberValue("1.0"),
    TextValue("round"),
    TextValue(" round"),
    BooleanValue(True),
    _LONG,
)
_MANY_VALUES: Final = tuple(TextValue(str(number)) for number in range(130))  # more than an answer lists
_encode = msgspec.msgpack.encode


class Said(NamedTuple):
    """An event and its signers."""

    event: Event
    agents: Sequence[bytes]


def agent(number: int) -> bytes:
    """An agent's key, of no secret."""
    return number.to_bytes(32, "big")


def assertion(**fields: Any) -> Assertion:
    """A claim about the first pair."""
    return make_assertion(**{"subject": SUBJECTS[0], "predicate": PREDICATES[0], **fields})


def vote(on: Assertion, by: int, weight: str, **fields: Any) -> Said:
    """A vote and its signer."""
    body = {"assertion": event_hash(on).hex(), "subject": on.subject, "weight": weight, **fields}
    return Said(make_vote(agent=agent(by).hex(), **body), [agent(by)])


def supersession(of: Assertion, by: bytes) -> Said:
    """One that counts where its signer has signed what it is on, and from where both are there."""
    head: dict[str, Any] = {"v": 2, "agent": by.hex(), "timestamp": NOW_MS, "reason": "wrong"}
    target: dict[str, Any] = {"assertion": event_hash(of).hex(), "subject": of.subject, "mode": "invalidate"}
    return Said(Supersession(**head, **target), [by])


def as_logged(said: Sequence[Said], start: int = 0) -> list[LoggedEvent]:
    """The events as a log gives them back from position start on; nobody has checked their signatures."""
    return [_logged(seq, one) for seq, one in enumerate(said, start)]


def _logged(seq: int, said: Said) -> LoggedEvent:
    signatures = tuple(Signature(one, bytes(64)) for one in said.agents)
    payload = encode_record(SignedEvent(said.event, event_hash(said.event), signatures), Receipt())
    return decode_frame(Frame(seq=seq, time=seq << 16, kind=FRAME_KIND_EVENT, flags=0, payload=payload))


def history(seed: int) -> list[Said]:
    """Claims of few agents and values, in chains and forks, co-signed, repeated, voted on, superseded: in any order."""
    random = Random(seed)
    agents = [agent(number) for number in range(1, random.choice([3, 5, 13]))]
    claims = _claims(random, random.choice([8, 20, 40, 90]))
    order = list(claims)
    if random.random() < 0.5:
        random.shuffle(order)  # children before parents
    said: list[Said] = []
    while order:
        draw = random.random()
        if draw < 0.6:
            said.append(Said(order.pop(0), random.sample(agents, min(len(agents), random.choice([1, 1, 1, 2, 3])))))
        elif draw < 0.7:
            said.append(Said(random.choice(claims), random.sample(agents, 1)))
        elif draw < 0.75 and said:
            said.append(random.choice(said))
        elif draw < 0.8:
            said.append(supersession(random.choice(claims), random.choice(agents)))
        else:
            said.append(_vote(random, random.choice(claims)))
    return said


def _claims(random: Random, count: int) -> list[Assertion]:
    """In an order that names parents before children."""
    subjects = SUBJECTS[: random.choice([1, 1, 2])]
    predicates = PREDICATES[: random.choice([1, 1, 2])]
    values = random.choice([_VALUES[:2], _VALUES, _VALUES + _MANY_VALUES])
    stages = random.choice([LIFECYCLES, ("approved",), ("approved", "deprecated"), ("approved",) * 4 + ("rejected",)])
    classes = random.choice([SOURCE_CLASSES, SOURCE_CLASSES[:1]])
    follows, moments = random.choice([0, 0.3, 0.6, 0.95]), random.choice([1, 4, 1000])
    claims: list[Assertion] = []
    for number in range(count):
        fields: dict[str, Any] = {
            "subject": random.choice(subjects),
            "predicate": random.choice(predicates),
            "object": random.choice(values),
            "lifecycle": random.choice(stages),
            "source_class": random.choice(classes),
            "timestamp": NOW_MS + random.randrange(moments),
            "narrative": str(number),
        }
        if claims and random.random() < follows:
            parent = claims[-1] if random.random() < 0.3 else random.choice(claims)
            fields["parent_hash"] = event_hash(parent).hex()
            if random.random() < 0.9:
                fields |= {"subject": parent.subject, "predicate": parent.predicate}
            if random.random() < 0.7:
                fields["object"] = parent.object
        elif random.random() < 0.05:
            fields["parent_hash"] = "9" * 64  # of no claim
        claims.append(make_assertion(**fields))
    return claims


def _vote(random: Random, on: Assertion) -> Said:
    fields: dict[str, Any] = {"timestamp": NOW_MS + random.randrange(4)}
    if random.random() < 0.1:
        fields["subject"] = random.choice((*SUBJECTS, "mars"))
    return vote(on, random.randrange(1, 4), random.choice(["1", "-1", "0", "0.5", "-0.333333"]), **fields)


class Folding:
    """A store that events are folded into, a pair being small up to a bound."""

    def __init__(self, store: KV, *bounds: int) -> None:
        """bounds: those of the view fold, in its order."""
        self.store = store
        self.folds = (*FOLDS[:-1], ViewFold(*bounds))
        self.end = 0

    def add(self, *said: Said) -> None:
        """Fold a batch."""
        self.add_logged(as_logged(said, self.end))

    def add_logged(self, events: Sequence[LoggedEvent]) -> None:
        """Fold a batch of events that come next, or that come late."""
        self.end = max(self.end, events[-1].seq + 1)
        apply_batch(self.store, self.folds, events, self.end)

    def add_in_batches(self, events: Sequence[LoggedEvent], random: Random, count_max: int) -> Iterator[None]:
        """Fold events, cut at random; yields after each batch."""
        start = 0
        while start < len(events):
            count = random.randint(1, count_max)
            self.add_logged(events[start : start + count])
            start += count
            yield


def check_views(reader: Reader, note: object) -> None:
    """The view of every pair that has claims is, byte for byte, what a full read gives; no other has one."""
    for subject in SUBJECTS:
        for predicate in PREDICATES:
            view = ViewStore(reader).get(subject, predicate)
            assert (view is not None) is (IndexStore(reader).pair_count(subject, predicate) > 0), (note, subject)
            if view is not None:
                full = compute_view(reader, subject, predicate, view.seq, view.time)
                view = msgspec.structs.replace(view, ground=full.ground)
                assert _encode(view) == _encode(full), (note, subject, predicate, view.resolution, full.resolution)
