"""From ranked values to a view under the default lens, and the ranking of a pair of few claims.

The numbers are those of the lens: the same functions make them.
Source: docs/lenses.md.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec import Raw, Struct

from episteme.folds.tally import Unit, object_of
from episteme.lenses import DEFAULT_LENS, Figures, figures, lead_of, lens_named, share
from model import SIGNATURES_MAX
from stores import AssertionStore, PairClaim, RawGroup, RawResolution, RawView, Reader, ViewGround, digest_of

GROUPS_MAX: Final = 100  # what the default question lists, of groups and of hashes in all of them together
_REMEMBERED_SUPPORTS_MAX: Final = 8  # so that what is remembered stays small
_LENS_VERSION: Final = lens_named(DEFAULT_LENS).version
_UNANIMOUS: Final = figures({1: 1}, confidence=1.0, margin=None)  # of a single group, whatever its support
_EMPTY: Final = RawResolution(DEFAULT_LENS, _LENS_VERSION, "none", None, 0.0, 0.0, None, 0, ())


class Ranked(Struct, frozen=True, gc=False):
    """A value in its place; digests are in log order and may be cut."""

    support: int
    tie: bytes  # of the candidate that represents it
    best_tier: int
    votes_micros: int
    object: bytes  # as that candidate spells it, in msgpack; empty: not at hand
    digests: Sequence[bytes]
    claims_count: int


class Ranking(NamedTuple):
    """The first values, and the numbers of all."""

    first: Sequence[Ranked]
    supports: Mapping[int, int]  # how many groups have each support
    groups_count: int
    candidates_count: int


def rank(units: Sequence[Unit]) -> Ranking:
    """Rank all that counts of a pair, all at once."""
    if len(units) == 1:  # as of most pairs
        support = len(units[0].signers)  # no agent signs a claim twice
        return Ranking((_alone(units[0].claim, support),), {support: 1}, 1, 1)
    groups: dict[bytes, list[Unit]] = {}
    latest: dict[bytes, tuple[int, int, bytes]] = {}
    for unit in units:
        value = unit.claim.value
        members = groups.get(value)
        if members is None:
            groups[value] = [unit]
        else:
            members.append(unit)
        for agent, timestamp, seq in unit.signers:
            said = (timestamp, seq, value)
            before = latest.get(agent)
            if before is None or said > before:
                latest[agent] = said
    support_by_value = dict.fromkeys(groups, 0)
    for _, _, value in latest.values():
        support_by_value[value] += 1
    supports: dict[int, int] = {}
    for support in support_by_value.values():
        supports[support] = supports.get(support, 0) + 1
    ranked = [_ranked(members, support_by_value[value], latest) for value, members in groups.items()]
    if len(ranked) > 1:
        ranked.sort(key=_order)
    return Ranking(ranked, supports, len(ranked), sum(map(len, groups.values())))


def view_of(reader: Reader, subject: str, ranking: Ranking, seq: int, time: int, ground: ViewGround) -> RawView:
    """The view of a pair; seq and time are those of the last event that touched it."""
    first = ranking.first
    if not first:
        return RawView(_EMPTY, 0, None, seq, time, ground)
    total = sum([support * groups for support, groups in ranking.supports.items()])
    found = _UNANIMOUS if ranking.groups_count == 1 else _figures(ranking, total)
    winner = digest_of(first[0].tie)
    groups = _raw_groups(reader, subject, ranking, total)
    resolution = RawResolution(
        DEFAULT_LENS,
        _LENS_VERSION,
        found.status,
        winner,
        found.confidence,
        found.conflict,
        found.margin,
        ranking.candidates_count,
        groups,
    )
    row = AssertionStore(reader).stored(subject, winner, signatures_max=SIGNATURES_MAX)
    assert row is not None, f"{winner.hex()} wins but is not there"
    return RawView(resolution, ranking.groups_count, row, seq, time, ground)


def _figures(ranking: Ranking, total: int) -> Figures:
    first, second = ranking.first[:2]
    supports = tuple(ranking.supports.items())
    compute = _remembered_figures if len(supports) <= _REMEMBERED_SUPPORTS_MAX else _figures_of
    return compute(supports, first.support, second.support, total, ranking.groups_count)


def _figures_of(
    supports: tuple[tuple[int, int], ...], first: int, second: int, total: int, groups_count: int
) -> Figures:
    lead = lead_of(first, second, total, groups_count)
    return figures(dict(supports), confidence=lead.confidence, margin=lead.margin)


_remembered_figures = lru_cache(maxsize=1024)(_figures_of)  # most pairs are of a few shapes


def _raw_groups(reader: Reader, subject: str, ranking: Ranking, total: int) -> list[RawGroup]:
    """At most GROUPS_MAX groups, and as many hashes in all of them together, first groups first."""
    left = GROUPS_MAX
    groups = []
    parts: dict[int, float] = {}  # by support
    for one in ranking.first[:GROUPS_MAX]:
        digests = one.digests[:left]
        left -= len(digests)
        spelled = one.object or _spelled(reader, subject, digest_of(one.tie))
        support = one.support
        part = parts.get(support)
        if part is None:
            part = parts[support] = share(support, total, ranking.groups_count)
        groups.append(RawGroup(Raw(spelled), part, support, one.best_tier, one.votes_micros, digests, one.claims_count))
    return groups


def _spelled(reader: Reader, subject: str, digest: bytes) -> bytes:
    (head,) = AssertionStore(reader).heads(subject, (digest,))
    assert head is not None, f"{digest.hex()} is counted but not there"
    return object_of(head.event)


def _alone(claim: PairClaim, support: int) -> Ranked:
    tie = claim.tie
    return Ranked(support, tie, tie[0], claim.votes_micros, claim.object, (digest_of(tie),), 1)


def _ranked(members: list[Unit], support: int, latest: Mapping[bytes, tuple[int, int, bytes]]) -> Ranked:
    if len(members) == 1:
        return _alone(members[0].claim, support)
    members.sort(key=_log_order)
    standing = members
    if support:
        value = members[0].claim.value
        standing = [unit for unit in members if any(latest[agent][2] == value for agent, _, _ in unit.signers)]
    best = min(standing, key=_tie).claim
    return Ranked(
        support,
        best.tie,
        min(unit.claim.tie[0] for unit in members),
        sum(unit.claim.votes_micros for unit in members),
        best.object,
        [unit.claim.digest for unit in members],
        len(members),
    )


def _order(one: Ranked) -> tuple[int, bytes]:
    return (-one.support, one.tie)


def _log_order(unit: Unit) -> int:
    return unit.claim.seq


def _tie(unit: Unit) -> bytes:
    return unit.claim.tie
