"""A server that says what a test tells it to, byte by byte: broken ones, slow ones, liars."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Self

WAIT_S: Final = 10.0  # no test waits that long unless it fails

Act = Callable[["Talk"], None]


class Talk:
    """One connection, after its request was read."""

    def __init__(self, connection: socket.socket, head: bytes, body: bytes, over: threading.Event) -> None:
        self.head = head.decode("latin-1")
        self.body = body
        self._connection = connection
        self._over = over

    @property
    def path(self) -> str:
        return self.head.split(" ")[1]

    @property
    def headers(self) -> dict[str, str]:
        lines = (line.partition(":") for line in self.head.split("\r\n")[1:])
        return {name.lower(): value.strip() for name, _, value in lines}

    def say(self, data: bytes) -> None:
        self._connection.sendall(data)

    def hold(self, seconds: float = WAIT_S) -> bool:
        """Say nothing until the test is over; whether it is not."""
        return not self._over.wait(seconds)


class Scripted:
    """Does one act for each connection, in their order; the last for all that follow."""

    def __init__(self, acts: Sequence[Act]) -> None:
        self.talks: list[Talk] = []
        self._acts = acts
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(WAIT_S)
        for thread in self._threads:
            thread.join(WAIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                head, body = _request(connection)
            except (OSError, ValueError):
                return
            talk = Talk(connection, head, body, self._over)
            with self._lock:
                act = self._acts[min(len(self.talks), len(self._acts) - 1)]
                self.talks.append(talk)
            try:
                act(talk)
            except OSError:
                return  # the client has gone


def _request(connection: socket.socket) -> tuple[bytes, bytes]:
    connection.settimeout(WAIT_S)
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            size = int(line.partition(b":")[2])
            while len(body) < size:
                body += _some(connection)
    return head, body


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ValueError("the client has gone")
    return data


def reply(status: int, body: bytes = b"", *headers: str, size: int | None = None) -> Act:
    """An answer; size: what Content-Length says, if that is not true."""

    def act(talk: Talk) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if size is None else size}", "Connection: close"]
        talk.say("\r\n".join([*lines, *headers, "", ""]).encode() + body)

    return act


@contextmanager
def scripted(*acts: Act) -> Iterator[Scripted]:
    """A server for the time of a test."""
    with Scripted(acts) as server:
        yield server
