"""From scored groups to a resolution: the tie-break, shares, conflict, status.

A lens scores each group and names the claim that represents it best; all the
rest is the same for every lens and happens here.  Sums are exact integers;
each fraction is rounded to six digits once, so that answers are the same bytes
on any machine.

Source: docs/lenses.md.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from episteme.lenses.candidate import Candidate
from episteme.lenses.groups import Group
from episteme.lenses.lens import Lens
from episteme.lenses.values import value_of
from stores import GroupRow, Resolution, Status

DIGITS: Final = 6
AGREED_CONFLICT_BELOW: Final = 0.4
AGREED_SHARE_FROM: Final = 0.8
_AGREED_PARTS, _AGREED_OF = Fraction(str(AGREED_SHARE_FROM)).as_integer_ratio()  # a share of just under is not enough

Weights = Mapping[int, int]  # how many groups have each weight


class Scored(NamedTuple):
    """A group under a lens: its score decides, its weight makes its share, best represents it."""

    group: Group
    score: int
    weight: int
    best: Candidate


class Figures(NamedTuple):
    """The numbers of a resolution that belong to no group, rounded."""

    status: Status
    confidence: float
    conflict: float
    margin: float | None


class Lead(NamedTuple):
    """How far the first group is ahead, not rounded."""

    confidence: float  # its share
    margin: float | None  # difference of shares to the second


def ranked(scored: Iterable[Scored]) -> list[Scored]:
    """The winner first: higher score, then the tie-break of the claims that represent the groups."""
    return sorted(scored, key=_order)


def share(weight: int, total: int, groups_count: int) -> float:
    """A group's part of all weight; equal parts if nobody has any."""
    return round(weight / total if total else 1 / groups_count, DIGITS)


def lead_of(first: int, second: int | None, total: int, groups_count: int) -> Lead:
    """From the weights of the first two groups, and of all."""
    part = first / total if total else 1 / groups_count
    return Lead(part, None if second is None else (first - second) / max(total, 1))


def conflict(weights: Weights) -> float:
    """Shannon entropy of the shares over the log of their number: 0 for one value, 1 for equal opposites.

    Groups of one weight enter as one term, times their number: the cost is that of the distinct weights,
    and whoever has the same weights gets the same bytes.
    """
    count = sum(weights.values())
    if count < 2:
        return 0.0
    total = sum([weight * groups for weight, groups in weights.items()])
    if total == 0:
        return 1.0
    terms = [groups * (weight / total * math.log(weight / total)) for weight, groups in weights.items() if weight]
    entropy = -math.fsum(terms)
    return min(1.0, abs(round(entropy / math.log(count), DIGITS)))


def status_of(weights: Weights, conflict_value: float) -> Status:
    """One word for how much the claims disagree."""
    if not weights:
        return "none"
    if sum(weights.values()) == 1:
        return "unanimous"
    total = sum([weight * groups for weight, groups in weights.items()])
    agreed = conflict_value < AGREED_CONFLICT_BELOW or 0 < _AGREED_PARTS * total <= _AGREED_OF * max(weights)
    return "agreed" if agreed else "contested"


def figures(weights: Weights, *, confidence: float, margin: float | None, is_all: bool = True) -> Figures:
    """The figures of a ranking that is not empty; is_all: there are no other groups than those with a weight here."""
    conflict_value = conflict(weights)
    status = status_of(weights, conflict_value)
    return Figures(
        "agreed" if status == "unanimous" and not is_all else status,
        round(confidence, DIGITS),
        conflict_value,
        None if margin is None else round(margin, DIGITS),
    )


def nothing(lens: Lens) -> Resolution:
    """The resolution of no candidates."""
    return Resolution(lens.name, lens.version, "none", None, 0.0, 0.0, None, 0, ())


def resolution(
    lens: Lens,
    ranking: Sequence[Scored],
    *,
    confidence: float,
    margin: float | None,
    among: int | None = None,
    has_winner: bool = True,
) -> Resolution:
    """The resolution of a ranking that is not empty.

    among: so many of the first groups have a say; the others are listed with no share.  None: all have.
    """
    count = len(ranking) if among is None else among
    weights = [one.weight for one in ranking[:count]]
    total = sum(weights)
    found = figures(Counter(weights), confidence=confidence, margin=margin, is_all=count == len(ranking))
    parts = [share(weight, total, count) for weight in weights] + [0.0] * (len(ranking) - count)
    return Resolution(
        lens=lens.name,
        lens_version=lens.version,
        status=found.status,
        winner=ranking[0].best.digest if has_winner else None,
        confidence=found.confidence,
        conflict=found.conflict,
        margin=found.margin,
        candidates_count=sum([len(one.group.candidates) for one in ranking]),
        groups=tuple([_group_row(one, part) for one, part in zip(ranking, parts, strict=True)]),
    )


def by_share(lens: Lens, ranking: Sequence[Scored], *, among: int | None = None, has_winner: bool = True) -> Resolution:
    """The resolution of a ranking by weight: sure by the winner's share, ahead by the difference of shares."""
    if not ranking:
        return nothing(lens)
    weights = [one.weight for one in ranking]
    if among == 1:
        lead = Lead(1.0, None if len(ranking) == 1 else 1.0)
    else:
        second = weights[1] if len(weights) > 1 else None
        lead = lead_of(weights[0], second, sum(weights[:among]), among or len(weights))
    confidence = lead.confidence if has_winner else 0.0
    return resolution(lens, ranking, confidence=confidence, margin=lead.margin, among=among, has_winner=has_winner)


def parts_of(weights: Mapping[bytes, int], candidates: Iterable[Candidate]) -> dict[bytes, float]:
    """What each candidate weighed as a part of all weight, from what some of them did; zeros if nobody did."""
    total = sum(weights.values())
    found = dict.fromkeys([candidate.digest for candidate in candidates], 0.0)
    if total:
        parts = {weight: round(weight / total, DIGITS) for weight in set(weights.values())}
        found.update({digest: parts[weight] for digest, weight in weights.items()})
    return found


def _order(one: Scored) -> tuple[int, tuple[int, int, bytes]]:
    return (-one.score, one.best.tie)


def _group_row(one: Scored, part: float) -> GroupRow:
    candidates = one.group.candidates
    return GroupRow(
        value=value_of(one.best.claim.object),
        share=part,
        support=len(one.group.supporters),
        best_tier=min([candidate.tier for candidate in candidates]),
        votes_micros=sum([candidate.tally.sum_micros for candidate in candidates]),
        hashes=tuple([candidate.digest for candidate in candidates]),
        hashes_count=len(candidates),
    )
