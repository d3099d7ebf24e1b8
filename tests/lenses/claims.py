"""Small claims for lens tests: agents by name, values as Python writes them, moments in milliseconds."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cortex import apply_batch
from episteme.authoring import object_of
from episteme.folds import FOLDS, decode_frame
from episteme.lenses import LENSES, Candidate, group_by_value, make_candidate
from model import (
    FRAME_KIND_EVENT,
    SOURCE_CLASSES,
    AnyValue,
    Assertion,
    Event,
    Lifecycle,
    Receipt,
    Signature,
    SignedEvent,
    SourceClass,
    Vote,
    encode_record,
    event_hash,
    to_micros,
)
from stores import NO_VOTES, AssertionRow, MemoryEngine, Resolution, RowSignature
from tests.support.events import NOW_MS, make_assertion, make_vote
from wal import Frame

SUBJECT: Final = "Semaglutide"
PREDICATE: Final = "causes_muscle_loss"
Value = str | int | bool | Decimal | AnyValue


def agent(name: str) -> bytes:
    """The public key that stands for this name."""
    return name.encode().ljust(32, b".")


def assertion(
    value: Value,
    *,
    at: int = NOW_MS,
    confidence: str = "1",
    tier: SourceClass = "clinical",
    lifecycle: Lifecycle = "approved",
    follows: Candidate | Assertion | None = None,
    subject: str = SUBJECT,
    predicate: str = PREDICATE,
    told_by: str = "",
) -> Assertion:
    """What is claimed; follows names the claim that this one moves on or forks.

    Equal words make one claim, whoever signs it; told_by tells them apart.
    """
    fields = {
        "subject": subject,
        "predicate": predicate,
        "object": object_of(value),
        "confidence": confidence,
        "source_class": tier,
        "lifecycle": lifecycle,
        "timestamp": at,
        "narrative": told_by,
    }
    if follows is not None:
        parent = follows.event if isinstance(follows, Candidate) else follows
        fields["parent_hash"] = event_hash(parent).hex()
    return make_assertion(**fields)


def claim(
    value: Value,
    *agents: str,
    seq: int = 0,
    at: int = NOW_MS,
    confidence: str = "1",
    tier: SourceClass = "clinical",
    lifecycle: Lifecycle = "approved",
    follows: Candidate | None = None,
    votes: Iterable[str] = (),
) -> Candidate:
    """A claim told and signed by the named agents; votes are the weights of its live votes."""
    event = assertion(
        value,
        at=at,
        confidence=confidence,
        tier=tier,
        lifecycle=lifecycle,
        follows=follows,
        told_by=" and ".join(agents),
    )
    signatures = tuple(RowSignature(agent(name), b"", seq) for name in agents or ("ana",))
    tally = NO_VOTES
    for weight in votes:
        tally = tally.plus(to_micros(weight))
    return make_candidate(event_hash(event), AssertionRow(event, signatures, seq, 0), tally)


def resolve(lens: str, claims: Iterable[Candidate]) -> Resolution:
    """What a lens makes of claims."""
    return LENSES[lens].resolve(group_by_value(claims))


def values_of(resolution: Resolution) -> list[str | bool]:
    """The groups' values, the winner's first."""
    return [row.value.value for row in resolution.groups]


def shares_of(resolution: Resolution) -> list[float]:
    """The groups' shares, the winner's first."""
    return [row.share for row in resolution.groups]


def candidates() -> SearchStrategy[list[Candidate]]:
    """Up to a dozen claims of a few agents, with few values and moments, so that ties are common."""
    one = st.fixed_dictionaries(
        {
            "value": st.sampled_from(["a", "b", "c", True, Decimal(1), Decimal("1.0")]),
            "agents": st.lists(st.sampled_from(["ana", "ben", "cho", "dan"]), min_size=1, max_size=3, unique=True),
            "at": st.integers(NOW_MS, NOW_MS + 3),
            "confidence": st.sampled_from(["0", "0.3", "0.30", "0.999999", "1"]),
            "tier": st.sampled_from(SOURCE_CLASSES[:3]),
            "votes": st.lists(st.sampled_from(["-1", "-0.2", "0.000001", "0.5", "1"]), max_size=2),
        }
    )
    return st.lists(one, max_size=12).map(_claims)


def _claims(rows: list[dict]) -> list[Candidate]:
    made = {}
    for seq, row in enumerate(rows):
        fields = dict(row)
        candidate = claim(fields.pop("value"), *fields.pop("agents"), seq=seq, **fields)
        made.setdefault(candidate.digest, candidate)
    return list(made.values())


class Database:
    """Events folded into memory; nothing is verified, so a signature is a name."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.end = 0

    def add(self, *said: tuple[Event, str]) -> None:
        """Fold one batch of events, each with the name of its signer."""
        batch = []
        for seq, (event, name) in enumerate(said, self.end):
            signed = SignedEvent(event, event_hash(event), (Signature(agent(name), bytes(64)),))
            payload = encode_record(signed, Receipt())
            batch.append(decode_frame(Frame(seq, seq << 16, FRAME_KIND_EVENT, 0, payload)))
        self.end += len(batch)
        apply_batch(self.engine, FOLDS, batch, self.end)


def vote(on: Assertion, name: str, weight: str, *, at: int = NOW_MS, subject: str | None = None) -> tuple[Vote, str]:
    """A vote and its signer."""
    event = make_vote(
        agent=agent(name).hex(),
        assertion=event_hash(on).hex(),
        subject=on.subject if subject is None else subject,
        weight=weight,
        timestamp=at,
    )
    return event, name
