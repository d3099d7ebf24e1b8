"""From scored groups to a resolution: the tie-break, shares, conflict, status.

A lens scores each group and names the claim that represents it best; all the
rest is the same for every lens and happens here.  Sums are exact integers;
each fraction is rounded to six digits once, so that answers are the same bytes
on any machine.

Source: docs/lenses.md.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

from episteme.lenses.candidate import Candidate, Group
from stores import GroupRow, Resolution, Status

DIGITS: Final = 6
AGREED_CONFLICT_BELOW: Final = 0.4
AGREED_SHARE_FROM: Final = 0.8
_AGREED_SHARE_EXACT: Final = Fraction(str(AGREED_SHARE_FROM))  # a share of just under it is not enough

Weights = Mapping[int, int]  # how many groups have each weight


class Lens(Protocol):
    """A rule that decides among candidates.  Pure."""

    @property
    def name(self) -> str:
        """As it is asked for."""

    @property
    def version(self) -> int:
        """Counts the changes of the rule."""

    def resolve(self, groups: Sequence[Group]) -> Resolution:
        """Decide; groups as group_by_value gives them."""


class Scored(Struct, frozen=True):
    """A group under a lens: its score decides, its weight makes its share, best represents it."""

    group: Group
    score: int
    weight: int
    best: Candidate

    @property
    def order(self) -> tuple[int, tuple[int, int, bytes]]:
        """Higher score first, then the tie-break of the claims that represent the groups."""
        return (-self.score, self.best.tie)


def ranked(scored: Sequence[Scored]) -> list[Scored]:
    """The winner first."""
    return sorted(scored, key=lambda one: one.order)


def share(weight: int, total: int, groups_count: int) -> float:
    """A group's part of all weight; equal parts if nobody has any."""
    return round(weight / total if total else 1 / groups_count, DIGITS)


def conflict(weights: Weights) -> float:
    """Shannon entropy of the shares over the log of their number: 0 for one value, 1 for equal opposites.

    Groups of one weight enter as one term, times their number: the cost is that of the distinct weights,
    and whoever has the same weights gets the same bytes.
    """
    count = sum(weights.values())
    if count < 2:
        return 0.0
    total = sum(weight * groups for weight, groups in weights.items())
    if total == 0:
        return 1.0
    terms = (groups * (weight / total * math.log(weight / total)) for weight, groups in weights.items() if weight)
    entropy = -math.fsum(terms)
    return min(1.0, abs(round(entropy / math.log(count), DIGITS)))


def status_of(weights: Weights, conflict_value: float) -> Status:
    """One word for how much the claims disagree."""
    if not weights:
        return "none"
    if sum(weights.values()) == 1:
        return "unanimous"
    total = sum(weight * groups for weight, groups in weights.items())
    agreed = conflict_value < AGREED_CONFLICT_BELOW or 0 < _AGREED_SHARE_EXACT * total <= max(weights)
    return "agreed" if agreed else "contested"


class Figures(NamedTuple):
    """The numbers of a resolution that belong to no group, rounded."""

    status: Status
    confidence: float
    conflict: float
    margin: float | None


def figures(weights: Weights, *, confidence: float, margin: float | None) -> Figures:
    """The figures of a ranking that is not empty."""
    conflict_value = conflict(weights)
    return Figures(
        status_of(weights, conflict_value),
        round(confidence, DIGITS),
        conflict_value,
        None if margin is None else round(margin, DIGITS),
    )


def nothing(lens: Lens) -> Resolution:
    """The resolution of no candidates."""
    return Resolution(lens.name, lens.version, "none", None, 0.0, 0.0, None, 0, ())


def resolution(lens: Lens, ranking: Sequence[Scored], *, confidence: float, margin: float | None) -> Resolution:
    """The resolution of a ranking that is not empty."""
    found = figures(Counter(one.weight for one in ranking), confidence=confidence, margin=margin)
    total = sum(one.weight for one in ranking)
    return Resolution(
        lens=lens.name,
        lens_version=lens.version,
        status=found.status,
        winner=ranking[0].best.digest,
        confidence=found.confidence,
        conflict=found.conflict,
        margin=found.margin,
        candidates_count=sum(len(one.group.candidates) for one in ranking),
        groups=tuple(_group_row(one, share(one.weight, total, len(ranking))) for one in ranking),
    )


def _group_row(one: Scored, part: float) -> GroupRow:
    candidates = one.group.candidates
    return GroupRow(
        value=one.best.event.object,
        share=part,
        support=one.group.support,
        best_tier=min(candidate.tier for candidate in candidates),
        votes_micros=sum(candidate.tally.sum_micros for candidate in candidates),
        hashes=tuple(candidate.digest for candidate in candidates),
        hashes_count=len(candidates),
    )
