"""Ranking by tier: the best tier that has claims decides, and no other moves its shares.  Pure.

Source: docs/lenses.md, "From groups to an answer".
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from episteme.lenses.base import Scored, ranked
from episteme.lenses.candidate import Candidate
from episteme.lenses.groups import Group, KeyOf, keys_within, regroup
from episteme.lenses.values import Comparison


class TierRanking(NamedTuple):
    """Groups of all candidates, those of the best tier first.

    among: how many those are; the others have no say.  first: the same groups, of the best tier's candidates alone.
    """

    ranking: list[Scored]
    among: int
    first: list[Group]


def by_tier(candidates: Iterable[Candidate]) -> dict[int, list[Candidate]]:
    """Candidates by tier, the best tier first."""
    tiers: dict[int, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        tiers[candidate.tier].append(candidate)
    return {tier: tiers[tier] for tier in sorted(tiers)}


def rank_by_tier(
    candidates: Sequence[Candidate], comparison: Comparison, score: Callable[[Group], Scored]
) -> TierRanking:
    """Rank values by their best tier, then as score does within it, over that tier's candidates alone."""
    return rank_keys_by_tier(candidates, keys_within(list(by_tier(candidates).values()), comparison), score)


def rank_keys_by_tier(candidates: Sequence[Candidate], key_of: KeyOf, score: Callable[[Group], Scored]) -> TierRanking:
    """The same, with what makes candidates one group given."""
    left = {group.key: group for group in regroup(candidates, key_of)}
    ranking: list[Scored] = []
    first: list[Group] = []
    for members in by_tier(candidates).values():
        groups = regroup(members, key_of)
        new = ranked([score(group) for group in groups if group.key in left])
        ranking += [one._replace(group=left.pop(one.group.key)) for one in new]
        first = first or groups
    return TierRanking(ranking, len(first), first)
