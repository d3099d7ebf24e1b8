"""The worker's end of the channel to the owner; of the worker's event loop."""

import asyncio
import socket
from collections.abc import Callable
from typing import Self, cast

from episteme.server.workers.messages import Splitter, ToOwner, ToWorker, framed


class Channel(asyncio.Protocol):
    """Sends what it is given and tells what comes.  Not thread-safe.

    What waits to be sent is bounded by whoever sends: by the events that he has on their way.
    """

    def __init__(self, take: Callable[[ToWorker], None], lost: Callable[[], None]) -> None:
        """take: called with each message.  lost: once, when the owner has ended, or the channel was closed."""
        self._take = take
        self._lost = lost
        self._splitter: Splitter[ToWorker] = Splitter(cast("type[ToWorker]", ToWorker))
        self._transport: asyncio.WriteTransport | None = None
        self._closed = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, end: socket.socket, take: Callable[[ToWorker], None], lost: Callable[[], None]) -> Self:
        """On a connected socket, in the running loop."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(take, lost), sock=end)
        return channel

    def send(self, message: ToOwner) -> None:
        """Send a message, soon; to an owner who has ended, never."""
        self.send_framed(framed(message))

    def send_framed(self, data: bytes) -> None:
        """As send, of what framed() has made."""
        if self._transport is not None:
            self._transport.write(data)

    @property
    def unsent_bytes(self) -> int:
        """What waits to be sent; from any thread."""
        transport = self._transport
        return 0 if transport is None else transport.get_write_buffer_size()

    async def close(self) -> None:
        """Once all is sent."""
        if self._transport is not None:
            self._transport.close()
            await self._closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio calls it."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """As asyncio calls it."""
        for message in self._splitter.feed(data):
            self._take(message)

    def connection_lost(self, _exc: Exception | None) -> None:
        """As asyncio calls it."""
        self._transport = None
        self._closed.set_result(None)
        self._lost()
