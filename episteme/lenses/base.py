"""From scored groups to a resolution: the tie-break, shares, conflict, status.

A lens scores each group and names the claim that represents it best; all the
rest is the same for every lens and happens here.  Sums are exact integers;
each fraction is rounded to six digits once, so that answers are the same bytes
on any machine.

Source: docs/lenses.md.
"""

import math
from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct

from episteme.lenses.candidate import Candidate, Group
from stores import GroupRow, Resolution, Status

DIGITS: Final = 6
AGREED_CONFLICT_BELOW: Final = 0.4
AGREED_SHARE_FROM: Final = 0.8


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


def conflict(parts: Sequence[float]) -> float:
    """Shannon entropy of the shares over the log of their number: 0 for one value, 1 for equal opposites."""
    if len(parts) < 2:
        return 0.0
    entropy = -math.fsum(part * math.log(part) for part in parts if part > 0)
    return min(1.0, abs(round(entropy / math.log(len(parts)), DIGITS)))


def status_of(parts: Sequence[float], conflict_value: float) -> Status:
    """One word for how much the claims disagree."""
    if not parts:
        return "none"
    if len(parts) == 1:
        return "unanimous"
    if conflict_value < AGREED_CONFLICT_BELOW or max(parts) >= AGREED_SHARE_FROM:
        return "agreed"
    return "contested"


def nothing(lens: Lens) -> Resolution:
    """The resolution of no candidates."""
    return Resolution(lens.name, lens.version, "none", None, 0.0, 0.0, None, 0, ())


def resolution(
    lens: Lens, ranking: Sequence[Scored], parts: Sequence[float], *, confidence: float, margin: float | None
) -> Resolution:
    """The resolution of a ranking that is not empty."""
    conflict_value = conflict(parts)
    return Resolution(
        lens=lens.name,
        lens_version=lens.version,
        status=status_of(parts, conflict_value),
        winner=ranking[0].best.digest,
        confidence=round(confidence, DIGITS),
        conflict=conflict_value,
        margin=None if margin is None else round(margin, DIGITS),
        candidates_count=sum(len(one.group.candidates) for one in ranking),
        groups=tuple(_group_row(one, part) for one, part in zip(ranking, parts, strict=True)),
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
