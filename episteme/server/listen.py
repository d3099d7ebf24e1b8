"""Taking an address, and the files that connections need, before anything else is touched."""

import errno
import os
import resource
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from episteme.config import ServerConfig
from episteme.errors import CannotOpen
from episteme.server.access import check_address
from episteme.server.connections import TURNED_AWAY_MAX

_BACKLOG: Final = 2048
# Bytes of answers that the system keeps for one connection besides those on their way.  Without it a reader who
# stops reading has up to some megabytes of the system's memory, and the event loop hears of it that much later.
_UNSENT_BYTES_MAX: Final = 128 * 1024
_FILES_WANTED: Final = 65_536
_FILES_KEPT: Final = 512 + TURNED_AWAY_MAX  # for segments, tables and logs of the engines; for those without room
_WHY: Final = {
    errno.EADDRINUSE: "another process listens there: stop that, or take another port with --port (0: any free one)",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "ports below 1024 are for root: take a higher one, or give the program CAP_NET_BIND_SERVICE",
}


def listen(config: ServerConfig, folder: Path) -> list[socket.socket]:
    """Sockets that listen where the settings say, one for each worker.  folder: the data folder, whose tokens count.

    Raises: CannotOpen; KeyProblem.
    """
    host, port = config.host, config.port
    where = f"cannot listen on {host} port {port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a name"
        raise CannotOpen(f"{where}: {reason}") from error
    check_address(str(address[0]), folder, config)
    with ExitStack() as opened:
        try:
            if config.workers == 1:
                listeners = [opened.enter_context(_bound(family, address, shared=False))]
            else:
                # Who may share an address may not tell whether somebody has it: the first look is by one who may not.
                with _bound(family, address, shared=False) as probe:
                    address = probe.getsockname()
                listeners = [opened.enter_context(_bound(family, address, shared=True)) for _ in range(config.workers)]
            for listener in listeners:
                listener.listen(_BACKLOG)
        except OSError as error:
            why = _WHY.get(error.errno or 0, os.strerror(error.errno or 0))
            raise CannotOpen(f"{where}: {why}") from error
        opened.pop_all()
    return listeners


def _bound(family: int, address: Any, *, shared: bool) -> socket.socket:
    """shared: with others that say so too; connections are spread over them."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES_MAX)  # connections inherit it
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def url_of(listener: socket.socket) -> str:
    """How a client says where it listens."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def connections_max(wanted: int) -> int:
    """Raise the limit of open files, and leave enough of them to the log and the store.

    A log that cannot open its next segment stops; connections must never bring it there.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, _FILES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        soft = target
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - _FILES_KEPT))
