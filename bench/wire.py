"""What the load generator sends and takes: HTTP/1.1 over blocking sockets, each with one request in flight."""

import select
import socket
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

SECONDS_MAX: Final = 120.0
RECV_BYTES: Final = 32_768
_HEAD_END: Final = b"\r\n\r\n"


class Broken(Exception):
    """The server closed a connection, answered what it must not, or took too long."""


class Connection:
    """One socket with at most one request in flight."""

    __slots__ = ("_data", "_recv", "number", "send", "since_s", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The kernel's time limits: Python's own would add a system call to each send and each recv.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self.socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(SECONDS_MAX), 0))
        self.send = self.socket.sendall
        self._recv = self.socket.recv
        self._data = b""
        self.since_s = 0.0  # where the latency of the request in flight counts from
        self.number = -1  # which request that is

    def answer(self) -> bytes | None:
        """Take what has come; the answer, once all of it is there.  To be called when there is something to read.

        Raises: Broken if the server has closed it.
        """
        got = self._recv(RECV_BYTES)
        if not got:
            raise Broken("the server closed a connection")
        data = self._data + got if self._data else got
        if is_whole(data):
            self._data = b""
            return data
        self._data = data
        return None

    def ask(self, request: bytes) -> bytes:
        """Send a request and wait for its answer."""
        self.send(request)
        return self.wait()

    def wait(self) -> bytes:
        """The answer to what was sent."""
        while (answer := self.answer()) is None:
            pass
        return answer

    def close(self) -> None:
        self.socket.close()


def is_whole(data: bytes) -> bool:
    """Whether an answer is there to its end, by its length or its last chunk."""
    head = data.find(_HEAD_END)
    if head < 0:
        return False
    start = data.find(b"content-length: ", 0, head)
    if start >= 0:
        return len(data) >= head + 4 + int(data[start + 16 : data.index(b"\r", start)])
    lower = data[:head].lower()
    start = lower.find(b"content-length:")
    if start >= 0:
        return len(data) >= head + 4 + int(lower[start + 15 :].split(b"\r", 1)[0])
    if b"transfer-encoding: chunked" in lower:
        return data.endswith(b"\r\n0\r\n\r\n")
    return lower[9:12] in (b"204", b"304")


def watch(connections: Sequence[Connection]) -> tuple[select.epoll, dict[int, Connection]]:
    """An epoll of all of them, and which is which."""
    poller = select.epoll()
    for connection in connections:
        poller.register(connection.socket.fileno(), select.EPOLLIN)
    return poller, {connection.socket.fileno(): connection for connection in connections}


def last_seq(answer: bytes) -> int:
    """The last position that an answer names, -1 if it names none."""
    start = answer.rfind(b'"seq":')
    return int(answer[start + 6 : start + 26].strip().split(b",")[0].split(b"}")[0]) if start >= 0 else -1


def hash_in(answer: bytes) -> bytes:
    """The hash that the answer to a write names, as hex."""
    start = answer.index(b'"hash":')
    return answer[start + 7 :].split(b'"', 2)[1]


def write_requests(path: Path, requests: Iterable[bytes]) -> Path:
    """Whole requests, each preceded by its length as u32 little endian."""
    with path.open("wb") as file:
        for request in requests:
            file.write(struct.pack("<I", len(request)) + request)
    return path


def read_requests(path: Path) -> list[bytes]:
    """What write_requests wrote."""
    data, requests, offset = path.read_bytes(), [], 0
    while offset < len(data):
        (size,) = struct.unpack_from("<I", data, offset)
        requests.append(data[offset + 4 : offset + 4 + size])
        offset += 4 + size
    return requests


def get(path: str) -> bytes:
    """A whole request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    """A whole request."""
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode() + body
