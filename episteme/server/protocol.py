"""HTTP/1.1 for strangers: uvicorn's protocol, with limits on what a connection may take and how long.

Holds time limits for headers, idle connections and readers that read nothing,
limits for headers, trailers, connections and pipelined requests, and refuses
what could be read in two ways.  A connection is kept for a next request only if
the one before was read whole; else it is closed so that a client that sends all
before it reads still gets its answer.

Nothing that a stranger does makes a log line above debug; it is counted in Connections.

What it touches of uvicorn is listed in tests/server/test_protocol_pins.py.

Source: RFC 9112; docs/security.md, "Denial of service".
"""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from math import inf
from typing import Any, Final

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from episteme.errors import EpistemeError, HeadersTooLarge, MalformedRequest, NotReady, RequestTimeout
from episteme.server.connections import Connections
from episteme.server.ending import BUSY, CLOSING, HEAD, IDLE, LINGERING, EndingProtocol
from episteme.server.problems import problem_response
from episteme.server.threads import GONE

PIPELINED_MAX: Final = 16  # requests read ahead; each holds its headers.  After those the connection is closed
TURNED_AWAY_S: Final = 1.0  # how long a client for which there is no room may take to go
DRAIN_GRACE_S: Final = 0.2  # for a request that crosses with the news that the server stops
DRAIN_HEAD_S: Final = 1.0  # for the rest of headers that have begun to come by then

_FIELD_OVERHEAD_BYTES: Final = 4  # colon, space, end of line
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_WATCHED: Final = frozenset({b"expect", b"host", b"transfer-encoding"})
_LOGGER: Final = logging.getLogger("episteme.server.http")


class _Stop(Exception):
    """In a callback of the parser: read no further on this connection."""


