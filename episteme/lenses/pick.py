"""Lenses that pick one claim: recency and confidence."""

from collections.abc import Sequence
from typing import Final

from episteme.lenses.base import Scored, nothing, parts_of, ranked, resolution
from episteme.lenses.candidate import Candidate
from episteme.lenses.groups import group_by_value
from episteme.lenses.lens import THRESHOLD, Finding, Terms
from episteme.lenses.many import latest_set, pass_elements
from episteme.lenses.stands import Crowd, stands_of_agents, stands_of_claims
from episteme.lenses.weigh import weight_through
from stores import MICROS

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS
_DAY_MS: Final = 24 * _HOUR_MS
_CONFIDENCE_BY_GAP: Final = ((_DAY_MS, 0.95), (_HOUR_MS, 0.8), (_MINUTE_MS, 0.6))
_CONFIDENCE_CLOSE: Final = 0.5
_CONFIDENCE_ALONE: Final = 1.0


class Recency:
    """The latest timestamp wins; sure by how far the latest claim of another value lies back.

    Shares are of support; margin is that gap in milliseconds.
    """

    name = "recency"
    version = 1
    uses_trust = False
    takes_predicate = True
    parameters = ()

    def resolve(self, candidates: Sequence[Candidate], terms: Terms) -> Finding:
        """As Lens.resolve."""
        if not candidates:
            return Finding(nothing(self))
        if terms.comparison.many:
            return self._resolve_many(candidates, terms)
        groups = group_by_value(candidates, terms.comparison)
        scored = []
        for group in groups:
            best = min(group.candidates, key=_latest_first)
            scored.append(Scored(group, score=best.timestamp, weight=group.weight_micros, best=best))
        ranking = ranked(scored)
        gap_ms = None if len(ranking) == 1 else ranking[0].score - ranking[1].score
        margin = None if gap_ms is None else float(gap_ms)
        found = resolution(self, ranking, confidence=_confidence_of(gap_ms), margin=margin)
        return Finding(found, weights=parts_of(weight_through(groups), candidates))

    def _resolve_many(self, candidates: Sequence[Candidate], terms: Terms) -> Finding:
        """The set that the latest claim says; the next is the latest claim of another set."""
        crowd = Crowd([candidates], terms.comparison)
        best = min(candidates, key=_latest_first)
        others = [c.timestamp for c in candidates if crowd.set_of(c) != crowd.set_of(best)]
        gap_ms = best.timestamp - max(others) if others else None
        margin = None if gap_ms is None else float(gap_ms)
        stands = stands_of_agents(crowd)
        return latest_set(self, crowd, stands, best, confidence=_confidence_of(gap_ms), margin=margin)


class Confidence:
    """The highest confidence wins, and is the answer's own.

    A value weighs what its most confident claim does; margin is the lead in confidence.
    """

    name = "confidence"
    version = 1
    uses_trust = False
    takes_predicate = True
    parameters = (THRESHOLD,)

    def resolve(self, candidates: Sequence[Candidate], terms: Terms) -> Finding:
        """As Lens.resolve."""
        if not candidates:
            return Finding(nothing(self))
        if terms.comparison.many:
            crowd = Crowd([candidates], terms.comparison)
            return pass_elements(self, crowd, stands_of_claims(crowd, _confidence), terms)
        scored = []
        for group in group_by_value(candidates, terms.comparison):
            best = min(group.candidates, key=_surest_first)
            scored.append(Scored(group, score=best.confidence_micros, weight=best.confidence_micros, best=best))
        ranking = ranked(scored)
        margin = None if len(ranking) == 1 else (ranking[0].score - ranking[1].score) / MICROS
        found = resolution(self, ranking, confidence=ranking[0].score / MICROS, margin=margin)
        return Finding(found, weights=parts_of({one.best.digest: one.weight for one in ranking}, candidates))


def _latest_first(candidate: Candidate) -> tuple[int, int, int, bytes]:
    return (-candidate.timestamp, *candidate.tie)


def _surest_first(candidate: Candidate) -> tuple[int, int, int, bytes]:
    return (-candidate.confidence_micros, *candidate.tie)


def _confidence(candidate: Candidate) -> int:
    return candidate.confidence_micros


def _confidence_of(gap_ms: int | None) -> float:
    if gap_ms is None:
        return _CONFIDENCE_ALONE
    for over_ms, confidence in _CONFIDENCE_BY_GAP:
        if gap_ms > over_ms:
            return confidence
    return _CONFIDENCE_CLOSE
