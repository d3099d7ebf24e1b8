"""Lenses that weigh values: consensus and votes."""

from collections.abc import Sequence

from episteme.lenses.base import Lens, Scored, nothing, ranked, resolution
from episteme.lenses.candidate import Group
from stores import Resolution


class Consensus:
    """The value with the most agents behind it wins; sure by its share of all agents."""

    name = "consensus"
    version = 1

    def resolve(self, groups: Sequence[Group]) -> Resolution:
        """As Lens.resolve."""
        return _by_share(self, [_by_support(group) for group in groups])


class Votes:
    """The value whose claims have the most positive live votes wins; without any vote, as consensus."""

    name = "votes"
    version = 1

    def resolve(self, groups: Sequence[Group]) -> Resolution:
        """As Lens.resolve."""
        scored = [_by_votes(group) for group in groups]
        if not any(one.score for one in scored):
            scored = [_by_support(group) for group in groups]
        return _by_share(self, scored)


def _by_support(group: Group) -> Scored:
    best = min(group.standing, key=lambda candidate: candidate.tie)
    return Scored(group, score=group.support, weight=group.support, best=best)


def _by_votes(group: Group) -> Scored:
    weight = sum(candidate.tally.positive_micros for candidate in group.candidates)
    best = min(group.candidates, key=lambda c: (-c.tally.positive_micros, *c.tie))
    return Scored(group, score=weight, weight=weight, best=best)


def _by_share(lens: Lens, scored: Sequence[Scored]) -> Resolution:
    if not scored:
        return nothing(lens)
    ranking = ranked(scored)
    total = sum(one.weight for one in ranking)
    share = ranking[0].weight / total if total else 1 / len(ranking)
    lead = None if len(ranking) == 1 else (ranking[0].weight - ranking[1].weight) / max(total, 1)
    return resolution(lens, ranking, confidence=share, margin=lead)
