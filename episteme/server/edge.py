"""What every request passes before it is dispatched, and every answer on its way out.

In: request id, host, origin, token; refused before a byte of the body is read.
Out: request id, security headers, CORS, compression, metrics.  Pure ASGI: what
an answer costs here is paid by every write.

Invariant: nothing behind the edge sees an identity that no token has proved.

Source: docs/http.md, "Every request and every answer"; docs/security.md.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPMethod, HTTPStatus
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from episteme.config import ServerConfig
from episteme.errors import EpistemeError, InvalidToken, KeyProblem
from episteme.node import Node
from episteme.server.access import IDENTITY, RECHECK, REQUIRED, bearer, host_checker, token_store, tokens_required
from episteme.server.compression import STEP_BYTES, Coding, accepted, compress, is_compressible
from episteme.server.cors import Cors, Headers
from episteme.server.exchange import EXCHANGE, PASSED, Exchange, request_id
from episteme.server.problems import on_error
from episteme.server.router import ENDPOINT
from episteme.server.wire import positions
from episteme.tokens import Identity, TokenStore

# What a browser must know of any answer; a page of the server's own says in its place what it needs.
SECURITY_HEADERS: Final[Mapping[bytes, bytes]] = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cache-control": b"no-store",
}

EVERY: Final[Headers] = tuple(SECURITY_HEADERS.items())
VARY: Final = (b"vary", b"Accept-Encoding")
_INLINE_BYTES_MAX: Final = STEP_BYTES // 4  # a third of a millisecond; more is compressed on a thread
_COMPRESS_THREADS: Final = 2
_COMPRESSED_MAX: Final = 16  # large bodies that are compressed or wait for it at a time: others go out as they are
_EVENT_STREAM: Final = b"text/event-stream"
_LOGGER: Final = logging.getLogger("episteme.server")
_NO_ENDPOINT: Final = "none"
_NOT_MODIFIED: Final = int(HTTPStatus.NOT_MODIFIED)  # a member of an enum takes longer to find than to compare

Headed = dict[bytes, bytes]  # headers by lower-case name; of one that is sent twice the last


class Observer(Protocol):
    """Who counts exchanges; called in the event loop."""

    in_flight: int
    sse_clients: int

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """An exchange is over, or its stream has begun; status 0: nothing was sent."""

    def refused(self, code: str) -> None:
        """An exchange has ended in a refusal."""


class Counted(Protocol):
    """An application, and who counts its exchanges."""

    @property
    def metrics(self) -> Observer:
        """That counts them."""

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """As ASGI says."""


class Dressed(Protocol):
    """An answer on its way out."""

    request_id: bytes
    coding: Coding | None  # that it is wanted in
    origin: bytes | None  # of the web page that asks
    is_stream: bool


class Edge:
    """Around the application of one server.  Of one event loop."""

    def __init__(
        self,
        application: ASGIApp,
        config: ServerConfig,
        address: str,
        *,
        tokens: TokenStore,
        observer: Observer,
        positions: Callable[[bool], dict[str, str]],
    ) -> None:
        """address: an IP, what the server listens on.  positions: headers; whether those of a read."""
        self._application = application
        self.compress_bytes_min = config.compress_bytes_min
        self.check_host = host_checker(config, address)
        self.required = tokens_required(config, address)
        self.tokens = tokens
        self.observer = observer
        self.positions = positions
        self._cors = Cors(config.cors_origins)
        self._compressing = 0
        self._threads = ThreadPoolExecutor(_COMPRESS_THREADS, thread_name_prefix="compress")

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Answer one request.  Raises: Elsewhere."""
        assert scope["type"] == "http", f"{scope['type']} is not spoken here"
        headers: Headed = dict(scope["headers"])
        answer = _Answer(self, send, headers)
        scope[EXCHANGE] = answer
        observer = self.observer
        observer.in_flight += 1
        try:
            try:
                told = self._admit(scope, headers)
            except EpistemeError as error:
                await self._refuse(error, scope, receive, answer.send)
            else:
                if told is None:
                    await self._application(scope, receive, answer.send)
                else:
                    await told(scope, receive, answer.send)
        finally:
            observer.in_flight -= 1
            answer.let_go()
            if PASSED not in scope:
                self._over(answer, scope)

    def refusal_headers(self) -> dict[str, str]:
        """What every answer says, for those that are given before there is a request to speak of."""
        security = {name.decode("ascii"): value.decode("ascii") for name, value in SECURITY_HEADERS.items()}
        return {**self.positions(False), **security, "x-request-id": request_id(None).decode("ascii")}

    def close(self) -> None:
        """Wait for answers that are being compressed."""
        self._threads.shutdown(wait=True)

    # In

    def _admit(self, scope: Connection, headers: Headed) -> Response | None:
        """Let a request through; or give its answer, if it only asks what a page may.

        Raises: WrongHost; WrongOrigin; InvalidToken.
        """
        host = headers.get(b"host")
        if host is not None:  # every browser sends it, and only a browser can be led astray
            self.check_host(host)
        origin = headers.get(b"origin")
        if origin is not None:
            self._cors.check(scope["method"], origin, host)
            if scope["method"] == HTTPMethod.OPTIONS and b"access-control-request-method" in headers:
                return self._preflight(origin)
        if self.required:
            scope[REQUIRED] = True
        authorization = headers.get(b"authorization")
        if authorization is not None:
            scope[IDENTITY] = self._identify(authorization, scope[EXCHANGE])
            scope[RECHECK] = partial(self._identify, authorization, scope[EXCHANGE])
        return None

    def _preflight(self, origin: bytes) -> Response | None:
        allowed = self._cors.preflight(origin)
        if allowed is None:
            return None
        response = Response(status_code=HTTPStatus.NO_CONTENT, headers=self.positions(False))
        # What depends on the origin is put on every answer.
        every = self._cors.headers(origin)
        response.raw_headers += [header for header in allowed if header not in every]
        return response

    def _identify(self, authorization: bytes, exchange: Exchange) -> Identity:
        fields = {"request_id": exchange.request_id.decode("ascii")}
        try:
            return self.tokens.verify(bearer(authorization))
        except KeyProblem as problem:
            _LOGGER.error("no API token can be checked: %s", problem, extra={"fields": fields})
            raise InvalidToken("no API token can be checked now; the server's log says why") from problem
        except InvalidToken as refusal:
            _LOGGER.warning("an API token was refused: %s", refusal, extra={"fields": fields})
            raise

    async def _refuse(self, error: EpistemeError, scope: Connection, receive: Receive, send: Send) -> None:
        response = await on_error(Request(scope), error)
        response.headers.update(self.positions(scope["method"] in (HTTPMethod.GET, HTTPMethod.HEAD)))
        await response(scope, receive, send)

    # Out

    def dress(self, message: Message, answer: "Dressed") -> bool:
        """Put what every answer has on the start of one; whether its body is to be compressed if it comes whole."""
        sent: list[tuple[bytes, bytes]] = message["headers"]
        found: Headed = dict(sent)
        headers = [*sent, (b"x-request-id", answer.request_id)]
        if b"cache-control" in found or b"content-security-policy" in found:
            headers += [header for header in EVERY if header[0] not in found]
        else:
            headers += EVERY
        if answer.origin is not None:
            headers += self._cors.headers(answer.origin)
        message["headers"] = headers
        content_type = found.get(b"content-type", b"")
        if content_type.startswith(_EVENT_STREAM):
            answer.is_stream = True
            self.observer.sse_clients += 1
        # Whether the ETag is weak hangs on what was asked for alone: a 304 has the one that a 200 would have had.
        if answer.coding is not None and not found.get(b"etag", b"W/").startswith(b"W/"):
            _replace(headers, b"etag", b"W/" + found[b"etag"])
        if message["status"] == _NOT_MODIFIED:
            headers.append(VARY)
        length = found.get(b"content-length", b"0")
        if int(length) < self.compress_bytes_min or b"content-encoding" in found or not is_compressible(content_type):
            return False
        headers.append(VARY)
        return answer.coding is not None

    async def pack(self, start: Message, message: Message, coding: Coding) -> Message:
        """The whole body compressed, with the headers that say so; as it was if that does not make it smaller."""
        body: bytes = message.get("body", b"")
        if len(body) <= _INLINE_BYTES_MAX:
            packed = compress(body, coding)
        elif self._compressing >= _COMPRESSED_MAX:
            return message
        else:
            packed = await self._pack_on_thread(body, coding)
        if len(packed) >= len(body):
            return message
        _replace(start["headers"], b"content-length", str(len(packed)).encode("ascii"))
        start["headers"].append((b"content-encoding", coding.encode("ascii")))
        return {**message, "body": packed}

    async def _pack_on_thread(self, body: bytes, coding: Coding) -> bytes:
        self._compressing += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, compress, body, coding)
        finally:
            self._compressing -= 1

    def _over(self, answer: "_Answer", scope: Connection) -> None:
        endpoint = scope.get(ENDPOINT)
        route = _NO_ENDPOINT if endpoint is None else endpoint.path
        ended_s = time.perf_counter() if answer.streaming_s is None else answer.streaming_s
        self.observer.answered(route, scope["method"], answer.status, ended_s - answer.started_s)
        if answer.code is not None:
            self.observer.refused(answer.code)
        if answer.is_stream:
            self.observer.sse_clients -= 1


