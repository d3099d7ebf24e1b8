"""Bind, run, drain, stop."""

import resource
import signal
import socket
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from types import FrameType

import msgspec
import uvicorn

from episteme.config import NodeConfig, ServerConfig
from episteme.errors import CannotOpen
from episteme.node import Node
from episteme.server.app import Application

_BACKLOG = 2048
_FILES_WANTED = 65_536
_FILES_KEPT = 512  # for segments, tables and logs of the engines
# How long a busy thread may keep the interpreter lock from the others.  Python's 5 ms show in the
# latency of a write; at a tenth of a millisecond the hand-overs cost a third of the throughput.
_SWITCH_INTERVAL_S = 0.001


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
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    config = msgspec.structs.replace(config, connections_max=_connections_max(config.connections_max))
    listener = _bind(config)
    try:
        node_config = _with_quotas(configure(), config, listener)
        with Node.open(folder, config=node_config) as node:
            application = Application(node, config)
            try:
                _run(application, config, listener, lambda url: started(node, url))
            finally:
                application.close()
    finally:
        listener.close()


class _Server(uvicorn.Server):
    """Tells its address once it takes connections and heeds signals, not before; and tells when it begins to drain."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None], draining: Callable[[], None]) -> None:
        super().__init__(config)
        self._told_started = started
        self._tell_draining = draining

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._told_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._tell_draining()
        await super().shutdown(sockets)


def _run(
    application: Application, config: ServerConfig, listener: socket.socket, started: Callable[[str], None]
) -> None:
    host, port = listener.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    server = _Server(
        uvicorn.Config(
            application,
            loop="uvloop",
            http="httptools",
            lifespan="off",
            ws="none",
            access_log=False,
            log_level="warning",
            server_header=False,
            date_header=False,
            proxy_headers=False,
            limit_concurrency=config.connections_max,
            timeout_graceful_shutdown=config.drain_s,
        ),
        lambda: started(url),
        application.drain,
    )
    # uvicorn drains on these signals, then raises them again for the handlers that stood before:
    # ours let the process go on, so that the node is closed and the exit code is 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave_to_uvicorn)
    server.run(sockets=[listener])


def _connections_max(wanted: int) -> int:
    """Raise the limit of open files, and leave enough of them to the log and the store.

    A log that cannot open its next segment stops; connections must never bring it there.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, _FILES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        soft = target
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - _FILES_KEPT))


def _bind(config: ServerConfig) -> socket.socket:
    host, port = config.host, config.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        if not config.public and not ip_address(address[0]).is_loopback:
            raise CannotOpen(
                f"{host} is not a loopback address: whoever reaches it can read everything and write; "
                "say --public if that is meant"
            )
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise CannotOpen(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    return listener


def _with_quotas(node_config: NodeConfig, config: ServerConfig, listener: socket.socket) -> NodeConfig:
    """Who can reach only this machine's own address is taken for its owner."""
    is_loopback = ip_address(listener.getsockname()[0]).is_loopback
    enabled = config.quotas if config.quotas is not None else node_config.quota.enabled or not is_loopback
    return msgspec.structs.replace(node_config, quota=node_config.quota._replace(enabled=enabled))


def _leave_to_uvicorn(_number: int, _frame: FrameType | None) -> None:
    """Nothing: see _run."""
