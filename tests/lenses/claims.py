"""Small claims for lens tests: agents by name, values as Python writes them, moments in milliseconds."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cortex import apply_batch
from episteme.authoring import object_of
from episteme.folds import FOLDS, decode_frame
from episteme.lenses import (
    PLAIN,
    Candidate,
    Comparison,
    Finding,
    Signer,
    lens_named,
    make_candidate,
    make_terms,
)
from model import (
    FRAME_KIND_EVENT,
    SOURCE_CLASSES,
    AnyValue,
    Assertion,
    Event,
    Lifecycle,
    Receipt,
    ReferenceValue,
    Signature,
    SignedEvent,
    SourceClass,
    Vote,
    encode_record,
    event_hash,
    to_micros,
)
from stores import NO_VOTES, Claim, MemoryEngine, Resolution
from tests.support.events import NOW_MS, make_assertion, make_vote
from wal import Frame

SUBJECT: Final = "Semaglutide"
PREDICATE: Final = "causes_muscle_loss"
WINNING: Final = ("recency", "consensus", "confidence", "votes", "trust", "authority", "layered")  # lenses that choose
GROUPING: Final = (*WINNING, "skeptic")  # lenses that list the values of one pair
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
    source: str | None = None,
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
        digest = follows.digest if isinstance(follows, Candidate) else event_hash(follows)
        fields["parent_hash"] = digest.hex()
    if source is not None:
        fields["source_hash"] = source
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
    predicate: str = PREDICATE,
    source: str | None = None,
    trust: Mapping[str, str] | None = None,
    pack: Mapping[str, str] | None = None,
    comparison: Comparison = PLAIN,
) -> Candidate:
    """A claim told and signed by the named agents; votes are the weights of its live votes.

    trust: of some of the agents by name, the others have 0.5.  pack: the weights of a trust pack, likewise 1.
    """
    event = assertion(
        value,
        at=at,
        confidence=confidence,
        tier=tier,
        lifecycle=lifecycle,
        follows=follows,
        predicate=predicate,
        told_by=" and ".join(agents),
        source=source,
    )
    signers = tuple(
        Signer(
            agent(name),
            at,
            seq,
            to_micros((trust or {}).get(name, "0.5")),
            to_micros((pack or {}).get(name, "1")),
        )
        for name in agents or ("ana",)
    )
    tally = NO_VOTES
    for weight in votes:
        tally = tally.plus(to_micros(weight))
    return make_candidate(event_hash(event), as_claim(event), seq, signers, tally, comparison)


def as_claim(event: Assertion) -> Claim:
    """An assertion as a resolution sees it."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=Claim)


def find(lens: str, claims: Iterable[Candidate], comparison: Comparison = PLAIN, **params: str) -> Finding:
    """What a lens makes of claims, whole."""
    chosen = lens_named(lens)
    return chosen.resolve(list(claims), make_terms(chosen, params, comparison))


def resolve(lens: str, claims: Iterable[Candidate]) -> Resolution:
    """What a lens makes of claims."""
    return find(lens, claims).resolution


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


COMPARISONS: Final = (
    PLAIN,
    Comparison(tolerance="0.1"),
    Comparison(same_as={"Tesla": "Tesla_Inc"}),
    Comparison(many=True, separator=";"),
    Comparison(many=True, separator="; ", tolerance="1"),
)


@st.composite
def pools(draw: st.DrawFn) -> tuple[Comparison, list[Candidate]]:
    """The same of all kinds of values and rules, of agents with trust and a pack, for every lens there is."""
    comparison = draw(st.sampled_from(COMPARISONS))
    names = ["ana", "ben", "cho", "dan"]
    decimals = st.sampled_from(["0", "0.1", "0.5", "0.999999", "1"])
    shared = {
        "comparison": comparison,
        "trust": {name: draw(decimals) for name in names},
        "pack": {name: draw(st.sampled_from(["0.1", "1"])) for name in names},
    }
    numbers = [Decimal(text) for text in ("1", "1.0", "1.05", "1.1", "1.15", "2")]
    references = [ReferenceValue(name) for name in ("Tesla", "Tesla_Inc")]
    one = st.fixed_dictionaries(
        {
            "value": st.sampled_from(["a", "a;b", "b; a", "c;a; b", "", True, *numbers, *references]),
            "agents": st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True),
            "seq": st.integers(0, 3),  # a bundle brings several at one position
            "at": st.integers(NOW_MS, NOW_MS + 3),
            "confidence": decimals,
            "tier": st.sampled_from(SOURCE_CLASSES),
            "votes": st.lists(st.sampled_from(["-1", "0.000001", "1"]), max_size=2),
            "predicate": st.sampled_from(["must_use", "forbidden"]),
            "source": st.sampled_from([None, "a" * 64, "b" * 64]),
        }
    )
    rows = draw(st.lists(one, max_size=12))
    return comparison, _claims([row | shared for row in rows])


def _claims(rows: list[dict]) -> list[Candidate]:
    made = {}
    for seq, row in enumerate(rows):
        fields = dict(row)
        candidate = claim(fields.pop("value"), *fields.pop("agents"), **{"seq": seq, **fields})
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
