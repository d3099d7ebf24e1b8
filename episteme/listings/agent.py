"""Agents: what they have earned, may spend, and have said."""

from typing import Final

from episteme.listings.context import Context
from episteme.listings.paging import Paging, number_place, text_place
from episteme.shapes import AgentReport, AgentSummary, Page, QuotaReport, RevocationRecord, TrustStep
from episteme.standing import drifted_rank, tokens_allowed
from model import did_of
from stores import (
    MICROS,
    WINDOW_MS,
    LineageStore,
    OperatorStore,
    QuotaStore,
    RevocationRow,
    RevocationStore,
    TrustChange,
    TrustRank,
    TrustRankStore,
    window_end_ms,
)
from wal import wall_ms

CLAIMS_COUNTED_MAX: Final = 10_000  # of one agent: some 40 rows of its list


def agents(context: Context, paging: Paging) -> Page[AgentSummary]:
    """Agents that have signed a claim, in the order of their keys."""
    reader = context.reader
    found = LineageStore(reader).agents(after=paging.after(text_place), count_max=paging.limit + 1)
    shown, more = paging.cut(found, lambda agent: agent)
    keys = [bytes.fromhex(agent) for agent in shown]
    revoked = RevocationStore(reader).get_many(keys)
    time_ms = context.time_ms
    ranks = TrustRankStore(reader).as_of_many(keys, None)
    items = [
        AgentSummary(key.hex(), did_of(key), _score(rank, time_ms), rank.right_count, rank.wrong_count, row is not None)
        for key, rank, row in zip(keys, ranks, revoked, strict=True)
    ]
    return Page(items, more, context.seq)


def agent_report(context: Context, paging: Paging, *, agent: str) -> AgentReport:
    """What is known of an agent, be it nothing: any key has a score; its changes oldest first."""
    reader = context.reader
    ranks = TrustRankStore(reader)
    changes = list(ranks.changes(agent, after=paging.after(number_place), count_max=paging.limit + 1))
    shown, more = paging.cut(changes, lambda change: change.after.seq)
    rank, time_ms = ranks.get(agent), context.time_ms
    revocation = RevocationStore(reader).get(agent)
    claims = LineageStore(reader).of_agent(agent, count_max=CLAIMS_COUNTED_MAX + 1)
    return AgentReport(
        agent=agent,
        did=did_of(bytes.fromhex(agent)),
        trust=_score(rank, time_ms),
        trust_judged=rank.score_micros / MICROS,
        right_count=rank.right_count,
        wrong_count=rank.wrong_count,
        claims_count=min(len(claims), CLAIMS_COUNTED_MAX),
        has_more_claims=len(claims) > CLAIMS_COUNTED_MAX,
        is_operator=OperatorStore(reader).is_operator(bytes.fromhex(agent)),
        revoked=None if revocation is None else _revocation(revocation),
        quota=_quota(context, agent),
        items=[_step(change) for change in shown],
        next=more,
        seq=context.seq,
    )


def _score(rank: TrustRank, time_ms: int) -> float:
    """The score, 0 to 1, drifted to a log time."""
    return drifted_rank(rank, time_ms) / MICROS


def _step(change: TrustChange) -> TrustStep:
    after = change.after
    return TrustStep(
        seq=after.seq,
        time_ms=wall_ms(after.time),
        before=_score(change.before, wall_ms(after.time)),
        after=after.score_micros / MICROS,
        right_count=after.right_count,
        wrong_count=after.wrong_count,
    )


def _revocation(row: RevocationRow) -> RevocationRecord:
    event = row.event
    return RevocationRecord(event.revoked, event.agent, event.reason, row.digest.hex(), row.seq, wall_ms(row.time))


def _quota(context: Context, agent: str) -> QuotaReport:
    now_ms = max(context.now_ms, context.time_ms)
    window = now_ms // WINDOW_MS
    return QuotaReport(
        used=QuotaStore(context.reader).used(agent, window).tokens,
        limit=tokens_allowed(context.reader, agent, context.tokens_per_hour, now_ms),
        resets_ms=window_end_ms(window),
    )
