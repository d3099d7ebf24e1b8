"""How an agent stands at a moment: its trust, and what that lets it spend.

A rank is kept as it was at the time of the last judgement; what it is at any
other moment follows from that by the drift.  Integers alone, so that the same
log gives the same on any machine.

Source: docs/governance.md, "Trust" and "Quotas".
"""

from collections.abc import Sequence
from typing import Final

from episteme.decay import drifted
from stores import QuotaStore, Reader, TrustRank, TrustRankStore
from wal import wall_ms

_TENTHS_BELOW: Final = ((300_000, 1), (500_000, 5), (700_000, 10), (900_000, 20))  # of the limit, by trust
_TENTHS_FROM: Final = 100  # with more trust than that


def trust_at(reader: Reader, agent_hex: str, seq: int | None, time_ms: int) -> int:
    """An agent's trust in millionths after the event at position seq, None for the newest, drifted to time_ms."""
    store = TrustRankStore(reader)
    return drifted_rank(store.get(agent_hex) if seq is None else store.as_of(agent_hex, seq), time_ms)


def trusts_at(reader: Reader, agents: Sequence[bytes], seq: int | None, time_ms: int) -> dict[bytes, int]:
    """The same of several agents (32 bytes each)."""
    ranks = TrustRankStore(reader).as_of_many(agents, seq)
    return {agent: drifted_rank(rank, time_ms) for agent, rank in zip(agents, ranks, strict=True)}


def drifted_rank(rank: TrustRank, time_ms: int) -> int:
    """What a rank has become at time_ms: in millionths."""
    return drifted(rank.score_micros, wall_ms(rank.time), time_ms)


def tokens_allowed(reader: Reader, agent_hex: str, tokens_per_hour: int, time_ms: int) -> int:
    """How many tokens an agent may spend in an hour: its limit, else tokens_per_hour, times a factor by its trust."""
    row = QuotaStore(reader).limit(agent_hex)
    tokens = tokens_per_hour if row is None else row.event.tokens
    return tokens * _tenths(trust_at(reader, agent_hex, None, time_ms)) // 10


def _tenths(trust_micros: int) -> int:
    for below_micros, tenths in _TENTHS_BELOW:
        if trust_micros < below_micros:
            return tenths
    return _TENTHS_FROM
