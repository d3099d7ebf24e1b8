"""The guarded protocol before an application of a test, on a real socket; and a client that says anything."""

import asyncio
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import uvicorn
import uvloop
from uvicorn.server import ServerState

from episteme.config import ServerConfig
from episteme.server.connections import Connections
from episteme.server.protocol import GuardedProtocol, guarded
from tests.support.http import Reply

WAIT_S = 10.0  # no test waits that long unless it fails

App = Callable[[Any, Any, Any], Awaitable[None]]


class Guarded:
    """A server of one application, in a thread of its own."""

    def __init__(
        self, app: App, config: ServerConfig, protocol: Callable[[Connections], type[GuardedProtocol]] | None = None
    ) -> None:
        """protocol: the class of the connections, made of what counts them."""
        self.guards = Connections(config)
        self.failures: list[Any] = []  # what nobody caught in the event loop
        self.state = ServerState()
        self.loop = uvloop.new_event_loop()
        make = protocol or (lambda guards: guarded(guards, lambda: {"Episteme-Seq": "7"}))
        self._protocol = make(self.guards)
        self._config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None, date_header=False)
        self._config.load()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._stopping is not None
        self.loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        assert not self.failures, self.failures

    def connect(self, receive_bytes: int | None = None) -> "Wire":
        """receive_bytes: how much the system takes for a client that does not read."""
        return Wire(self.port, receive_bytes)

    def on_loop(self, call: Callable[[], Any]) -> Any:
        """What a call in the event loop gives."""

        async def calling() -> Any:
            return call()

        return asyncio.run_coroutine_threadsafe(calling(), self.loop).result(WAIT_S)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """With the event loop standing still: what comes meanwhile is met all at once."""
        go_on = threading.Event()
        self.loop.call_soon_threadsafe(go_on.wait, WAIT_S)
        try:
            yield
        finally:
            go_on.set()

    def shutdown_connections(self) -> None:
        """What a server that stops tells all its connections."""
        self.on_loop(lambda: [connection.shutdown() for connection in list(self.state.connections)])

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        self.loop.set_exception_handler(lambda _, context: self.failures.append(context))
        server = await self.loop.create_server(self._make, sock=self._listener)
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for connection in list(self.guards.open | self.guards.turned_away):
            assert isinstance(connection, GuardedProtocol)
            connection.cut("test over")
        await asyncio.sleep(0)

    def _make(self) -> GuardedProtocol:
        return self._protocol(config=self._config, server_state=self.state, app_state={}, _loop=self.loop)


class Wire:
    """One connection of a client that keeps no rule."""

    def __init__(self, port: int, receive_bytes: int | None = None) -> None:
        self._socket = socket.socket()
        self._socket.settimeout(WAIT_S)
        if receive_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        try:
            self._socket.connect(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise
        self._had = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """All of it, before anything is read."""
        self._socket.sendall(data)

    def rest(self) -> bytes:
        """All that comes until the other side closes."""
        parts = [self._had]
        while part := self._socket.recv(65536):
            parts.append(part)
        return b"".join(parts)

    def some(self, size: int) -> bytes:
        """So many bytes, as soon as they are there."""
        return self._exactly(size)

    def quiet(self, seconds: float) -> bool:
        """Whether nothing comes for so long, the end neither."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(WAIT_S)
        return False

    def head(self) -> Reply:
        """The head of the next answer, of one that has no body or no end."""
        first, *lines = self._until(b"\r\n\r\n")[:-4].split(b"\r\n")
        pairs = [line.partition(b":") for line in lines]
        headers = {name.decode().lower(): value.strip().decode() for name, _, value in pairs}
        return Reply(int(first.split(b" ")[1]), headers, b"")

    def reply(self) -> Reply:
        """The next answer, by its length or its chunks."""
        head = self.head()
        if head.headers.get("transfer-encoding") == "chunked":
            return head._replace(body=self._chunks())
        return head._replace(body=self._exactly(int(head.headers.get("content-length", "0"))))

    def answer(self, *, has_body: bool = True) -> bytes:
        """The next answer as it was sent, by its length; empty if there is none, for the other side has closed."""
        try:
            head = self._until(b"\r\n\r\n")
        except (AssertionError, ConnectionError):
            return b""
        length = re.search(rb"\r\ncontent-length: ([0-9]+)\r\n", head)
        return head + self._exactly(int(length[1]) if length and has_body else 0)

    def is_closed(self) -> bool:
        """Whether nothing more comes; waits for the end."""
        return self.rest() == b""

    def send_until_refused(self) -> None:
        """Wait until the other side says no more, then see how long it listens.  Raises: OSError in the end."""
        self.rest()
        while True:
            self.send(b"x")

    def reset(self) -> None:
        """Be gone without a farewell."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self._socket.close()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._had:
            part = self._socket.recv(65536)
            assert part, f"closed after {self._had!r}"
            self._had += part
        end = self._had.index(mark) + len(mark)
        found, self._had = self._had[:end], self._had[end:]
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._had) < size:
            part = self._socket.recv(65536)
            assert part, f"closed after {self._had!r}"
            self._had += part
        found, self._had = self._had[:size], self._had[size:]
        return found

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size + 2)[:-2]
        self._until(b"\r\n")
        return body
