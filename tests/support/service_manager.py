"""What systemd does for a service of Type=notify: a socket of datagrams, of a path or without one."""

import os
import socket
from pathlib import Path
from typing import Self

WAIT_S = 10.0  # no test waits that long unless it fails


class Listener:
    """Takes what a service says of itself."""

    def __init__(self, path: Path | None = None) -> None:
        """path: where; None: in the abstract namespace."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(WAIT_S)
        if path is None:
            name = f"episteme-test-{os.urandom(8).hex()}"
            self._socket.bind(f"\0{name}")
            self.address = f"@{name}"
        else:
            self._socket.bind(str(path))
            self.address = str(path)

    def next(self) -> list[str]:
        """The assignments of the next datagram."""
        return self._socket.recv(4096).decode().split("\n")

    def wait_for(self, assignment: str) -> list[list[str]]:
        """All datagrams up to the one with that assignment."""
        found = [self.next()]
        while assignment not in found[-1]:
            found.append(self.next())
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
