"""Who stands for what in a pair of many claims, agent by agent: families PA, PE, PF and PX.

An agent stands for the value of its latest claim, and is counted there with its
best one.  Who has signed nothing but what is hidden has a record too, and stands
for nothing.  Its latest few claims are in its record, earlier ones in rows of
their own: all of them by recency, and for each value the best one, with the
others in order.  Whatever an agent has said before, a claim that comes or goes
costs the same.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from typing import Final

from keycodec import TallyKeys
from stores import (
    AgentTally,
    OrderedRows,
    Said,
    Staging,
    TallyWriter,
    pack_earlier,
    pack_former,
    unpack_earlier,
    unpack_former,
)

SAID_KEPT_MAX: Final = 4  # most agents say few things about one pair; each claim more makes the record longer

Former = tuple[bytes, int]  # the best tie of an agent's earlier claims for a value, and how many others there are
Place = tuple[bytes, bytes]  # where an agent is counted: value, and the tie of its best claim for it


class Standings:
    """The agents of one pair, for one batch."""

    def __init__(
        self,
        state: Staging,
        keys: TallyKeys,
        rows: OrderedRows,
        moved: Callable[[bytes, Place | None, Place | None], None],
    ) -> None:
        """moved: told of an agent, where it was counted before, and where it is now."""
        self._tallies = TallyWriter(state)
        self._state = state
        self._keys = keys
        self._rows = rows
        self._moved = moved
        self._agents: dict[bytes, AgentTally] = {}
        self._formers: dict[bytes, Former | None] = {}  # by key, as far as they were asked for
        self._changed: dict[bytes, None] = {}  # keys of those that have changed, in the order of the first change

    def add(self, agent: bytes, said: Said) -> None:
        """An agent has made a claim."""
        tally = self._of(agent)
        latest = tally.latest
        before = (latest[-1][2], tally.best) if latest else None
        if not latest or said > latest[-1]:
            latest.append(said)
        elif not tally.earlier_count or said > latest[0]:
            insort(latest, said)
        else:
            self._put_earlier(agent, tally, said)
        if len(latest) > SAID_KEPT_MAX:
            self._put_earlier(agent, tally, latest.pop(0))
        value = latest[-1][2]
        if before is None or value != before[0]:
            self._place(agent, tally, before)
        elif said[2] == value and said[3] < tally.best:
            tally.best = said[3]
            self._moved(agent, before, (value, tally.best))

    def remove(self, agent: bytes, said: Said) -> None:
        """A claim of an agent no longer counts."""
        tally = self._of(agent)
        latest = tally.latest
        before = (latest[-1][2], tally.best)
        if said >= latest[0]:
            del latest[bisect_left(latest, said)]
            if tally.earlier_count:
                latest.insert(0, self._take_earlier(agent, tally))
        else:
            self._delete_earlier(agent, tally, said)
        if not latest:
            tally.best = b""
            self._moved(agent, before, None)
        elif latest[-1][2] != before[0] or said[2:] == before:
            self._place(agent, tally, before)

    def meet(self, agent: bytes) -> None:
        """An agent has signed a claim, be it counted or not."""
        self._of(agent)

    def has_met(self, agent: bytes) -> bool:
        """Whether an agent has ever signed a claim of the pair."""
        return agent in self._agents or self._state.get(self._keys.agent(agent)) is not None

    @property
    def touched(self) -> Iterable[bytes]:
        """The agents whose claims have come or gone in this batch; all that are new to the pair are among them."""
        return self._agents

    def stage(self) -> None:
        """Write the agents that were touched."""
        for agent, tally in self._agents.items():
            self._tallies.put_agent(self._keys.agent(agent), tally)
        for key in self._changed:
            former = self._formers[key]
            if former is not None:
                self._state.put(key, pack_former(*former))
            else:
                self._state.delete(key)

    def _of(self, agent: bytes) -> AgentTally:
        tally = self._agents.get(agent)
        if tally is None:
            tally = self._agents[agent] = self._tallies.agent(self._keys.agent(agent)) or AgentTally()
        return tally

    def _place(self, agent: bytes, tally: AgentTally, before: Place | None) -> None:
        """Find where an agent is counted now."""
        value = tally.latest[-1][2]
        best = min([said[3] for said in tally.latest if said[2] == value])
        if tally.earlier_count:
            former = self._former(self._keys.former(agent, value))
            if former is not None and former[0] < best:
                best = former[0]
        tally.best = best
        if (value, best) != before:
            self._moved(agent, before, (value, best))

    def _former(self, key: bytes) -> Former | None:
        if key not in self._formers:
            data = self._state.get(key)
            self._formers[key] = None if data is None else unpack_former(data)
        return self._formers[key]

    def _put_earlier(self, agent: bytes, tally: AgentTally, said: Said) -> None:
        timestamp, seq, value, tie = said
        tally.earlier_count += 1
        recency = TallyKeys.of_recency(timestamp, seq)
        self._rows.put(self._keys.earlier(agent), recency, pack_earlier(timestamp, seq, value, tie))
        key = self._keys.former(agent, value)
        former = self._former(key)
        self._changed[key] = None
        if former is None:
            self._formers[key] = (tie, 0)
            return
        best, others_count = former
        self._formers[key] = (min(tie, best), others_count + 1)
        self._rows.put(self._keys.worse(agent, value), TallyKeys.of_bytes(max(tie, best)))

    def _delete_earlier(self, agent: bytes, tally: AgentTally, said: Said) -> None:
        timestamp, seq, value, tie = said
        tally.earlier_count -= 1
        self._rows.delete(self._keys.earlier(agent), TallyKeys.of_recency(timestamp, seq))
        key = self._keys.former(agent, value)
        former = self._former(key)
        self._changed[key] = None
        assert former is not None, f"{agent.hex()} has no earlier claim for {value.hex()}"
        best, others_count = former
        if not others_count:
            self._formers[key] = None
            return
        others = self._keys.worse(agent, value)
        if tie == best:
            ((suffix, _),) = self._rows.first(others, 1)
            best = TallyKeys.tie_in(suffix)
            tie = best
        self._rows.delete(others, TallyKeys.of_bytes(tie))
        self._formers[key] = (best, others_count - 1)

    def _take_earlier(self, agent: bytes, tally: AgentTally) -> Said:
        """The latest of the earlier claims, which has no row any more."""
        ((_, data),) = self._rows.first(self._keys.earlier(agent), 1)
        said = unpack_earlier(data)
        self._delete_earlier(agent, tally, said)
        return said
