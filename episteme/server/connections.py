"""All connections of one server: how many there may be, which have run out of time, and what became of them.

One timer looks at all of them, so that a connection costs no timer of its own
and a request none at all; a limit is kept to within a tick.  When there is no
room for a newcomer, the connection that has been idle longest makes it: idle
sockets, however many, keep nobody out.

Source: docs/security.md, "Denial of service".
"""

import asyncio
import logging
from collections import Counter, deque
from ipaddress import IPv6Address
from math import inf
from typing import Final, Protocol

from episteme.config import ServerConfig
from episteme.errors import EpistemeError, Overloaded

# Newcomers without room that are told so; further ones are cut off unanswered.  Each is a file for a second or so.
TURNED_AWAY_MAX: Final = 256

_TICKS: Final = 4  # in the shortest limit: how exactly it is kept
_TICK_S_MIN: Final = 0.01
_TICK_S_MAX: Final = 0.5
_LOGGER: Final = logging.getLogger("episteme.server.http")
_IPV6_SITE_BITS: Final = 64  # whoever has one address of IPv6 has all of these


class Connection(Protocol):
    """What is looked at."""

    def look(self, now_s: float) -> None:
        """End what has run out of time."""

    def idle_since(self) -> float:
        """Since when nothing is asked on it; inf if something is."""

    def give_way(self) -> None:
        """Close an idle connection, for there is no room."""

    def give_up(self) -> None:
        """Wait for nothing more, and close."""


class Connections:
    """The connections of one event loop.  Not thread-safe; the counters may be read from anywhere.

    refused: requests and connections refused before any handler, by code.
    closed: connections that the server ended, by reason.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.limits = config
        self.open: set[Connection] = set()
        self.turned_away: set[Connection] = set()
        self.opened_count = 0
        self.refused: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self._by_address: Counter[str] = Counter()
        self._per_address_max = config.connections_per_address_max
        self._idle: deque[Connection] = deque()
        self._tick_s = tick_s(config)
        self._timer: asyncio.TimerHandle | None = None

    def admit(self, connection: Connection, address: str, loop: asyncio.AbstractEventLoop) -> None:
        """Take in a connection; each that is taken in, or told that it is not, must leave.

        Raises: Overloaded; the connection is among turned_away then if it may be told.
        """
        self.opened_count += 1
        if self._timer is None:
            self._timer = loop.call_later(self._tick_s, self._tick, loop)
        refusal = self._refusal(site_of(address))
        if refusal is None:
            self.open.add(connection)
            self._by_address[site_of(address)] += 1
            return
        self.refused[refusal.code] += 1
        if len(self.turned_away) < TURNED_AWAY_MAX:
            self.turned_away.add(connection)
        raise refusal

    def leave(self, connection: Connection, address: str) -> None:
        """Forget a connection."""
        self.turned_away.discard(connection)
        if connection in self.open:
            self.open.remove(connection)
            site = site_of(address)
            self._by_address[site] -= 1
            if not self._by_address[site]:
                del self._by_address[site]

    def give_up(self) -> None:
        """Close all connections, whatever is going on; in the event loop."""
        for connection in [*self.open, *self.turned_away]:
            connection.give_up()

    def _refusal(self, site: str) -> EpistemeError | None:
        if self._per_address_max is not None and self._by_address[site] >= self._per_address_max:
            return Overloaded(f"there are {self._per_address_max} connections from this address", retry_after_s=1)
        if len(self.open) >= self.limits.connections_max and not self._make_room():
            return Overloaded(f"there are {self.limits.connections_max} connections", retry_after_s=1)
        return None

    def _make_room(self) -> bool:
        """Let one go that was idle at the last tick and still is; the longest idle first."""
        while self._idle:
            connection = self._idle.popleft()
            if connection in self.open and connection.idle_since() != inf:
                self.closed["no-room"] += 1
                connection.give_way()
                return True
        return False

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        for connection in [*self.open, *self.turned_away]:
            try:
                connection.look(now_s)
            except Exception:  # whatever it is, it must not end the limits of all others
                _LOGGER.exception("a connection could not be looked at")
        full = len(self.open) + TURNED_AWAY_MAX >= self.limits.connections_max
        self._idle = deque(self._idle_first() if full else ())
        some_left = self.open or self.turned_away
        self._timer = loop.call_later(self._tick_s, self._tick, loop) if some_left else None

    def _idle_first(self) -> list[Connection]:
        idle = [(since_s, number) for number, since_s in enumerate(one.idle_since() for one in self.open)]
        order = [number for since_s, number in sorted(idle) if since_s != inf]
        all_open = list(self.open)
        return [all_open[number] for number in order]


def tick_s(config: ServerConfig) -> float:
    """How often all connections are looked at."""
    shortest = min(config.header_s_max, config.idle_s_max, config.body_s_max, config.stream_write_s_max)
    return min(max(shortest / _TICKS, _TICK_S_MIN), _TICK_S_MAX)


def site_of(address: str) -> str:
    """What counts as one address: of IPv6 the first 64 bits, but of IPv4 in it, all."""
    if ":" not in address:
        return address
    found = IPv6Address(address.partition("%")[0])
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    bits = int(found)
    return str(IPv6Address(bits >> _IPV6_SITE_BITS << _IPV6_SITE_BITS))
