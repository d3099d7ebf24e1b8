"""What a worker does not answer itself: passed on to the owner's server as it came, and its answer back as it comes.

Nothing is looked at and nothing is added: who may ask, how much a body may hold
and how an answer is dressed are decided by the owner, so that such an answer is
what one process alone would give.  What belongs to a connection stays with it:
lengths of chunks, whether it is kept, who waits for 100 Continue.

Source: RFC 9110, section 7.6.1.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from starlette.types import Receive, Scope, Send

from episteme.errors import EpistemeError, NotReady
from episteme.server.problems import problem_response
from episteme.server.workers.upstream import Lost, Pool, Upstream

_OF_THE_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
_CHUNKED: Final = (b"transfer-encoding", b"chunked")

Header = tuple[bytes, bytes]


class Proxy:
    """An ASGI application that has another process answer.  Of one event loop."""

    def __init__(self, pool: Pool, refusal_headers: Callable[[], dict[str, str]]) -> None:
        """refusal_headers: what every answer says, for those that the owner could not give."""
        self._pool = pool
        self._refusal_headers = refusal_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have one request answered."""
        try:
            upstream = await self._pool.take()
        except EpistemeError as refusal:
            await self._refuse(refusal, scope, receive, send)
            return
        exchange = _Exchange(upstream, scope, receive)
        feeding = asyncio.create_task(exchange.feed())
        began = False
        try:
            status, headers = await upstream.head()
            began = True
            await send({"type": "http.response.start", "status": status, "headers": list(_passed(headers))})
            more = True
            while more:
                data, more = await upstream.body()
                await send({"type": "http.response.body", "body": data, "more_body": more})
        except Lost:
            if not began and not exchange.is_gone:
                await self._refuse(NotReady("the server stops", retry_after_s=1), scope, receive, send)
        finally:
            feeding.cancel()
            if exchange.is_sent:
                self._pool.give_back(upstream)
            else:
                upstream.abort()

    async def _refuse(self, refusal: EpistemeError, scope: Scope, receive: Receive, send: Send) -> None:
        await problem_response(refusal, self._refusal_headers())(scope, receive, send)


class _Exchange:
    """A request on its way to the owner."""

    def __init__(self, upstream: Upstream, scope: Scope, receive: Receive) -> None:
        """Send the head."""
        headers: list[Header] = scope["headers"]
        self._upstream = upstream
        self._receive = receive
        self._is_chunked = any(name == b"transfer-encoding" for name, _ in headers)
        self._expects = any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)
        self.is_sent = False  # whole
        self.is_gone = False  # the client
        upstream.ask(head_of(scope, chunked=self._is_chunked), is_head=scope["method"] == "HEAD")

    async def feed(self) -> None:
        """Pass on the body; then see whether the client goes, who takes the connection to the owner with him."""
        try:
            if self._expects:
                await self._upstream.go_ahead()
            while (message := await self._receive())["type"] == "http.request":
                await self._pass_on(message.get("body", b""), last=not message.get("more_body", False))
        except Lost:
            return
        self.is_gone = True
        self._upstream.abort()

    async def _pass_on(self, data: bytes, *, last: bool) -> None:
        if self.is_sent:
            return
        if self._is_chunked:
            data = (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + (b"0\r\n\r\n" if last else b"")
        self.is_sent = last
        if data:
            await self._upstream.write(data)


def head_of(scope: Scope, *, chunked: bool) -> bytes:
    """The head of a request as the owner is to see it."""
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    lines = [b"%b %b HTTP/%b" % (scope["method"].encode(), target, scope["http_version"].encode())]
    headers = [*_passed(scope["headers"]), *([_CHUNKED] if chunked else [])]
    return b"\r\n".join([*lines, *(name + b": " + value for name, value in headers), b"", b""])


def _passed(headers: Iterable[Header]) -> Iterable[Header]:
    return (header for header in headers if header[0] not in _OF_THE_CONNECTION)
