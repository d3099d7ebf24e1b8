"""Lenses that count who stands for a value: consensus and votes."""

from collections.abc import Iterable, Sequence

from episteme.lenses.base import Scored, by_share, nothing, parts_of, ranked
from episteme.lenses.candidate import Candidate
from episteme.lenses.groups import Group, group_by_value
from episteme.lenses.lens import THRESHOLD, Finding, Lens, Terms
from episteme.lenses.many import pass_elements
from episteme.lenses.stands import Crowd, stands_of_agents, stands_of_claims


class Consensus:
    """The value with the most agents behind it wins; sure by its share of all agents.

    With a trust pack an agent weighs what the pack says.
    """

    name = "consensus"
    version = 1
    uses_trust = False
    takes_predicate = True
    parameters = (THRESHOLD,)

    def resolve(self, candidates: Sequence[Candidate], terms: Terms) -> Finding:
        """As Lens.resolve."""
        return _by_support(self, candidates, terms)


class Votes:
    """The value whose claims have the most positive live votes wins; without any vote, as consensus."""

    name = "votes"
    version = 1
    uses_trust = False
    takes_predicate = True
    parameters = (THRESHOLD,)

    def resolve(self, candidates: Sequence[Candidate], terms: Terms) -> Finding:
        """As Lens.resolve."""
        if not any(_positive(candidate) for candidate in candidates):
            return _by_support(self, candidates, terms)
        if terms.comparison.many:
            crowd = Crowd([candidates], terms.comparison)
            return pass_elements(self, crowd, stands_of_claims(crowd, _positive), terms)
        ranking = ranked([_by_votes(group) for group in group_by_value(candidates, terms.comparison)])
        weights = {candidate.digest: _positive(candidate) for candidate in candidates}
        return Finding(by_share(self, ranking), weights=parts_of(weights, candidates))


def scored_by_support(group: Group) -> Scored:
    """A value under consensus."""
    weight = group.weight_micros
    return Scored(group, score=weight, weight=weight, best=min(group.standing, key=_tie))


def weight_through(groups: Iterable[Group]) -> dict[bytes, int]:
    """The weight of agents by the claim through which each stands for its value."""
    weights: dict[bytes, int] = {}
    for group in groups:
        for _, _, _, candidate, signer in group.supporters.values():
            weights[candidate.digest] = weights.get(candidate.digest, 0) + signer.weight_micros
    return weights


def _by_support(lens: Lens, candidates: Sequence[Candidate], terms: Terms) -> Finding:
    if not candidates:
        return Finding(nothing(lens))
    if terms.comparison.many:
        crowd = Crowd([candidates], terms.comparison)
        return pass_elements(lens, crowd, stands_of_agents(crowd), terms)
    groups = group_by_value(candidates, terms.comparison)
    ranking = ranked([scored_by_support(group) for group in groups])
    return Finding(by_share(lens, ranking), weights=parts_of(weight_through(groups), candidates))


def _by_votes(group: Group) -> Scored:
    weight = sum([_positive(candidate) for candidate in group.candidates])
    best = min(group.candidates, key=lambda c: (-_positive(c), *c.tie))
    return Scored(group, score=weight, weight=weight, best=best)


def _positive(candidate: Candidate) -> int:
    return candidate.tally.positive_micros


def _tie(candidate: Candidate) -> tuple[int, int, bytes]:
    return (candidate.tier, -candidate.claim.timestamp, candidate.digest)
