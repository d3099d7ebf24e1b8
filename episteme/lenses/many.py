"""Predicates of many values: not one winner, but the set of values that enough stand for.  Pure.

Source: docs/lenses.md, "Predicates of many values".
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from episteme.lenses.base import DIGITS, figures, parts_of
from episteme.lenses.candidate import Candidate
from episteme.lenses.groups import log_order
from episteme.lenses.lens import Finding, Lens, Terms
from episteme.lenses.stands import Crowd, Set, Stand, stands_of_agents, weights_by_claim
from episteme.lenses.values import ValueKey, value_of
from model import AnyValue
from stores import MICROS, GroupRow, Resolution


class Held(NamedTuple):
    """A value, what those weigh who stand for it, all claims that say it in log order, and the best of these."""

    key: ValueKey
    weight: int
    holders: Sequence[Candidate]
    best: Candidate


class Weighed(NamedTuple):
    """All values by falling share, what all who have a say weigh together, and by set what its stands do."""

    values: list[Held]
    total: int
    sets: dict[Set, int]


def weigh_values(crowd: Crowd, stands: Sequence[Stand]) -> Weighed:
    """What each value weighs; if nobody weighs anything, all weigh the same."""
    weights = [stand.weight for stand in stands]
    if not any(weights):
        weights = [1] * len(stands)
    held = dict.fromkeys(crowd.holders, 0)
    sets: dict[Set, int] = {}
    for stand, weight in zip(stands, weights, strict=True):
        sets[stand.set] = sets.get(stand.set, 0) + weight
        for key in stand.set:
            held[key] += weight
    values = [
        Held(key, held[key], sorted(holders, key=log_order), min(holders, key=lambda c: c.tie))
        for key, holders in crowd.holders.items()
    ]
    values.sort(key=lambda one: (-one.weight, one.best.tie, one.key))
    return Weighed(values, sum(weights), sets)


def pass_elements(lens: Lens, crowd: Crowd, stands: Sequence[Stand], terms: Terms) -> Finding:
    """The values whose share reaches the threshold; sure by the smallest, ahead of the largest that does not."""
    weighed = weigh_values(crowd, stands)
    values, total = weighed.values, weighed.total
    passed = [one for one in values if one.weight * MICROS >= terms.threshold_micros * total]
    failed = values[len(passed) :]
    confidence = passed[-1].weight / total if passed else 0.0
    margin = (passed[-1].weight - failed[0].weight) / total if passed and failed else None
    winner = _representing(crowd, passed) if passed else None
    return _finding(lens, crowd, stands, weighed, passed, winner, confidence, margin)


def latest_set(
    lens: Lens, crowd: Crowd, stands: Sequence[Stand], best: Candidate, *, confidence: float, margin: float | None
) -> Finding:
    """The values that one claim says, whatever their shares."""
    weighed = weigh_values(crowd, stands)
    passed = [one for one in weighed.values if one.key in crowd.set_of(best)]
    if not passed:
        return _finding(lens, crowd, stands, weighed, passed, None, 0.0, None)
    # The claim spells its own values.
    shown = [one._replace(best=best) for one in passed]
    return _finding(lens, crowd, stands, weighed, shown, best, confidence, margin)


def all_elements(lens: Lens, crowd: Crowd, stands: Sequence[Stand]) -> tuple[Finding, list[Held]]:
    """Every value with its share, none of them the answer; and the values in the order of the groups."""
    weighed = weigh_values(crowd, stands)
    found = _finding(lens, crowd, stands, weighed, weighed.values, None, 0.0, None)
    return Finding(found.resolution, weights=found.weights), weighed.values


def spelling_of(crowd: Crowd, one: Held) -> AnyValue:
    """A value as its best claim spells it."""
    return value_of(crowd.spelled(one.best)[one.key])


def _representing(crowd: Crowd, passed: Sequence[Held]) -> Candidate:
    """The claim that says most of what passed, then least besides, then by the ties."""
    keys = {one.key for one in passed}

    def order(candidate: Candidate) -> tuple[int, int, tuple[int, int, bytes]]:
        said = crowd.set_of(candidate)
        hits = len(said & keys)
        return (-hits, len(said) - hits, candidate.tie)

    return min(crowd.first, key=order)


def _finding(
    lens: Lens,
    crowd: Crowd,
    stands: Sequence[Stand],
    weighed: Weighed,
    listed: Sequence[Held],
    winner: Candidate | None,
    confidence: float,
    margin: float | None,
) -> Finding:
    found = figures(Counter(weighed.sets.values()), confidence=confidence, margin=margin, is_all=_is_all(crowd))
    groups = tuple(_group_row(crowd, one, round(one.weight / weighed.total, DIGITS)) for one in listed)
    resolution = Resolution(
        lens=lens.name,
        lens_version=lens.version,
        status=found.status,
        winner=None if winner is None else winner.digest,
        confidence=found.confidence,
        conflict=found.conflict,
        margin=found.margin,
        candidates_count=len(crowd.candidates),
        groups=groups,
    )
    weights = parts_of(weights_by_claim(stands), crowd.candidates)
    return Finding(resolution, tuple(group.value for group in groups), weights)


def _is_all(crowd: Crowd) -> bool:
    """Whether those who have no say do not stand for another set: only then is one set unanimous."""
    if len(crowd.first) == len(crowd.candidates):
        return True
    return len({stand.set for stand in stands_of_agents(crowd, candidates=crowd.candidates)}) == 1


def _group_row(crowd: Crowd, one: Held, part: float) -> GroupRow:
    return GroupRow(
        value=spelling_of(crowd, one),
        share=part,
        support=len({signer.agent for candidate in one.holders for signer in candidate.signers}),
        best_tier=min([candidate.tier for candidate in one.holders]),
        votes_micros=sum([candidate.tally.sum_micros for candidate in one.holders]),
        hashes=tuple([candidate.digest for candidate in one.holders]),
        hashes_count=len(one.holders),
    )
