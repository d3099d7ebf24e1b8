"""Lenses that weigh agents by the trust they have earned: trust and authority."""

from collections.abc import Sequence
from typing import NamedTuple

from episteme.lenses.base import Scored, by_share, nothing, parts_of, ranked
from episteme.lenses.candidate import Candidate
from episteme.lenses.groups import Group, group_by_value
from episteme.lenses.lens import THRESHOLD, Finding, Terms
from episteme.lenses.many import pass_elements
from episteme.lenses.stands import Crowd, stands_of_agents
from episteme.lenses.tiers import by_tier, rank_by_tier


class Trust:
    """The value whose supporters' confidence times trust sums highest wins; sure by its share of that.

    An agent brings its most confident claim of the value.
    """

    name = "trust"
    version = 1
    uses_trust = True
    takes_predicate = True
    parameters = (THRESHOLD,)

    def resolve(self, candidates: Sequence[Candidate], terms: Terms) -> Finding:
        """As Lens.resolve."""
        if not candidates:
            return Finding(nothing(self))
        if terms.comparison.many:
            crowd = Crowd([candidates], terms.comparison)
            return pass_elements(self, crowd, stands_of_agents(crowd, by_confidence=True), terms)
        trusted = [trust_of(group) for group in group_by_value(candidates, terms.comparison)]
        ranking = ranked([one.scored for one in trusted])
        weights = {digest: weight for one in trusted for digest, weight in one.through.items()}
        return Finding(by_share(self, ranking), weights=parts_of(weights, candidates))


class Authority:
    """The best tier that has claims decides, as trust within it; sure by the winner's share there."""

    name = "authority"
    version = 1
    uses_trust = True
    takes_predicate = True
    parameters = (THRESHOLD,)

    def resolve(self, candidates: Sequence[Candidate], terms: Terms) -> Finding:
        """As Lens.resolve."""
        if not candidates:
            return Finding(nothing(self))
        if terms.comparison.many:
            crowd = Crowd(list(by_tier(candidates).values()), terms.comparison)
            return pass_elements(self, crowd, stands_of_agents(crowd, by_confidence=True), terms)
        found = rank_by_tier(candidates, terms.comparison, scored_by_trust)
        weights = {digest: weight for group in found.first for digest, weight in trust_of(group).through.items()}
        resolution = by_share(self, found.ranking, among=found.among)
        return Finding(resolution, weights=parts_of(weights, candidates))


class Trusted(NamedTuple):
    """A group under trust, and the claims through which its weight comes."""

    scored: Scored
    through: dict[bytes, int]


def trust_of(group: Group) -> Trusted:
    """A value under trust: each supporter weighs its best claim's confidence times its trust, in exact integers."""
    best: dict[bytes, Candidate] = {}
    for candidate in group.candidates:
        for signer in candidate.signers:
            agent = signer.agent
            if agent in group.supporters and (agent not in best or _surer(candidate, best[agent])):
                best[agent] = candidate
    through: dict[bytes, int] = {}
    for agent, candidate in best.items():
        signer = group.supporters[agent][4]
        weight = candidate.confidence_micros * signer.trust_micros * signer.weight_micros
        through[candidate.digest] = through.get(candidate.digest, 0) + weight
    score = sum(through.values())
    shown = min(group.standing, key=lambda c: (-through.get(c.digest, 0), *c.tie))
    return Trusted(Scored(group, score=score, weight=score, best=shown), through)


def scored_by_trust(group: Group) -> Scored:
    """A value under trust."""
    return trust_of(group).scored


def _surer(one: Candidate, other: Candidate) -> bool:
    return (-one.confidence_micros, one.tie) < (-other.confidence_micros, other.tie)
