"""Listen, run, drain, stop."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec
import uvicorn

from episteme.config import NodeConfig, ServerConfig
from episteme.node import Node
from episteme.server import journal
from episteme.server.access import is_loopback
from episteme.server.app import Application
from episteme.server.connections import Connections
from episteme.server.edge import edge_of
from episteme.server.listen import connections_max, listen, url_of
from episteme.server.notify import ServiceManager
from episteme.server.protocol import guarded

# How long a busy thread may keep the interpreter lock from the others.  Python's 5 ms show in the
# latency of a write; at a tenth of a millisecond the hand-overs cost a third of the throughput.
_SWITCH_INTERVAL_S: Final = 0.001
_STATUS_S: Final = 10.0  # how often the service manager is told the position, if it does not watch more closely
_CANCEL_S: Final = 1  # after the last connection was closed, until handlers that go on are cancelled
_STDERR: Final = 2
_LOGGER: Final = logging.getLogger("episteme.server")


def serve(
    folder: Path,
    configure: Callable[[], NodeConfig],
    config: ServerConfig,
    started: Callable[[Node, str], None],
) -> None:
    """Open the data folder and serve it until SIGTERM or SIGINT; then finish what is in flight and close.

    Writers pay as config.quotas says; if it says nothing, where the address is not loopback.
    configure: called once the address is taken, and before the folder is opened; it may write to that.
    started: called with the node and its address once connections are taken.
    Raises: CannotOpen; Damaged.
    """
    journal.set_up(config)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL and not os.isatty(_STDERR):
        signal.signal(signal.SIGHUP, _say_hangup)  # opening may take minutes
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    config = msgspec.structs.replace(config, connections_max=connections_max(config.connections_max))
    listener = listen(config, folder)
    try:
        node_config = _with_quotas(configure(), config, listener)
        with Node.open(folder, config=node_config) as node:
            application = Application(node, config)
            try:
                _run(node, application, config, listener, started)
            finally:
                application.close()
    finally:
        listener.close()


class Server(uvicorn.Server):
    """uvicorn's, which tells when it takes connections and when it begins to drain, and hurries at a second signal."""

    def __init__(
        self,
        config: uvicorn.Config,
        node: Node,
        guards: Connections,
        started: Callable[[], None],
        draining: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._node = node
        self._guards = guards
        self._manager = ServiceManager()
        self._told_started = started
        self._tell_draining = draining
        self._telling: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections and heed signals; then say so, not before."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self._manager.tell("READY=1", self._status())
        self._telling = asyncio.create_task(self._keep_telling())
        self._told_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, answer what was taken, for at most drain_s."""
        self._manager.tell("STOPPING=1", "STATUS=finishing what is in flight")
        self._tell_draining()
        giving_up = asyncio.get_running_loop().call_later(self._guards.limits.drain_s, self._guards.give_up)
        await super().shutdown(sockets)
        giving_up.cancel()
        if self._telling is not None:
            self._telling.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """In a signal handler: the first asks to stop, the second to wait for nobody."""
        if self.should_exit and self._loop is not None:
            self._loop.call_soon_threadsafe(self._hurry)
        super().handle_exit(sig, frame)

    def _hurry(self) -> None:
        self._guards.give_up()
        self.force_exit = True

    def stop_early(self, _number: int, _frame: FrameType | None) -> None:
        """In a signal handler: end as soon as it has started; after that uvicorn has seen to it."""
        if not self.started:
            self.should_exit = True

    def hang_up(self, _number: int, frame: FrameType | None) -> None:
        """In a signal handler: the terminal is gone, which ends what was started in one; a service has none."""
        if os.isatty(_STDERR):
            self.handle_exit(signal.SIGTERM, frame)
        else:
            _say_hangup(_number, frame)

    async def _keep_telling(self) -> None:
        """As long as the event loop turns, twice in each time that the service manager grants."""
        watchdog_s = self._manager.watchdog_s
        assignments = ("WATCHDOG=1",) if watchdog_s else ()
        while True:
            await asyncio.sleep(min(_STATUS_S, (watchdog_s or _STATUS_S) / 2))
            if not self.should_exit:
                self._manager.tell(*assignments, self._status())
            elif assignments:
                self._manager.tell(*assignments)

    def _status(self) -> str:
        return f"STATUS=log at seq {self._node.end_seq}, folded to {self._node.applied_seq}"


def _run(
    node: Node,
    application: Application,
    config: ServerConfig,
    listener: socket.socket,
    started: Callable[[Node, str], None],
) -> None:
    url = url_of(listener)
    guards = Connections(config)
    application.metrics.connections = guards
    edge = edge_of(node, application, config, listener.getsockname()[0])
    server = Server(
        uvicorn.Config(
            journal.AccessLog(edge) if config.access_log else edge,
            loop="uvloop",
            http=guarded(guards, edge.refusal_headers),
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            log_level=config.log_level,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=config.drain_s + _CANCEL_S,
        ),
        node,
        guards,
        lambda: started(node, url),
        application.drain,
    )
    # uvicorn drains on these signals, then raises them again for the handlers that stood before:
    # ours let the process go on, so that the node is closed and the exit code is 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.stop_early)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
        signal.signal(signal.SIGHUP, server.hang_up)
    try:
        server.run(sockets=[listener])
    finally:
        edge.close()


def _with_quotas(node_config: NodeConfig, config: ServerConfig, listener: socket.socket) -> NodeConfig:
    """Who can reach only this machine's own address is taken for its owner."""
    is_open = not is_loopback(listener.getsockname()[0])
    enabled = config.quotas if config.quotas is not None else node_config.quota.enabled or is_open
    return msgspec.structs.replace(node_config, quota=node_config.quota._replace(enabled=enabled))


def _say_hangup(_number: int, _frame: FrameType | None) -> None:
    _LOGGER.warning("SIGHUP: there is nothing to load anew; settings are read at the start")
