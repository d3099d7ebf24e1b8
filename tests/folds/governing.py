"""Governance for fold tests: who speaks, what is said, and a store that it is folded into step by step."""

from collections.abc import Sequence
from typing import Any, Final

from cortex import apply_batch
from cortex.applying import apply_events
from episteme.folds import FOLDS, LoggedEvent
from model import (
    Alias,
    DatabaseRules,
    Epoch,
    Event,
    KeyRevocation,
    PackMember,
    PredicateRule,
    SignedEvent,
    SigningKey,
    Source,
    Supersession,
    TrustPack,
    event_hash,
)
from stores import KV, MemoryEngine, Reader, Staging
from tests.support.events import NOW_MS, signed
from tests.support.meaning import Step, as_logged, rules_of

OPERATOR, OTHER_OPERATOR, ANA, BEN = (SigningKey(bytes([number]) * 32) for number in range(1, 5))
RULES: Final = rules_of(OPERATOR, OTHER_OPERATOR)
# Those that decide what counts, and what they read from.
GOVERNING: Final = tuple(
    fold
    for fold in FOLDS
    if fold.name
    in {
        "rules",
        "assertion",
        "lineage",
        "epoch",
        "supersession",
        "source",
        "alias",
        "predicate",
        "revocation",
        "pack",
    }
)


def fold(events: Sequence[LoggedEvent], size: int = 1, store: KV | None = None) -> KV:
    """Fold events in batches of a size into a store, a new one in memory if none is given."""
    store = store or MemoryEngine()
    for start in range(0, len(events), size):
        batch = events[start : start + size]
        apply_batch(store, GOVERNING, batch, batch[-1].seq + 1)
    return store


def folded(*steps: Step, size: int = 1) -> Reader:
    """What a log of these steps comes to; a step's place is its position."""
    return fold(as_logged(steps), size).snapshot()


def taken_late(steps: Sequence[Step], *late: int) -> Reader:
    """What a log of these steps comes to if those at some positions are taken after all others, in the order given."""
    events = as_logged(steps)
    store = fold([event for event in events if event.seq not in late], size=len(events))
    for seq in late:
        with store.snapshot() as snapshot:
            state = Staging(snapshot)
            apply_events(GOVERNING, [events[seq]], state)
        store.commit(state.batch)
    return store.snapshot()


def said(event: Event, *keys: SigningKey) -> SignedEvent:
    """An event signed by each of the keys."""
    return signed(event, *keys)


def hash_of(event: Event) -> str:
    """An event's hash in hex."""
    return event_hash(event).hex()


def epoch(key: SigningKey = OPERATOR, **fields: Any) -> Epoch:
    return Epoch(**head(key) | {"name": "now", "start": 0} | fields)


def supersession(key: SigningKey, target: Event, **fields: Any) -> Supersession:
    """Of an assertion, for nothing in its place."""
    plain: dict[str, Any] = {"assertion": hash_of(target), "subject": target.subject, "reason": "wrong"}  # type: ignore[union-attr]
    mode = "replace" if "replacement" in fields else "invalidate"
    return Supersession(**head(key) | plain | {"mode": mode} | fields)


def source(key: SigningKey, status: Any, **fields: Any) -> Source:
    return Source(**head(key) | {"source_hash": "5" * 64, "label": "STEP 1", "status": status} | fields)


def alias(subject: str, same_as: str, key: SigningKey = OPERATOR, **fields: Any) -> Alias:
    return Alias(**head(key) | {"subject": subject, "same_as": same_as} | fields)


def predicate(key: SigningKey = OPERATOR, **fields: Any) -> PredicateRule:
    return PredicateRule(**head(key) | {"predicate": "age", "cardinality": "one"} | fields)


def revocation(key: SigningKey, revoked: SigningKey, **fields: Any) -> KeyRevocation:
    return KeyRevocation(**head(key) | {"revoked": revoked.agent_hex, "reason": "lost"} | fields)


def pack(key: SigningKey, version: int, **fields: Any) -> TrustPack:
    members = [PackMember(agent=ANA.agent_hex, weight="0.5"), PackMember(agent=BEN.agent_hex)]
    return TrustPack(**head(key) | {"name": "friends", "version": version, "members": members} | fields)


def head(key: SigningKey) -> dict[str, Any]:
    """The fields that all governance has."""
    return {"v": 2, "agent": key.agent_hex, "timestamp": NOW_MS}


def without_operators() -> DatabaseRules:
    """Rules that name nobody."""
    return DatabaseRules()
