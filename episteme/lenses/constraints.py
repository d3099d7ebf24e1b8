"""The lens of a context: what must be used in it and what is forbidden, each held against the other under authority.

Source: docs/lenses.md, "Constraints".
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, get_args

from episteme.lenses.base import Scored, by_share, nothing, parts_of
from episteme.lenses.candidate import Candidate
from episteme.lenses.earned import scored_by_trust, trust_of
from episteme.lenses.lens import ConstraintFinding, ConstraintKind, Finding, Reason, Terms
from episteme.lenses.stands import Crowd
from episteme.lenses.tiers import TierRanking, by_tier, rank_keys_by_tier
from episteme.lenses.values import ValueKey, value_of
from stores import MICROS, Resolution, Status

CONSTRAINT_PREDICATES: Final[tuple[ConstraintKind, ...]] = get_args(ConstraintKind)
_PER_MICRO: Final = MICROS * MICROS  # a weight is confidence times trust times the pack's, all in millionths


class _Side(NamedTuple):
    """One value under one predicate, and how it stands."""

    key: ValueKey
    finding: ConstraintFinding
    scored: Scored


class Constraints:
    """No value wins: all that must be used and all that is forbidden, with what holds and why.

    A value that is claimed under both holds under the one with more authority.  Conflict is that of the value whose
    two sides are the closest.
    """

    name = "constraints"
    version = 1
    uses_trust = True
    takes_predicate = False
    parameters = ()

    def resolve(self, candidates: Sequence[Candidate], terms: Terms) -> Finding:
        """As Lens.resolve."""
        candidates = [one for one in candidates if one.claim.predicate in CONSTRAINT_PREDICATES]
        if not candidates:
            return Finding(nothing(self))
        crowd = _crowd_of(candidates, terms)
        sides: list[_Side] = []
        weights: dict[bytes, int] = {}
        conflict, contested = 0.0, False
        for key, holders in crowd.holders.items():
            found = rank_keys_by_tier(holders, _kind_key, scored_by_trust)
            between = by_share(self, found.ranking, among=found.among)
            conflict, contested = max(conflict, between.conflict), contested or between.status == "contested"
            sides.extend(_sides_of(crowd, key, found))
            _add_weights(weights, found)
        sides.sort(key=_order)
        status: Status = "contested" if contested else "agreed"
        resolution = Resolution(self.name, self.version, status, None, 0.0, conflict, None, len(candidates), ())
        return Finding(
            resolution, weights=parts_of(weights, candidates), constraints=tuple(side.finding for side in sides)
        )


def _crowd_of(candidates: Sequence[Candidate], terms: Terms) -> Crowd:
    return Crowd(list(by_tier(candidates).values()), terms.comparison)


def _kind_key(candidate: Candidate) -> ValueKey:
    return ("predicate", candidate.claim.predicate)


def _sides_of(crowd: Crowd, key: ValueKey, found: TierRanking) -> Iterable[_Side]:
    """A value under each predicate that claims it, the one that holds first."""
    for place, one in enumerate(found.ranking):
        best = one.best
        finding = ConstraintFinding(
            kind="must_use" if best.claim.predicate == "must_use" else "forbidden",
            value=value_of(crowd.spelled(best)[key]),
            holds=place == 0,
            reason=_reason(found, place),
            tier=best.tier,
            support=one.group.support,
            weight_micros=(one.score + _PER_MICRO // 2) // _PER_MICRO,
            best=best.digest,
            digests=tuple([candidate.digest for candidate in one.group.candidates]),
        )
        yield _Side(key, finding, one)


def _reason(found: TierRanking, place: int) -> Reason:
    if len(found.ranking) == 1:
        return "unopposed"
    if found.among == 1:
        return "worse-tier" if place else "better-tier"
    if found.ranking[0].weight == found.ranking[1].weight:
        return "tie-break"
    return "less-weight" if place else "more-weight"


def _add_weights(weights: dict[bytes, int], found: TierRanking) -> None:
    for group in found.first:
        for digest, weight in trust_of(group).through.items():
            weights[digest] = weights.get(digest, 0) + weight


def _order(side: _Side) -> tuple[int, bool, int, int, tuple[int, int, bytes], ValueKey]:
    """As the predicates are listed; what holds first; then by authority, the claim, and the value."""
    finding, scored = side.finding, side.scored
    kind = CONSTRAINT_PREDICATES.index(finding.kind)
    return (kind, not finding.holds, finding.tier, -scored.score, scored.best.tie, side.key)
