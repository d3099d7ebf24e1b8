"""Tokens: what a request costs, and whether who asks can pay.

Whoever pays is whose signature was verified, or whom a token names; nothing
that a request says of itself has any effect here.  An hour's use begins with
what the fold has counted of that hour, so a restart gives nobody anything; what
queries cost is kept in memory alone, as they are not in the log.

Source: docs/governance.md, "Quotas".
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from episteme.errors import QuotaExceeded
from episteme.standing import tokens_allowed
from model import SIGNATURES_MAX, Assertion, Event, Vote
from stores import WINDOW_MS, QuotaStore, Reader, window_end_ms

ASSERTION_TOKENS: Final = 10
VOTE_TOKENS: Final = 1
EVENT_TOKENS: Final = 1  # any other kind
QUERY_TOKENS: Final = 5
LENS_TOKENS: Final = 1  # for each lens of a query
KIB_TOKENS: Final = 1  # for each started KiB of body

_KIB: Final = 1024
_SECOND_MS: Final = 1000


class QuotaOptions(NamedTuple):
    """Who may spend how much."""

    enabled: Annotated[bool, "whether writers pay; a server goes by `quotas` where that is said"] = False
    tokens_per_hour: Annotated[int, "of an agent without a limit of its own, at the trust that all begin with"] = 10_000
    agents_max: Annotated[int, Meta(ge=1), "whose use is kept in memory, about 30 MB; of others it is read again"] = (
        100_000
    )


class Standing(NamedTuple):
    """What an agent may spend in this hour, what is left of it, and in how many seconds the next hour begins."""

    limit: int
    remaining: int
    reset_s: int


class Charge(NamedTuple):
    """Tokens that each of these agents has paid, in that hour."""

    agents: tuple[bytes, ...]
    tokens: int
    window: int


def write_tokens(event: Event, body_bytes: int) -> int:
    """What a write costs each of its new signers."""
    match event:
        case Assertion():
            tokens = ASSERTION_TOKENS
        case Vote():
            tokens = VOTE_TOKENS
        case _:
            tokens = EVENT_TOKENS
    return tokens + KIB_TOKENS * -(-body_bytes // _KIB)


def query_tokens(lens_count: int) -> int:
    """What a query under so many lenses costs."""
    return QUERY_TOKENS + LENS_TOKENS * lens_count


class Meter:
    """Counts tokens by agent and hour.  Thread-safe; reader: the caller's own snapshot of the newest state."""

    def __init__(self, options: QuotaOptions, clock_ms: Callable[[], int]) -> None:
        """clock_ms: the clock of the log, so that its hours are those that the fold counts by."""
        self._tokens_per_hour = options.tokens_per_hour
        self._agents_max = max(options.agents_max, SIGNATURES_MAX)  # all who sign one event
        self._clock_ms = clock_ms
        self._lock = threading.Lock()
        self._window = 0
        self._used: OrderedDict[bytes, int] = OrderedDict()  # in this hour; who was seen last is last
        self._reader: Reader | None = None
        self._limits: dict[bytes, int] = {}  # as that reader has them: a batch asks for the same few again and again

    @property
    def agents_count(self) -> int:
        """How many agents' use is in memory."""
        return len(self._used)

    def charge(self, agents: Sequence[bytes], tokens: int, reader: Reader) -> Charge | QuotaExceeded:
        """Charge each of these agents (32 bytes each), or none of them if one cannot pay."""
        with self._lock:
            now_ms = self._now_ms()
            for agent in agents:
                standing = self._standing(agent, reader, now_ms)
                if tokens > standing.remaining:
                    return _exceeded(agent, tokens, standing)
            for agent in agents:
                self._used[agent] += tokens
            return Charge(tuple(agents), tokens, self._window)

    def charge_query(self, agent: bytes, lens_count: int, reader: Reader) -> Charge | QuotaExceeded:
        """Charge a reader who has proved who it is."""
        return self.charge((agent,), query_tokens(lens_count), reader)

    def give_back(self, charge: Charge) -> None:
        """What was paid for has not happened."""
        with self._lock:
            if charge.window == self._window:
                for agent in charge.agents:
                    if agent in self._used:
                        self._used[agent] -= charge.tokens

    def standing(self, agents: Sequence[bytes], reader: Reader) -> Standing:
        """That of the agent, of one or more, who has the least left."""
        with self._lock:
            now_ms = self._now_ms()
            return min((self._standing(agent, reader, now_ms) for agent in agents), key=lambda one: one.remaining)

    def _now_ms(self) -> int:
        """The time; an hour that is over never comes back, as the log's clock never goes back."""
        now_ms = max(self._clock_ms(), self._window * WINDOW_MS)
        if now_ms // WINDOW_MS > self._window:
            self._window = now_ms // WINDOW_MS
            self._used.clear()
        return now_ms

    def _standing(self, agent: bytes, reader: Reader, now_ms: int) -> Standing:
        used = self._used.get(agent)
        if used is None:
            used = QuotaStore(reader).used(agent.hex(), self._window).tokens
        self._used[agent] = used
        self._used.move_to_end(agent)
        if len(self._used) > self._agents_max:
            self._used.popitem(last=False)
        limit = self._limit(agent, reader, now_ms)
        reset_s = -(-(window_end_ms(self._window) - now_ms) // _SECOND_MS)
        return Standing(limit, max(0, limit - used), reset_s)

    def _limit(self, agent: bytes, reader: Reader, now_ms: int) -> int:
        if reader is not self._reader:
            self._reader = reader
            self._limits.clear()
        limit = self._limits.get(agent)
        if limit is None:
            limit = self._limits[agent] = tokens_allowed(reader, agent.hex(), self._tokens_per_hour, now_ms)
        return limit


def _exceeded(agent: bytes, tokens: int, standing: Standing) -> QuotaExceeded:
    detail = (
        f"this costs {tokens} tokens, and agent {agent.hex()} has {standing.remaining} of {standing.limit} left "
        f"for this hour, which is over in {standing.reset_s} s"
    )
    return QuotaExceeded(detail, retry_after_s=standing.reset_s, limit=standing.limit, remaining=standing.remaining)
