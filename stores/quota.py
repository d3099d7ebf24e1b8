"""What agents have spent, and may spend: families QUOTA and QLIMIT.

Tokens are counted by the hour of the log's clock, so a replay counts the same.

Source: docs/format-keys.md, "Records".
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from keycodec import parse, quota_key, quota_limit_key, quota_limit_prefix, quota_prefix
from model import QuotaLimit
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging

WINDOW_MS: Final = 3_600_000
WINDOWS_KEPT: Final = 24  # the hours up to an agent's latest that are kept of it: a day to look back on
_COUNTER_BITS: Final = 16  # of a log time; above them are milliseconds since 1970


class QuotaUse(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The tokens that an agent used in one hour; seq and time are those of the last event that cost some."""

    tokens: int
    seq: int
    time: int

    def plus(self, tokens: int, seq: int, time: int) -> "QuotaUse":
        """With what the event at seq cost."""
        return QuotaUse(self.tokens + tokens, max(self.seq, seq), max(self.time, time))


class QuotaLimitRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The limit that an operator set, with its hash and the position from which on it counts."""

    event: QuotaLimit
    digest: bytes
    seq: int
    time: int


NOTHING_USED: Final = QuotaUse(0, 0, 0)
_USE: Final = RecordCodec(QuotaUse, version=1)
_LIMIT: Final = RecordCodec(QuotaLimitRow, version=1)


def window_of(time: int) -> int:
    """The hour, counted from 1970, that a log time lies in."""
    return (time >> _COUNTER_BITS) // WINDOW_MS


def window_end_ms(window: int) -> int:
    """When an hour is over, in milliseconds since 1970, UTC."""
    return (window + 1) * WINDOW_MS


class QuotaStore:
    """Reads use and limits.  after is an exclusive start, to resume a page."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def used(self, agent_hex: str, window: int) -> QuotaUse:
        """What an agent used in an hour."""
        data = self._reader.get(quota_key(agent_hex, window))
        return NOTHING_USED if data is None else _USE.decode(data)

    def windows(self, agent_hex: str, *, after: int | None = None, count_max: int) -> Iterator[tuple[int, QuotaUse]]:
        """The hours in which an agent used something, oldest first, at most count_max."""
        start = None if after is None else quota_key(agent_hex, after)
        for key, data in self._reader.scan(quota_prefix(agent_hex), after=start, count_max=count_max):
            yield parse(key).number("window"), _USE.decode(data)

    def limit(self, agent_hex: str) -> QuotaLimitRow | None:
        """The limit set for an agent; None: the default holds."""
        data = self._reader.get(quota_limit_key(agent_hex))
        return None if data is None else _LIMIT.decode(data)

    def limits(self, *, after: str | None = None, count_max: int) -> Iterator[QuotaLimitRow]:
        """The limits that are set, in agent order, at most count_max."""
        start = None if after is None else quota_limit_key(after)
        for _, data in self._reader.scan(quota_limit_prefix(), after=start, count_max=count_max):
            yield _LIMIT.decode(data)


class QuotaWriter(QuotaStore):
    """Stages use and limits."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, agent_hex: str, window: int, use: QuotaUse) -> None:
        """Set what an agent used in an hour."""
        self._staging.put(quota_key(agent_hex, window), _USE.encode(use))

    def add(self, agent_hex: str, window: int, use: QuotaUse) -> None:
        """Add to what an agent has used in an hour; hours that are too old are dropped."""
        used = self.used(agent_hex, window)
        self.put(agent_hex, window, used.plus(use.tokens, use.seq, use.time))
        if used is NOTHING_USED:
            self._prune(agent_hex)

    def _prune(self, agent_hex: str) -> None:
        # One hour comes at a time, so there is never more than one too many by number.
        windows = [window for window, _ in self.windows(agent_hex, count_max=WINDOWS_KEPT + 1)]
        for window in windows:
            if window <= windows[-1] - WINDOWS_KEPT:
                self._staging.delete(quota_key(agent_hex, window))

    def put_limit(self, row: QuotaLimitRow) -> None:
        """Set the limit of the agent that the event names."""
        self._staging.put(quota_limit_key(row.event.for_agent), _LIMIT.encode(row))
