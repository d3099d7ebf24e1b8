"""What a lens sees: candidates, the values they stand for, and the agents behind each value.

Pure.  Every order ends in the hash, which is unique.
Source: docs/lenses.md.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from model import (
    TIER_BY_SOURCE_CLASS,
    AnyValue,
    Assertion,
    to_micros,
)
from stores import AssertionRow, Tally

ValueKey = tuple[str, str]

HIDDEN_LIFECYCLES: Final = frozenset(("deprecated", "rejected"))  # unless a question names them


class Signer(Struct, frozen=True, array_like=True, gc=False):
    """An agent that signed a claim: when it says so, and where its signature stands in the log."""

    agent: bytes
    timestamp: int
    seq: int


class Candidate(Struct, frozen=True):
    """A claim that takes part in a resolution."""

    digest: bytes
    event: Assertion
    seq: int
    signers: tuple[Signer, ...]
    tally: Tally
    key: ValueKey
    tier: int
    confidence_micros: int

    @property
    def timestamp(self) -> int:
        """When the agent says it claimed this, in milliseconds since 1970."""
        return self.event.timestamp

    @property
    def tie(self) -> tuple[int, int, bytes]:
        """The order among equals: lower tier, then later timestamp, then smaller hash."""
        return (self.tier, -self.event.timestamp, self.digest)


class Group(Struct, frozen=True):
    """The candidates that say the same, in log order, and the agents who stand for it now."""

    key: ValueKey
    candidates: tuple[Candidate, ...]
    supporters: frozenset[bytes]

    @property
    def support(self) -> int:
        """How many distinct agents stand for the value."""
        return len(self.supporters)

    @property
    def standing(self) -> tuple[Candidate, ...]:
        """The candidates signed by an agent who stands for the value; all of them if nobody does."""
        standing = tuple(c for c in self.candidates if any(s.agent in self.supporters for s in c.signers))
        return standing or self.candidates


def make_candidate(digest: bytes, row: AssertionRow, tally: Tally) -> Candidate:
    """A candidate from what the store keeps."""
    event = row.event
    return Candidate(
        digest=digest,
        event=event,
        seq=row.seq,
        signers=tuple(Signer(s.agent, event.timestamp, s.seq) for s in row.signatures),
        tally=tally,
        key=value_key(event.object),
        tier=TIER_BY_SOURCE_CLASS[event.source_class],
        confidence_micros=to_micros(event.confidence),
    )


def value_key(value: AnyValue) -> ValueKey:
    """What makes two values the same: text after NFC and trimming, numbers as exact decimals."""
    return key_of(str(value.__struct_config__.tag), value.value)


def key_of(kind: str, value: str | bool) -> ValueKey:
    """The same from a value's type and what it holds."""
    match kind:
        case "text":
            return (kind, unicodedata.normalize("NFC", str(value)).strip())
        case "number":
            return (kind, _exact_number(str(value)))
        case "boolean":
            return (kind, "true" if value else "false")
    return (kind, str(value))


def group_by_value(candidates: Iterable[Candidate]) -> list[Group]:
    """Put candidates that say the same together; each agent supports the value of its latest claim.

    Groups come in the order of their keys.
    """
    members: dict[ValueKey, list[Candidate]] = defaultdict(list)
    latest: dict[bytes, tuple[int, int, ValueKey]] = {}
    for candidate in candidates:
        members[candidate.key].append(candidate)
        for signer in candidate.signers:
            claim = (signer.timestamp, signer.seq, candidate.key)
            if claim > latest.get(signer.agent, (-1, -1, ("", ""))):
                latest[signer.agent] = claim
    supporters: dict[ValueKey, set[bytes]] = defaultdict(set)
    for agent, (_, _, key) in latest.items():
        supporters[key].add(agent)
    return [
        Group(key, tuple(sorted(members[key], key=_log_order)), frozenset(supporters[key])) for key in sorted(members)
    ]


def newest_stages(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Replace each chain of lifecycle moves by its newest stage.

    A claim whose parent is here and says the same moves that parent on.  Of a chain with several
    ends the one with the latest timestamp stands, then the one with the smaller hash.  The agents
    of the earlier stages still stand for the value, so they count with the stage that is left.
    """
    by_digest = {candidate.digest: candidate for candidate in candidates}
    parent_of = {c.digest: parent.digest for c in candidates if (parent := _moved_by(c, by_digest)) is not None}
    if not parent_of:
        return list(candidates)
    moved = set(parent_of.values())
    chains: dict[bytes, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        chains[_root(candidate.digest, parent_of)].append(candidate)
    return [_newest(chain, moved) for chain in chains.values()]


def _moved_by(candidate: Candidate, by_digest: dict[bytes, Candidate]) -> Candidate | None:
    parent_hash = candidate.event.parent_hash
    if not isinstance(parent_hash, str):
        return None
    parent = by_digest.get(bytes.fromhex(parent_hash))
    return parent if parent is not None and parent.key == candidate.key else None


def _root(digest: bytes, parent_of: dict[bytes, bytes]) -> bytes:
    """Where the chain begins; the path to it is shortened, so that long chains cost no more than short ones."""
    path = []
    while digest in parent_of:  # ends: a hash cannot contain itself
        path.append(digest)
        digest = parent_of[digest]
    for passed in path:
        parent_of[passed] = digest
    return digest


def _newest(chain: list[Candidate], moved: set[bytes]) -> Candidate:
    if len(chain) == 1:
        return chain[0]
    ends = [candidate for candidate in chain if candidate.digest not in moved]
    newest = min(ends, key=lambda candidate: (-candidate.timestamp, candidate.digest))
    signers = {signer for candidate in chain for signer in candidate.signers}
    ordered = sorted(signers, key=lambda signer: (signer.agent, signer.timestamp, signer.seq))
    return msgspec.structs.replace(newest, signers=tuple(ordered))


def _log_order(candidate: Candidate) -> tuple[int, bytes]:
    return (candidate.seq, candidate.digest)


def _exact_number(text: str) -> str:
    """A decimal's one spelling: sign, digits without zeros at either end, exponent of ten."""
    mantissa, _, exponent = text.lower().partition("e")
    sign, mantissa = ("-", mantissa[1:]) if mantissa.startswith("-") else ("", mantissa)
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "0"
    stripped = digits.rstrip("0")
    power = int(exponent or "0") - len(fraction) + len(digits) - len(stripped)
    return f"{sign}{stripped}e{power}"
