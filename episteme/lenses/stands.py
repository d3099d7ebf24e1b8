"""Who stands for which set of values, where a predicate has many.  Pure.

Source: docs/lenses.md, "Predicates of many values".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from episteme.lenses.candidate import Candidate, Signer
from episteme.lenses.values import Comparison, Element, ValueKey, lowest_within
from stores import ClaimObject

Set = frozenset[ValueKey]

_SPLIT = 1_000_000  # what an agent weighs is parted among its claims to a millionth, in integers


class Crowd:
    """Candidates and the set of values that each says, within tolerance; of one value where a predicate has one."""

    def __init__(self, levels: Sequence[Sequence[Candidate]], comparison: Comparison) -> None:
        """levels: by tier, if only the best has a say; else one with all candidates."""
        self.candidates = [candidate for level in levels for candidate in level]
        self.first = levels[0]
        self._is_many = comparison.many
        self._lowest: Mapping[ValueKey, ValueKey] = {}
        if comparison.tolerance is not None:
            keys = [[element.key for one in level for element in self._elements(one)] for level in levels]
            self._lowest = lowest_within(keys, comparison.tolerance)

    def spelled(self, candidate: Candidate) -> dict[ValueKey, ClaimObject]:
        """The values that a candidate says, as it spells them."""
        return {self._lowest.get(element.key, element.key): element.object for element in self._elements(candidate)}

    def set_of(self, candidate: Candidate) -> Set:
        """The set that a candidate says."""
        return self._sets[candidate.digest]

    def _elements(self, candidate: Candidate) -> tuple[Element, ...]:
        return candidate.elements if self._is_many else (Element(candidate.key, candidate.claim.object),)

    @cached_property
    def _sets(self) -> dict[bytes, Set]:
        return {candidate.digest: frozenset(self.spelled(candidate)) for candidate in self.candidates}

    @cached_property
    def holders(self) -> dict[ValueKey, list[Candidate]]:
        """All candidates that say each value."""
        holders: dict[ValueKey, list[Candidate]] = {}
        for candidate in self.candidates:
            for key in self.set_of(candidate):
                holders.setdefault(key, []).append(candidate)
        return holders


class Stand(NamedTuple):
    """A set, what it weighs, and the claims through which it is said."""

    set: Set
    weight: int
    through: Sequence[Candidate]


def stands_of_agents(
    crowd: Crowd, *, by_confidence: bool = False, candidates: Sequence[Candidate] | None = None
) -> list[Stand]:
    """One for each agent: all that any of its claims says.

    by_confidence: an agent weighs its highest confidence times its trust.  candidates: None for those with a say.
    """
    signed: dict[bytes, dict[bytes, tuple[Candidate, Signer]]] = {}
    for candidate in crowd.first if candidates is None else candidates:
        for signer in candidate.signers:
            signed.setdefault(signer.agent, {})[candidate.digest] = (candidate, signer)
    stands = []
    for claims in signed.values():
        own = [candidate for candidate, _ in claims.values()]
        signer = next(iter(claims.values()))[1]
        weight = signer.weight_micros
        if by_confidence:
            weight *= max([candidate.confidence_micros for candidate in own]) * signer.trust_micros
        stands.append(Stand(frozenset().union(*map(crowd.set_of, own)), weight, own))
    return stands


def stands_of_claims(crowd: Crowd, weigh: Callable[[Candidate], int]) -> list[Stand]:
    """One for each claim."""
    return [Stand(crowd.set_of(candidate), weigh(candidate), (candidate,)) for candidate in crowd.first]


def weights_by_claim(stands: Iterable[Stand]) -> dict[bytes, int]:
    """What each claim weighs: an agent's weight is parted equally among its claims."""
    weights: dict[bytes, int] = {}
    for stand in stands:
        part = stand.weight * _SPLIT // len(stand.through)
        for candidate in stand.through:
            weights[candidate.digest] = weights.get(candidate.digest, 0) + part
    return weights
