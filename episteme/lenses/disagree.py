"""Lenses that show a disagreement whole: skeptic, value by value, and layered, tier by tier."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import UNSET

from episteme.lenses.base import by_share, nothing, parts_of, ranked
from episteme.lenses.candidate import Candidate
from episteme.lenses.groups import Group, group_by_value
from episteme.lenses.lens import THRESHOLD, ChartFinding, Finding, LayerFinding, Terms
from episteme.lenses.many import Held, all_elements, pass_elements, spelling_of
from episteme.lenses.stands import Crowd, stands_of_agents
from episteme.lenses.tiers import by_tier, rank_by_tier
from episteme.lenses.values import value_of
from episteme.lenses.weigh import Consensus, scored_by_support, weight_through
from model import AnyValue

_CONSENSUS: Final = Consensus()


class Skeptic:
    """No value wins: a chart of who says what, since when, how sure and on how many sources.

    Shares, conflict, status and margin are those of consensus.
    """

    name = "skeptic"
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
        ranking = ranked([scored_by_support(group) for group in groups])
        return Finding(
            by_share(self, ranking, has_winner=False),
            weights=parts_of(weight_through(groups), candidates),
            chart=tuple(_chart_of_group(one.group, value_of(one.best.claim.object)) for one in ranking),
        )

    def _resolve_many(self, candidates: Sequence[Candidate], terms: Terms) -> Finding:
        crowd = Crowd([candidates], terms.comparison)
        found, values = all_elements(self, crowd, stands_of_agents(crowd))
        chart = tuple(_chart_of_element(one, spelling_of(crowd, one)) for one in values)
        return Finding(found.resolution, weights=found.weights, chart=chart)


class Layered:
    """Each tier that has claims decides by consensus; the best of them speaks for all."""

    name = "layered"
    version = 1
    uses_trust = False
    takes_predicate = True
    parameters = (THRESHOLD,)

    def resolve(self, candidates: Sequence[Candidate], terms: Terms) -> Finding:
        """As Lens.resolve."""
        if not candidates:
            return Finding(nothing(self))
        tiers = by_tier(candidates)
        layers = []
        for tier, members in tiers.items():
            found = _CONSENSUS.resolve(members, terms)
            layers.append(LayerFinding(tier, found.resolution, found.values))
        if terms.comparison.many:
            crowd = Crowd(list(tiers.values()), terms.comparison)
            whole = pass_elements(self, crowd, stands_of_agents(crowd), terms)
            return Finding(whole.resolution, whole.values, whole.weights, tuple(layers))
        ranking, among, first = rank_by_tier(candidates, terms.comparison, scored_by_support)
        resolution = by_share(self, ranking, among=among)
        return Finding(resolution, weights=parts_of(weight_through(first), candidates), layers=tuple(layers))


def _chart_of_group(group: Group, value: AnyValue) -> ChartFinding:
    """Each agent counts in the tier of its latest claim."""
    return _chart(value, group.candidates, [latest[3].tier for latest in group.supporters.values()])


def _chart_of_element(one: Held, value: AnyValue) -> ChartFinding:
    """Each agent counts in the best tier in which it says so."""
    best: dict[bytes, int] = {}
    for candidate in one.holders:
        for signer in candidate.signers:
            best[signer.agent] = min(best.get(signer.agent, candidate.tier), candidate.tier)
    return _chart(value, one.holders, best.values())


def _chart(value: AnyValue, candidates: Sequence[Candidate], tiers: Iterable[int]) -> ChartFinding:
    timestamps = [candidate.timestamp for candidate in candidates]
    confidences = [candidate.confidence_micros for candidate in candidates]
    sources = {candidate.claim.source_hash for candidate in candidates} - {UNSET}
    return ChartFinding(
        value=value,
        support_by_tier=tuple(sorted(Counter(tiers).items())),
        first_timestamp=min(timestamps),
        last_timestamp=max(timestamps),
        confidence_min_micros=min(confidences),
        confidence_max_micros=max(confidences),
        sources_count=len(sources),
    )
