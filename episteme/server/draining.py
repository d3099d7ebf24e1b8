"""uvicorn's server, which stops within a time: it answers what was taken, and hurries at a second signal."""

import asyncio
import signal
import socket
from types import FrameType
from typing import Any, Final

import uvicorn

from episteme.config import ServerConfig
from episteme.server.connections import Connections

_CANCEL_S: Final = 1  # after the last connection was closed, until handlers that go on are cancelled


class DrainingServer(uvicorn.Server):
    """Of one event loop, in the main thread."""

    def __init__(self, config: uvicorn.Config, guards: Connections) -> None:
        super().__init__(config)
        self.guards = guards
        self._loop: asyncio.AbstractEventLoop | None = None

    def heed_signals(self) -> None:
        """From now on SIGTERM and SIGINT end the server as soon as it has started; in the main thread.

        uvicorn drains on these signals, then raises them again for the handlers that stood before: these let the
        process go on, so that all is closed and the exit code is 0.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_early)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections and heed signals."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, answer what was taken, for at most drain_s."""
        giving_up = asyncio.get_running_loop().call_later(self.guards.limits.drain_s, self.guards.give_up)
        await super().shutdown(sockets)
        giving_up.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """In a signal handler: the first asks to stop, the second to wait for nobody."""
        if self.should_exit and self._loop is not None:
            self._loop.call_soon_threadsafe(self.hurry)
        super().handle_exit(sig, frame)

    def hurry(self) -> None:
        """Wait for nobody any more; in the event loop."""
        self.guards.give_up()
        self.force_exit = True

    def _stop_early(self, _number: int, _frame: FrameType | None) -> None:
        """In a signal handler: after the start uvicorn has seen to it."""
        if not self.started:
            self.should_exit = True


def uvicorn_config(application: Any, protocol: type[asyncio.Protocol], config: ServerConfig) -> uvicorn.Config:
    """For an application behind connections of that class."""
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=protocol,
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        log_level=config.log_level,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=config.drain_s + _CANCEL_S,
    )