class GuardedProtocol(EndingProtocol):
    """One connection; of a class that guarded() makes for one server."""

    refusal_headers: Callable[[], dict[str, str]]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._header_bytes_max = self._limits.header_bytes_max
        self._address = ""
        self._head_bytes = 0  # received of a head that is not whole
        self._is_big = False  # whether what came last may hold a head over the limit
        self._has_begun = False  # a head that is not whole
        self._hosts = 0
        self._is_chunked = False
        self._bodiless_bytes = 0  # received in a body since its last byte: sizes, extensions and trailers of chunks
        self._keeps = False  # whether the connection may go on after the request that was read last
        self._running: RequestResponseCycle | None = None
        self._last_words: bytes | None = None  # a refusal that waits for the answers to requests before it
        self._is_draining = False

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._enter(IDLE, min(self._limits.header_s_max, self._limits.idle_s_max))
        try:
            self.guards.admit(self, self._address, self.loop)
        except EpistemeError as refusal:
            if self in self.guards.turned_away:
                self._inner.write(refusal_bytes(refusal, self.refusal_headers()))
                self._linger(TURNED_AWAY_S)
            else:
                self.cut("no-room")

    def connection_lost(self, exc: Exception | None) -> None:
        self.guards.leave(self, self._address)
        self._phase = CLOSING
        self.pipeline.clear()
        if self._running is not None:  # which need not be the one that was read last
            _part_from(self._running)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            self._throw_away(len(data))
        elif self._in_body:
            self._receive_body(data)
        else:
            self._head_bytes += len(data)
            self._is_big = self._head_bytes > self._header_bytes_max
            self._parse(data)
            if self._phase is IDLE:
                self._enter(HEAD, self._limits.header_s_max)
            if self._is_big and self._head_bytes > self._header_bytes_max:
                self._refuse(self._headers_too_large())

    def shutdown(self) -> None:
        """The server stops: answer what was taken and what is on its way, then close."""
        self._is_draining = True
        if self._phase is IDLE:
            self.loop.call_later(DRAIN_GRACE_S, self._close_if_idle)
        elif self._phase is BUSY:
            self._keeps = self.cycle.keep_alive = False
        elif self._phase is not CLOSING:  # what is on its way may arrive
            self._linger_until_s = self.loop.time() + DRAIN_HEAD_S
            self._deadline_s = min(self._deadline_s, self._linger_until_s)

    # The parser

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED_MAX or (self._phase is BUSY and not self._keeps):
            self._hang_up_after_answers()
            raise _Stop
        self._has_begun = True
        self._hosts = 0
        self._is_chunked = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in _WATCHED and not self._in_body:
            self._on_watched(name, value)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._check_head(self.parser.get_http_version())
        super().on_headers_complete()
        self.headers = []  # for trailers, which are nobody's to read
        self._head_bytes = 0
        self._has_begun = False
        self._in_body = True
        self._keeps = self.cycle.keep_alive and not self._is_draining
        self.cycle.keep_alive = False  # until the request was read whole
        self._phase = BUSY
        self._deadline_s = inf

    def on_message_complete(self) -> None:
        self._in_body = False
        if not self.cycle.response_started:
            self.cycle.keep_alive = self._keeps
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, but that no timer is set."""
        self.server_state.total_requests += 1
        self._running = None
        if self._is_ending():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._last_words is not None:
            self._inner.write(self._last_words)
            self._linger()
        elif self._is_deaf or self._is_draining:
            self._close()
        elif self._has_begun:
            self._enter(HEAD, self._limits.header_s_max)
        else:
            self._enter(IDLE, self._limits.idle_s_max)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    # What is read

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The request is answered as if it had not asked; what follows it is not HTTP/1.1.
            self._hang_up_after_answers()
        except httptools.HttpParserError as error:
            self._on_parser_error(error)

    def _on_parser_error(self, error: httptools.HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, EpistemeError):
            self._refuse(cause)
        elif not isinstance(cause, _Stop):
            why = "its head cannot be read" if cause is not None else str(error)
            self._refuse(MalformedRequest(f"this is not a request of HTTP/1.1: {why}"))

    def _receive_body(self, data: bytes) -> None:
        cycle, had_bytes = self.cycle, len(self.cycle.body)
        self._is_big = True  # if a head follows, it is measured
        self._parse(data)
        if not self._in_body or self.cycle is not cycle or len(cycle.body) > had_bytes:
            self._bodiless_bytes = 0
            return
        self._bodiless_bytes += len(data)
        if self._bodiless_bytes > self._header_bytes_max:
            self._refuse(self._headers_too_large())

    def _on_watched(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            self._hosts += 1
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        elif value.strip().lower() == b"chunked":
            self._is_chunked = True
        else:
            raise MalformedRequest("the only transfer encoding that is taken is chunked")

    def _check_head(self, version: str) -> None:
        """Refuse a head that is too large, or that another server might read as something else."""
        if self._is_big and head_bytes(self.url, self.headers) > self._header_bytes_max:
            raise self._headers_too_large()
        if version not in _VERSIONS or (self._is_chunked and version == "1.0"):
            raise MalformedRequest("this is not HTTP/1.1, nor a request that HTTP/1.0 has")
        if self._hosts != 1 and (self._hosts or version == "1.1"):
            raise MalformedRequest(f"there are {self._hosts} Host headers; one is needed")
        if self.url[:1] != b"/" or b"#" in self.url:
            raise MalformedRequest("the target of a request is a path here, and no address")

    def _headers_too_large(self) -> HeadersTooLarge:
        return HeadersTooLarge(f"the headers have more than {self._header_bytes_max} bytes")

    # Refusals

    def _refuse(self, refusal: EpistemeError) -> None:
        """Say it after the answers to all requests before, and read no further; the first refusal is the only one."""
        if self._is_deaf:
            return
        self._is_deaf = True
        self.guards.refused[refusal.code] += 1
        _LOGGER.debug("%s: %s", self._address, refusal.detail)
        words = refusal_bytes(refusal, self.refusal_headers())
        if self._in_body and not self._withdraw():
            return
        if self._running is not None:
            self._last_words = words
        else:
            self._inner.write(words)
            self._linger()

    def _withdraw(self) -> bool:
        """Take back the request whose body is at fault; False if its answer has begun, which then is the last."""
        cycle = self.cycle
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
            return True
        if cycle.response_started:
            return False
        _part_from(cycle)
        self._running = None
        return True

    def _hang_up_after_answers(self) -> None:
        self._is_deaf = True
        self.cycle.keep_alive = False

    # Time, and the end

    def look(self, now_s: float) -> None:
        """End what has run out of time."""
        if now_s >= self._stalled_s:
            self._look_at_reader()
        if now_s >= self._deadline_s:
            self._run_out()

    def give_up(self) -> None:
        """The time for answers is over: say so to whoever has none yet, and close."""
        if self._running is None or self._running.response_started:
            self.cut("stopped")
            return
        _part_from(self._running)
        self._say_stopped()

    def _say_stopped(self) -> None:
        self._inner.write(refusal_bytes(NotReady("the server stops", retry_after_s=1), self.refusal_headers()))
        self._finish()

    def _run_out(self) -> None:
        if self._phase is IDLE and self._stalled_s != inf:
            self._enter(IDLE, self._limits.idle_s_max)  # its reader is looked at as long as it has much to take
        elif self._phase is LINGERING or self._inner.get_write_buffer_size():
            self.cut("lingered" if self._phase is LINGERING else "stalled-reader")
        elif self._has_begun:
            limit_s = self._limits.header_s_max
            self._refuse(RequestTimeout(f"the headers were not whole after {limit_s:g} s"))
        else:
            self.guards.closed["idle"] += 1
            self._finish()

    def _close_if_idle(self) -> None:
        if self._phase is IDLE:
            self._finish()


def guarded(guards: Connections, refusal_headers: Callable[[], dict[str, str]]) -> type[GuardedProtocol]:
    """The class of the connections of one server.

    refusal_headers: what every answer says, for those that no application gives.
    """
    return type(
        "GuardedProtocol", (GuardedProtocol,), {"guards": guards, "refusal_headers": staticmethod(refusal_headers)}
    )


def _part_from(cycle: RequestResponseCycle) -> None:
    """Nothing that the application says of this request goes out any more, and it is told."""
    cycle.disconnected = True
    cycle.scope[GONE] = True  # type: ignore[typeddict-unknown-key]
    cycle.message_event.set()


def refusal_bytes(refusal: EpistemeError, headers: dict[str, str]) -> bytes:
    """A whole answer, after which the connection is closed."""
    response = problem_response(refusal, {**headers, "Connection": "close"})
    lines = [b"HTTP/1.1 %d %s" % (response.status_code, HTTPStatus(response.status_code).phrase.encode())]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(response.body)])


def head_bytes(url: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    """The size of a head, but for its first word and its version."""
    return len(url) + sum(len(name) + len(value) + _FIELD_OVERHEAD_BYTES for name, value in headers)
