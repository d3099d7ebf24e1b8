"""What a lens sees: claims that take part in an answer, each with who signed it and how it was voted on.

Pure.  Every order ends in the hash, which is unique.
Source: docs/lenses.md, "From claims to groups".
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Struct

from episteme.lenses.values import PLAIN, Comparison, Element, ValueKey, elements_of, key_under, plain_key
from model import TIER_BY_SOURCE_CLASS, to_micros
from stores import MICROS, TRUST_START_MICROS, Claim, Tally

HIDDEN_LIFECYCLES: Final = frozenset(("deprecated", "rejected"))  # unless a question names them


class Signer(Struct, frozen=True, array_like=True, gc=False):
    """An agent that signed a claim: when it says so, and where its signature stands in the log.

    trust_micros: its trust as of the answer's position.  weight_micros: in the trust pack that was asked for.
    """

    agent: bytes
    timestamp: int
    seq: int
    trust_micros: int = TRUST_START_MICROS
    weight_micros: int = MICROS


class Candidate(Struct, frozen=True, gc=False):
    """A claim that takes part in a resolution.

    key: of its value, tolerance aside.  confidence_micros: as the lens sees it, decayed already.
    elements: the set that it says, of a many-valued predicate only.
    """

    digest: bytes
    claim: Claim
    seq: int
    signers: tuple[Signer, ...]
    tally: Tally
    key: ValueKey
    tier: int
    confidence_micros: int
    elements: tuple[Element, ...] = ()

    @property
    def timestamp(self) -> int:
        """When the agent says it claimed this, in milliseconds since 1970."""
        return self.claim.timestamp

    @property
    def tie(self) -> tuple[int, int, bytes]:
        """The order among equals: lower tier, then later timestamp, then smaller hash."""
        return (self.tier, -self.claim.timestamp, self.digest)


def make_candidate(
    digest: bytes,
    claim: Claim,
    seq: int,
    signers: tuple[Signer, ...],
    tally: Tally,
    comparison: Comparison = PLAIN,
    confidence_micros: int | None = None,
) -> Candidate:
    """A candidate from what the store keeps; confidence_micros: what decay leaves of it, None for all of it."""
    said = claim.object
    if confidence_micros is None:
        confidence_micros = to_micros(claim.confidence)
    tier = TIER_BY_SOURCE_CLASS[claim.source_class]
    if comparison is PLAIN:
        return Candidate(digest, claim, seq, signers, tally, plain_key(said), tier, confidence_micros)
    elements = elements_of(said, comparison) if comparison.many else ()
    key = key_under(said, comparison, elements)
    return Candidate(digest, claim, seq, signers, tally, key, tier, confidence_micros, elements)


def newest_stages(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Replace each chain of lifecycle moves by its newest stage.

    A claim whose parent is here, under the same predicate, and says the same moves that parent on; tolerance does
    not make two values the same here.  Of a chain with several ends the one with the latest timestamp stands, then
    the one with the smaller hash.  The agents of the earlier stages still stand for the value, so they count with
    the stage that is left.
    """
    if all(candidate.claim.parent_hash is UNSET for candidate in candidates):
        return list(candidates)
    by_digest = {candidate.digest: candidate for candidate in candidates}
    parent_of = {c.digest: parent.digest for c in candidates if (parent := _moved_by(c, by_digest)) is not None}
    if not parent_of:
        return list(candidates)
    moved = set(parent_of.values())
    chains: dict[bytes, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        chains[_root(candidate.digest, parent_of)].append(candidate)
    return [_newest(chain, moved) for chain in chains.values()]


def _moved_by(candidate: Candidate, by_digest: Mapping[bytes, Candidate]) -> Candidate | None:
    parent_hash = candidate.claim.parent_hash
    if parent_hash is UNSET:
        return None
    parent = by_digest.get(bytes.fromhex(parent_hash))
    if parent is None or parent.key != candidate.key or parent.claim.predicate != candidate.claim.predicate:
        return None
    return parent


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