class _Answer(Exchange):
    """An exchange whose answer passes here."""

    __slots__ = ("_edge", "_held", "_send", "coding", "is_stream", "origin", "streaming_s")

    def __init__(self, edge: Edge, send: Send, headers: Headed) -> None:
        super().__init__(request_id(headers.get(b"x-request-id")), time.perf_counter())
        accepts = headers.get(b"accept-encoding")
        self.coding = None if accepts is None else accepted(accepts)
        self.origin = headers.get(b"origin")
        self.is_stream = False
        self.streaming_s: float | None = None  # when its stream began, if it is one
        self._edge = edge
        self._send = send
        self._held: Message | None = None  # the start of an answer whose body decides on its headers

    def send(self, message: Message) -> Awaitable[None]:
        """As ASGI's send; a function that gives what is to be awaited costs less than one that awaits it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._edge.dress(message, self):
                self._held = message
                return _nothing()
            if self.is_stream:
                self.streaming_s = time.perf_counter()
        elif self._held is not None:
            return self._send_both(self._held, message)
        return self._send(message)

    def let_go(self) -> None:
        """Of the connection, which leads back here by its scope: such a ring costs a collection of garbage."""
        self._send = _nobody

    async def _send_both(self, start: Message, message: Message) -> None:
        self._held = None
        if self.coding is not None and not message.get("more_body", False):
            message = await self._edge.pack(start, message, self.coding)
        await self._send(start)
        await self._send(message)


async def _nothing() -> None:
    pass


async def _nobody(_message: Message) -> None:
    raise AssertionError("the exchange is over")


def edge_of(node: Node, application: Counted, config: ServerConfig, address: str) -> Edge:
    """The edge around the application of a node that is served at that address, an IP."""
    return Edge(
        application,
        config,
        address,
        tokens=token_store(node.log.folder.parent),
        observer=application.metrics,
        positions=lambda is_read: positions(node, read=is_read),
    )


def _replace(headers: list[tuple[bytes, bytes]], name: bytes, value: bytes) -> None:
    """Put another value in place of the one that a header has."""
    for position, header in enumerate(headers):
        if header[0] == name:
            headers[position] = (name, value)
