"""What agents have earned: families TRUST and TRUSTH.

A rank is the score as it stood at one log time; from there it drifts back to
the start by half-lives, which a reader computes and nobody stores.  Every
change is kept with the rank before it, so the rank as of any position is one
short scan: the first change after that position tells it.

Log order is the order of changes.  An event that is folded late, after others
behind it, because it failed at first and was tried again, changes the rank as
the newest change left it: what was read as of earlier positions stays as it
was, and only a state that is made anew has the change at its own place.

Source: docs/format-keys.md, "Records".
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from keycodec import parse, trust_change_key, trust_change_prefix, trust_key, trust_prefix
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging

TRUST_START_MICROS: Final = 500_000  # 0.5: neither trusted nor distrusted


class TrustRank(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An agent's score in millionths, exact at the log time `time`, after the event at `seq`.

    right_count and wrong_count: how many judgements made it what it is.
    """

    score_micros: int
    right_count: int
    wrong_count: int
    seq: int
    time: int


class TrustChange(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What one event made of a rank; the event is the one at after.seq."""

    before: TrustRank
    after: TrustRank


NOT_JUDGED: Final = TrustRank(TRUST_START_MICROS, 0, 0, 0, 0)
_RANK: Final = RecordCodec(TrustRank, version=1)
_CHANGE: Final = RecordCodec(TrustChange, version=1)


class TrustRankStore:
    """Reads trust ranks."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, agent_hex: str) -> TrustRank:
        """The agent's newest rank; NOT_JUDGED if nothing has ever judged it."""
        data = self._reader.get(trust_key(agent_hex))
        return NOT_JUDGED if data is None else _RANK.decode(data)

    def as_of(self, agent_hex: str, seq: int) -> TrustRank:
        """The agent's rank after the event at position seq."""
        start = trust_change_key(agent_hex, seq)
        for _, data in self._reader.scan(trust_change_prefix(agent_hex), after=start, count_max=1):
            return _CHANGE.decode(data).before
        return self.get(agent_hex)

    def as_of_many(self, agents: Sequence[bytes], seq: int | None) -> list[TrustRank]:
        """The ranks of several agents (32 bytes each) as of a position, in the order asked; None: the newest.

        One get each, and a short scan for each that has been judged since.
        """
        found = self._reader.get_many([trust_key(agent.hex()) for agent in agents])
        ranks = [NOT_JUDGED if data is None else _RANK.decode(data) for data in found]
        if seq is None:
            return ranks
        return [
            rank if rank.seq <= seq else self.as_of(agent.hex(), seq) for agent, rank in zip(agents, ranks, strict=True)
        ]

    def changes(self, agent_hex: str, *, after: int | None = None, count_max: int) -> Iterator[TrustChange]:
        """The changes of an agent's rank in log order, at most count_max; after is an exclusive position."""
        start = None if after is None else trust_change_key(agent_hex, after)
        for _, data in self._reader.scan(trust_change_prefix(agent_hex), after=start, count_max=count_max):
            yield _CHANGE.decode(data)

    def ranks(self, *, after: str | None = None, count_max: int) -> Iterator[tuple[str, TrustRank]]:
        """Agents with their ranks in agent order, at most count_max; after is an exclusive agent."""
        start = None if after is None else trust_key(after)
        for key, data in self._reader.scan(trust_prefix(), after=start, count_max=count_max):
            yield parse(key).text("agent"), _RANK.decode(data)


class TrustRankWriter(TrustRankStore):
    """Stages trust ranks."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, agent_hex: str, rank: TrustRank) -> None:
        """Set an agent's rank as the event at rank.seq leaves it; several settings by one event are one change.

        A rank from before the newest change becomes part of that change.
        """
        known = self.get(agent_hex)
        if (rank.seq, rank.time) < (known.seq, known.time):
            rank = msgspec.structs.replace(rank, seq=known.seq, time=known.time)
        change_key = trust_change_key(agent_hex, rank.seq)
        earlier = self._staging.get(change_key)
        before = known if earlier is None else _CHANGE.decode(earlier).before
        self._staging.put(trust_key(agent_hex), _RANK.encode(rank))
        self._staging.put(change_key, _CHANGE.encode(TrustChange(before, rank)))
