"""Listen, run, drain, stop."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

import msgspec
import uvicorn

from episteme.config import NodeConfig, ServerConfig
from episteme.node import Node
from episteme.server import journal
from episteme.server.access import is_loopback
from episteme.server.app import Application
from episteme.server.connections import Connections
from episteme.server.direct import Direct
from episteme.server.draining import DrainingServer, uvicorn_config
from episteme.server.edge import edge_of
from episteme.server.interpreter import settle_garbage, share_lock
from episteme.server.listen import connections_max, listen, url_of
from episteme.server.notify import ServiceManager
from episteme.server.shortcut import shortcut
from episteme.server.workers import Supervisor, for_workers

_HELPERS_MAX: Final = 4  # what these verify, one process can hardly log and fold
_STATUS_S: Final = 10.0  # how often the service manager is told the position, if it does not watch more closely
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
    share_lock()
    config = msgspec.structs.replace(config, connections_max=connections_max(config.connections_max))
    listeners = listen(config, folder)
    try:
        node_config = _with_helpers(_with_quotas(configure(), config, listeners[0]), config)
        with Node.open(folder, config=node_config) as node:
            application = Application(node, config)
            settle_garbage()
            try:
                _run(node, application, config, listeners, started)
            finally:
                application.close()
    finally:
        for listener in listeners:
            listener.close()


class Server(DrainingServer):
    """Tells when connections are taken and when it begins to drain; with workers, who take them, looks after those."""

    def __init__(
        self,
        config: uvicorn.Config,
        node: Node,
        guards: Connections,
        started: Callable[[], None],
        draining: Callable[[], None],
    ) -> None:
        super().__init__(config, guards)
        self.crew: Supervisor | None = None
        self._node = node
        self._manager = ServiceManager()
        self._told_started = started
        self._tell_draining = draining
        self._telling: asyncio.Task[None] | None = None
        self._adopting: set[asyncio.Task[Any]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections and heed signals; then say so, not before.  Raises: CannotOpen."""
        await super().startup(sockets)
        if self.crew is not None:
            await self.crew.start()
        self._manager.tell("READY=1", self._status())
        self._telling = asyncio.create_task(self._keep_telling())
        self._told_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, answer what was taken, for at most drain_s."""
        self._tell_draining()
        if self.crew is not None:
            await self.crew.begin_drain()
        self._manager.tell("STOPPING=1", "STATUS=finishing what is in flight")
        if self.crew is not None:  # which asks this server until it has ended
            await self.crew.drained()
        await super().shutdown(sockets)
        if self._telling is not None:
            self._telling.cancel()

    def adopt(self, connection: socket.socket) -> None:
        """Answer on a connection that nobody listened for; in the event loop."""
        kind: Any = self.config.http_protocol_class
        protocol = partial(kind, self.config, self.server_state, self.lifespan.state)
        taking = asyncio.ensure_future(asyncio.get_running_loop().connect_accepted_socket(protocol, connection))
        self._adopting.add(taking)
        taking.add_done_callback(self._adopting.discard)

    def hurry(self) -> None:
        """Wait for nobody any more; in the event loop."""
        if self.crew is not None:
            self.crew.hurry()
        super().hurry()

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
    listeners: Sequence[socket.socket],
    started: Callable[[Node, str], None],
) -> None:
    url, address = url_of(listeners[0]), listeners[0].getsockname()[0]
    has_workers = config.workers > 1
    guards = Connections(for_workers(config) if has_workers else config)
    edge = edge_of(node, application, config, address)
    access_log = journal.AccessLog(edge) if config.access_log else None
    direct = Direct(edge, application.hot(), config.header_bytes_max, access_log)
    protocol = shortcut(guards, edge.refusal_headers, direct)
    server = Server(
        uvicorn_config(access_log or edge, protocol, config),
        node,
        guards,
        lambda: started(node, url),
        application.drain,
    )
    application.metrics.connections = guards
    if has_workers:
        server.crew = Supervisor(node, config, address, listeners, server.adopt, application.metrics)
    server.heed_signals()
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
        signal.signal(signal.SIGHUP, server.hang_up)
    try:
        server.run(sockets=[] if has_workers else list(listeners))
    finally:
        if server.crew is not None:
            server.crew.kill()
        edge.close()


def _with_helpers(node_config: NodeConfig, config: ServerConfig) -> NodeConfig:
    """Workers verify themselves; without them others verify for this process, whose interpreter lock is in demand."""
    intake = node_config.intake
    if intake.helpers is not None:
        return node_config
    helpers = min(max((os.cpu_count() or 1) - 1, 1), _HELPERS_MAX) if config.workers == 1 else 0
    return msgspec.structs.replace(node_config, intake=intake._replace(helpers=helpers))


def _with_quotas(node_config: NodeConfig, config: ServerConfig, listener: socket.socket) -> NodeConfig:
    """Who can reach only this machine's own address is taken for its owner."""
    is_open = not is_loopback(listener.getsockname()[0])
    enabled = config.quotas if config.quotas is not None else node_config.quota.enabled or is_open
    return msgspec.structs.replace(node_config, quota=node_config.quota._replace(enabled=enabled))


def _say_hangup(_number: int, _frame: FrameType | None) -> None:
    _LOGGER.warning("SIGHUP: there is nothing to load anew; settings are read at the start")
