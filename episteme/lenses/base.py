"""From scored groups to a resolution: the tie-break, shares, conflict, status.

A lens scores each group and names the claim that represents it best; all the
rest is the same for every lens and happens here.  Sums are exact integers;
each fraction is rounded to six digits once, so that answers are the same bytes
on any machine.

Source: docs/lenses.md.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Final, Protocol

from msgspec import Struct

from episteme.lenses.candidate import Candidate, Group
from stores import GroupRow, Resolution, Status

DIGITS: Final = 6
AGREED_CONFLICT_BELOW: Final = 0.4
AGREED_SHARE_FROM: Final = 0.8
_AGREED_SHARE_EXACT: Final = Fraction(str(AGREED_SHARE_FROM))  # a share of just under it is not enough


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


def shares(ranking: Sequence[Scored]) -> list[float]:
    """Each group's part of all weight; equal parts if nobody has any."""
    total = sum(one.weight for one in ranking)
    if total == 0:
        return [round(1 / len(ranking), DIGITS) for _ in ranking]
    return [round(one.weight / total, DIGITS) for one in ranking]


def conflict(weights: Sequence[int]) -> float:
    """Shannon entropy of the shares over the log of their number: 0 for one value, 1 for equal opposites."""
    total = sum(weights)
    if len(weights) < 2:
        return 0.0
    if total == 0:
        return 1.0
    entropy = -math.fsum(weight / total * math.log(weight / total) for weight in weights if weight)
    return min(1.0, abs(round(entropy / math.log(len(weights)), DIGITS)))


def status_of(weights: Sequence[int], conflict_value: float) -> Status:
    """One word for how much the claims disagree."""
    if not weights:
        return "none"
    if len(weights) == 1:
        return "unanimous"
    agreed = conflict_value < AGREED_CONFLICT_BELOW or 0 < _AGREED_SHARE_EXACT * sum(weights) <= max(weights)
    return "agreed" if agreed else "contested"


def nothing(lens: Lens) -> Resolution:
    """The resolution of no candidates."""
    return Resolution(lens.name, lens.version, "none", None, 0.0, 0.0, None, 0, ())


def resolution(lens: Lens, ranking: Sequence[Scored], *, confidence: float, margin: float | None) -> Resolution:
    """The resolution of a ranking that is not empty."""
    weights = [one.weight for one in ranking]
    conflict_value = conflict(weights)
    return Resolution(
        lens=lens.name,
        lens_version=lens.version,
        status=status_of(weights, conflict_value),
        winner=ranking[0].best.digest,
        confidence=round(confidence, DIGITS),
        conflict=conflict_value,
        margin=None if margin is None else round(margin, DIGITS),
        candidates_count=sum(len(one.group.candidates) for one in ranking),
        groups=tuple(_group_row(one, part) for one, part in zip(ranking, shares(ranking), strict=True)),
    )


def _group_row(one: Scored, share: float) -> GroupRow:
    candidates = one.group.candidates
    return GroupRow(
        value=one.best.event.object,
        share=share,
        support=one.group.support,
        best_tier=min(candidate.tier for candidate in candidates),
        votes_micros=sum(candidate.tally.sum_micros for candidate in candidates),
        hashes=tuple(candidate.digest for candidate in candidates),
        hashes_count=len(candidates),
    )
