"""Lenses that weigh values: consensus and votes."""

from collections.abc import Sequence
from typing import NamedTuple

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


class Lead(NamedTuple):
    """How far the first group is ahead, not rounded."""

    confidence: float  # its share
    margin: float | None  # difference of shares to the second


def lead_of(first: int, second: int | None, total: int, groups_count: int) -> Lead:
    """From the weights of the first two groups, and of all."""
    share = first / total if total else 1 / groups_count
    return Lead(share, None if second is None else (first - second) / max(total, 1))


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
    runner_up = ranking[1].weight if len(ranking) > 1 else None
    lead = lead_of(ranking[0].weight, runner_up, total, len(ranking))
    return resolution(lens, ranking, confidence=lead.confidence, margin=lead.margin)
