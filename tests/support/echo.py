"""An application behind the guarded protocol that says what it got, what is sent to it, and how a refusal looks."""

import asyncio
import threading
from typing import Any

from tests.support.guarded import WAIT_S, Guarded, Wire

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
MORE = b"GET /more HTTP/1.1\r\nHost: h\r\n\r\n"
SHORT_S = 0.1
BIG = b"x" * (8 * 1024 * 1024)


class Echo:
    """Reads the whole body and says what it got; /early answers before, /hold waits to be let go, /stream goes on."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[bytes, bytes]]] = []
        self.scopes: list[Any] = []
        self.gone = threading.Event()  # a client of /hold or /stream went away
        self.held = threading.Semaphore(0)  # one for each that waits
        self._release = asyncio.Event()

    def release(self) -> None:
        """In the event loop."""
        self._release.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append((scope["path"], dict(scope["headers"])))
        self.scopes.append(scope)
        match scope["path"]:
            case "/early":
                await answer(send, b"early")
            case "/hold":
                await self._hold(receive, send)
            case "/stream":
                await self._stream(send, receive)
            case "/big":
                await answer(send, BIG)
            case path:
                body = await read(receive)
                await answer(send, path.encode() + b" " + b"%d" % len(body) if body is not None else b"gone")

    async def _hold(self, receive: Any, send: Any) -> None:
        await receive()
        released = asyncio.ensure_future(self._release.wait())
        gone = asyncio.ensure_future(receive())
        self.held.release()
        await asyncio.wait({released, gone}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            self.gone.set()
        released.cancel()
        gone.cancel()
        await answer(send, b"held")

    async def _stream(self, send: Any, receive: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.ensure_future(receive())
        await gone
        gone = asyncio.ensure_future(receive())
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await asyncio.sleep(0)
        self.gone.set()


async def answer(send: Any, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read(receive: Any) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


def check_refusal(wire: Wire, status: int, code: str) -> None:
    """See that a refusal is a whole problem document, that it says what every answer says, and that it is the last."""
    reply = wire.reply()
    assert reply.status == status, reply.body
    problem = reply.json()
    assert (problem["code"], problem["status"]) == (code, status)
    assert problem["hint"]
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["connection"] == "close"
    assert reply.headers["episteme-seq"] == "7"
    assert wire.is_closed()


def read_slowly(wire: Wire, size: int) -> int:
    """Take an answer at a pace that no limit minds, for several times as long as a connection may be idle."""
    got, pieces = 0, 32
    for _ in range(pieces):
        got += len(wire.some(size // pieces))
        threading.Event().wait(SHORT_S / 10)
    return got


def hold(server: Guarded, app: Echo) -> Wire:
    wire = server.connect()
    wire.send(b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
    assert app.held.acquire(timeout=WAIT_S)
    return wire
