"""One connection of a worker to the owner's server: a request goes out, its answer comes in pieces, then the next.

Holds a bounded part of an answer whose reader is slow.  The sockets have no
name: a worker makes a pair and hands one end to the owner.
"""

import asyncio
import socket
from typing import Final, NamedTuple, cast

import httptools

from episteme.errors import NotReady

HELD_BYTES_MAX: Final = 256 * 1024  # of an answer; past it the owner is not read from


class Head(NamedTuple):
    """The beginning of an answer."""

    status: int
    headers: list[tuple[bytes, bytes]]


class Lost(Exception):
    """The connection has ended before the answer had."""


class Upstream(asyncio.Protocol):
    """Of one event loop; for one exchange at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._waiters: list[asyncio.Future[None]] = []  # for the answer, and for leave to send the body
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = False
        self._paused = False
        self._parser: httptools.HttpResponseParser
        self._is_head = False
        self._head: Head | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._held = 0
        self._is_whole = True
        self._keeps = True
        self._continued = False

    def ask(self, head: bytes, *, is_head: bool) -> None:
        """Send the head of a request; is_head: of one whose answer has no body."""
        self._parser = httptools.HttpResponseParser(self)
        self._is_head = is_head
        self._head = None
        self._headers = []
        self._pieces = []
        self._held = 0
        self._is_whole = False
        self._keeps = True
        self._continued = False
        self._transport.write(head)

    async def write(self, data: bytes) -> None:
        """Send more of the request, once the owner has taken what was sent before."""
        if not self._lost:
            self._transport.write(data)
            await self._writable.wait()

    async def go_ahead(self) -> None:
        """Wait until the owner asks for the body."""
        while True:
            if self._continued:
                return
            await self._wait()

    async def head(self) -> Head:
        """The answer's beginning.  Raises: Lost."""
        while self._head is None:
            await self._wait()
        return self._head

    async def body(self) -> tuple[bytes, bool]:
        """What has come of the body, and whether more will; waits for one or the other.  Raises: Lost."""
        while not self._pieces and not self._is_whole:
            await self._wait()
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        if self._paused and not self._lost:
            self._paused = False
            self._transport.resume_reading()
        return data, not self._is_whole

    @property
    def is_reusable(self) -> bool:
        """Whether another request may follow, if the one before was sent whole."""
        return self._is_whole and self._keeps and not self._lost

    def abort(self) -> None:
        """Want nothing more of it."""
        self._lost = True
        self._transport.abort()
        self._wake()

    # As asyncio calls it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._lost = True
        self._writable.set()
        self._wake()

    def data_received(self, data: bytes) -> None:
        if self._is_whole:  # nothing was asked
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()
        self._wake()
        if self._held > HELD_BYTES_MAX and not self._paused and not self._lost:
            self._paused = True
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # As the parser calls it

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        if name == b"connection" and value == b"close":
            self._keeps = False

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 100:
            self._continued = True
            return
        self._head = Head(status, self._headers)
        if self._is_head:
            self._is_whole = True

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)
        self._held += len(data)

    def on_message_complete(self) -> None:
        if self._head is not None:
            self._is_whole = True
        self._headers = []

    async def _wait(self) -> None:
        if self._lost:
            raise Lost
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class Pool:
    """Connections to the owner that wait for their next request.  Of one event loop."""

    IDLE_MAX: Final = 64

    def __init__(self, door: socket.socket) -> None:
        """door: what ends of pairs are handed over by; not blocking."""
        self._door = door
        self._idle: list[Upstream] = []

    async def take(self) -> Upstream:
        """One for a request.  Raises: NotReady if the owner takes none."""
        while self._idle:
            upstream = self._idle.pop()
            if upstream.is_reusable:
                return upstream
        mine, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._door, [b"c"], [theirs.fileno()])
            except OSError as error:
                mine.close()
                raise NotReady("the server stops, or has no room", retry_after_s=1) from error
        mine.setblocking(False)
        _, upstream = await asyncio.get_running_loop().create_unix_connection(Upstream, sock=mine)
        return upstream

    def give_back(self, upstream: Upstream) -> None:
        """After a request that was sent whole."""
        if upstream.is_reusable and len(self._idle) < self.IDLE_MAX:
            self._idle.append(upstream)
        else:
            upstream.abort()
