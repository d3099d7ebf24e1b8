"""Tells the service manager how the server is: datagrams to the socket that it named in NOTIFY_SOCKET.

Without a service manager every call does nothing.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import logging
import os
import socket
from collections.abc import Mapping
from typing import Final

_LOGGER: Final = logging.getLogger("episteme.server")


class ServiceManager:
    """systemd, or whatever speaks as it does.

    watchdog_s: how often it wants to hear at the least that the server is alive; None if it does not ask.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name
        self.watchdog_s = _watchdog_s(environment)

    def tell(self, *assignments: str) -> None:
        """Send assignments such as READY=1 in one datagram; one that cannot be sent is worth a line and no more."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as datagrams:
                datagrams.connect(self._address)
                datagrams.send("\n".join(assignments).encode())
        except OSError as error:
            _LOGGER.warning("the service manager was not told %s: %s", assignments[0], error)


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """As sd_watchdog_enabled: only if the process that is meant is this one."""
    wanted = environment.get("WATCHDOG_USEC", "")
    if (
        not wanted.isdecimal()
        or not int(wanted)
        or environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid())
    ):
        return None
    return int(wanted) / 1_000_000
