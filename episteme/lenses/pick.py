"""Lenses that pick one claim: recency and confidence."""

from collections.abc import Sequence
from typing import Final

from episteme.lenses.base import Scored, nothing, ranked, resolution
from episteme.lenses.candidate import Group
from stores import MICROS, Resolution

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

    def resolve(self, groups: Sequence[Group]) -> Resolution:
        """As Lens.resolve."""
        if not groups:
            return nothing(self)
        scored = []
        for group in groups:
            best = min(group.candidates, key=lambda c: (-c.timestamp, *c.tie))
            scored.append(Scored(group, score=best.timestamp, weight=group.support, best=best))
        ranking = ranked(scored)
        gap_ms = None if len(ranking) == 1 else ranking[0].score - ranking[1].score
        confidence = _CONFIDENCE_ALONE if gap_ms is None else _confidence_of(gap_ms)
        return resolution(self, ranking, confidence=confidence, margin=None if gap_ms is None else float(gap_ms))


class Confidence:
    """The highest confidence wins, and is the answer's own.

    A value weighs what its most confident claim does; margin is the lead in confidence.
    """

    name = "confidence"
    version = 1

    def resolve(self, groups: Sequence[Group]) -> Resolution:
        """As Lens.resolve."""
        if not groups:
            return nothing(self)
        scored = []
        for group in groups:
            best = min(group.candidates, key=lambda c: (-c.confidence_micros, *c.tie))
            scored.append(Scored(group, score=best.confidence_micros, weight=best.confidence_micros, best=best))
        ranking = ranked(scored)
        margin = None if len(ranking) == 1 else (ranking[0].score - ranking[1].score) / MICROS
        return resolution(self, ranking, confidence=ranking[0].score / MICROS, margin=margin)


def _confidence_of(gap_ms: int) -> float:
    for over_ms, confidence in _CONFIDENCE_BY_GAP:
        if gap_ms > over_ms:
            return confidence
    return _CONFIDENCE_CLOSE
