"""From claims to what counts of them: facts, chains and the order among equals.  Pure.

The same rules as episteme.lenses.candidate, over what the tallies keep of a
claim in place of the whole of it.  Source: docs/lenses.md.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from episteme.lenses import HIDDEN_LIFECYCLES, key_of
from model import TIER_BY_SOURCE_CLASS
from stores import GROUND_NAMES_MAX, PairClaim, PairGround, make_tie, short_id

OBJECT_BYTES_MAX: Final = 256  # a longer spelling is read from its claim when it is needed
_REMEMBERED_BYTES_MAX: Final = 96  # of a spelling, so that the cache holds a megabyte at most

Signer = tuple[bytes, int, int]  # agent, timestamp, position


class _Facts(Struct, frozen=True, gc=False):
    object: Raw
    source_class: str
    lifecycle: str
    timestamp: int
    source_hash: str | UnsetType = UNSET
    parent_hash: str | UnsetType = UNSET
    epoch: str | UnsetType = UNSET


class _Pair(Struct, frozen=True, gc=False):
    predicate: str


class _Value(Struct, frozen=True, gc=False):
    type: str
    value: str | bool


class Unit(Struct, frozen=True, gc=False):
    """What is counted once: a claim, or the newest stage of a chain with all the chain's signers."""

    claim: PairClaim
    signers: Sequence[Signer]


class Ground:
    """What the claims of one pair name beside what they say, gathered as they come; to note one twice is harmless."""

    __slots__ = ("kept",)

    def __init__(self, kept: PairGround) -> None:
        self.kept = kept

    def note(self, facts: _Facts, *, is_reference: bool) -> None:
        """Add what a claim names."""
        kept = self.kept
        epochs = _joined(kept.epochs, facts.epoch)
        sources = _joined(kept.sources, facts.source_hash)
        self.kept = PairGround(epochs, sources, kept.references or is_reference)


_decode_facts = msgspec.msgpack.Decoder(_Facts).decode
_decode_pair = msgspec.msgpack.Decoder(_Pair).decode
_decode_value = msgspec.msgpack.Decoder(_Value).decode


def claim_of(
    digest: bytes, seq: int, event: Raw, signers: tuple[tuple[bytes, int], ...], votes_micros: int, ground: Ground
) -> PairClaim:
    """What the tallies keep of an assertion, from its msgpack; ground: of its pair, which is told what it names."""
    facts = _decode_facts(event)
    spelled = bytes(facts.object)
    value, is_reference = _remembered(spelled) if len(spelled) <= _REMEMBERED_BYTES_MAX else _value_of(spelled)
    if is_reference or facts.epoch is not UNSET or facts.source_hash is not UNSET:
        ground.note(facts, is_reference=is_reference)
    return PairClaim(
        make_tie(TIER_BY_SOURCE_CLASS[facts.source_class], facts.timestamp, digest),  # type: ignore[index]
        seq,
        facts.timestamp,
        facts.lifecycle in HIDDEN_LIFECYCLES,
        bytes.fromhex(facts.parent_hash) if facts.parent_hash is not UNSET else None,
        value,
        signers,
        votes_micros,
        spelled if len(spelled) <= OBJECT_BYTES_MAX else b"",
    )


def object_of(event: Raw) -> bytes:
    """The spelling of what an assertion says, in msgpack."""
    return bytes(_decode_facts(event).object)


def predicate_of(event: Raw) -> str:
    """An assertion's predicate."""
    return _decode_pair(event).predicate


def unit_of(claim: PairClaim) -> Unit | None:
    """A claim that stands for itself; none if its stage hides it."""
    if claim.is_hidden:
        return None
    timestamp = claim.timestamp
    return Unit(claim, [(agent, timestamp, seq) for agent, seq in claim.signers])


def unit_of_chain(chain: Sequence[PairClaim]) -> Unit | None:
    """The newest stage of a chain, for all who signed any of it; none if that stage is hidden."""
    if len(chain) == 1:
        return unit_of(chain[0])
    moved = {claim.parent for claim in chain}
    newest = min((c for c in chain if c.digest not in moved), key=lambda claim: (-claim.timestamp, claim.digest))
    if newest.is_hidden:
        return None
    latest: dict[bytes, tuple[int, int]] = {}
    for claim in chain:
        for agent, seq in claim.signers:
            latest[agent] = max(latest.get(agent, (-1, -1)), (claim.timestamp, seq))
    return Unit(newest, [(agent, *said) for agent, said in sorted(latest.items())])


def units_of(claims: Sequence[PairClaim]) -> list[Unit]:
    """All that counts of a pair, given all of its claims."""
    for claim in claims:
        if claim.parent is not None:
            units = [unit_of_chain(chain) for chain in chains_of(claims)]
            return [unit for unit in units if unit is not None]
    return [
        Unit(claim, [(agent, claim.timestamp, seq) for agent, seq in claim.signers])
        for claim in claims
        if not claim.is_hidden
    ]


def chains_of(claims: Sequence[PairClaim]) -> Iterable[list[PairClaim]]:
    """Claims by the chain that they belong to, in their order; most are alone in theirs."""
    by_digest = {claim.digest: claim for claim in claims}
    parents = {c.digest: c.parent for c in claims if c.parent is not None and moves(c, by_digest.get(c.parent))}
    chains: dict[bytes, list[PairClaim]] = defaultdict(list)
    for claim in claims:
        chains[_root(claim.digest, parents)].append(claim)
    return chains.values()


def moves(claim: PairClaim, parent: PairClaim | None) -> bool:
    """Whether a claim moves another of its pair on: the one that it names, if both say the same."""
    return parent is not None and claim.parent == parent.digest and claim.value == parent.value


def _root(digest: bytes, parents: dict[bytes, bytes]) -> bytes:
    """Where a chain begins; the path is shortened, so that long chains cost no more than short ones."""
    path = []
    while digest in parents:  # ends: a hash cannot contain itself
        path.append(digest)
        digest = parents[digest]
    for passed in path:
        parents[passed] = digest
    return digest


def _joined(names: tuple[bytes, ...] | None, name_hex: str | UnsetType) -> tuple[bytes, ...] | None:
    """Names with one more; None if that is one too many, and for good."""
    if names is None or name_hex is UNSET:
        return names
    name = bytes.fromhex(name_hex)
    if name in names:
        return names
    return tuple(sorted((*names, name))) if len(names) < GROUND_NAMES_MAX else None


def _value_of(spelled: bytes) -> tuple[bytes, bool]:
    """The id that all spellings of a value share, and whether it names a subject."""
    found = _decode_value(spelled)
    return short_id("\n".join(key_of(found.type, found.value)).encode()), found.type == "reference"


_remembered = lru_cache(maxsize=4096)(_value_of)  # values repeat
