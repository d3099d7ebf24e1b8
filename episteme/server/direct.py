"""The direct path: requests that come often and in one form are answered where they arrive, without an ASGI task.

Owns: which requests go this way, and what of the edge's work each of them needs.  It only ever succeeds or hands
over: a request that is not plain, or that meets an error before it has changed anything, is left as it was and
goes through the parser, the edge and the router, which say what is wrong.  What is answered is the same, byte for
byte.

Source: docs/http.md, "Every request and every answer".
"""

import asyncio
import re
import time
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

from starlette.responses import Response
from starlette.types import Message

from episteme.errors import ScopeMissing, TokenRequired
from episteme.server.access import bearer
from episteme.server.cors import Headers
from episteme.server.edge import EVERY, VARY, Edge
from episteme.server.endpoints import JSON, Endpoint
from episteme.server.exchange import Exchange, request_id
from episteme.server.heads import Head, Heads
from episteme.server.journal import AccessLog, asked_of
from episteme.server.problems import refusal_of
from episteme.server.room import FREE_BYTES

NOT_MINE: Final = -1  # left as it was
TAKEN: Final = 0

BODY_BYTES_MAX: Final = FREE_BYTES  # a larger body needs room that is counted

_END: Final = b"\r\n\r\n"
_GET: Final = re.compile(rb"GET (/[a-z0-9/]+)\?([A-Za-z0-9._~%+&=,:*/!$'();@-]*) HTTP/1\.1")
_JSON: Final = b"content-type: application/json\r\nx-request-id: "
_CLOSE: Final = b"connection: close\r\n"


class Line(Protocol):
    """The connection that a request came on."""

    @property
    def keeps(self) -> bool:
        """Whether it goes on after the answer."""

    def wait(self) -> None:
        """The answer comes later."""

    def tell(self, answer: bytes) -> None:
        """Send the answer, if there is still somebody to read it, and go on."""


class Hot(Protocol):
    """One of the endpoints that are asked again and again."""

    endpoint: Endpoint
    body_bytes_max: int

    def check_ready(self) -> None:
        """Raises what a request would be refused for whatever its body says."""

    def take(self, turn: "Turn", query: bytes, body: bytes, agent: bytes | None) -> bool:
        """Answer, now or later; False, or anything raised: nothing was done, and somebody else must.

        agent: 32 bytes, that the request's token stands for.
        """


class Door(NamedTuple):
    """A hot endpoint, with what is needed of it for each request: members of an enumeration are slow to compare."""

    hot: Hot
    endpoint: Endpoint
    method: str
    path: str


class Turn(Exchange):
    """One request that is answered directly, and its answer.  Of one event loop."""

    __slots__ = ("_direct", "_line", "coding", "door", "is_stream", "is_waiting", "origin", "query")

    def __init__(self, direct: "Direct", line: Line, door: Door, query: bytes, head: Head) -> None:
        super().__init__(request_id(head.request_id), time.perf_counter())
        self.coding = head.coding
        self.origin: bytes | None = None  # of a web page: those go the long way
        self.is_stream = False
        self.is_waiting = False
        self.query = query
        self.door = door
        self._direct = direct
        self._line = line

    def wait(self) -> None:
        """The answer comes later."""
        self.is_waiting = True
        self._direct.edge.observer.in_flight += 1
        self._line.wait()

    def tell(self, status: int, own: bytes, body: bytes, *, says_cache: bool = False) -> None:
        """Answer in JSON.

        own: lines of headers, as they are sent.  says_cache: whether Cache-Control is among them.
        """
        direct = self._direct
        vary = b""
        if len(body) >= direct.edge.compress_bytes_min:
            if self.coding is not None:
                self._respond(_response_of(status, own, body))
                return
            vary = _VARY
        close = b"" if self._line.keeps else _CLOSE
        every = _EVERY_BUT_CACHE if says_cache else _EVERY
        parts = (
            *(status_line(status), own, b"content-length: %d\r\n" % len(body)),
            *(_JSON, self.request_id, every, vary, close, b"\r\n", body),
        )
        self._end(status, b"".join(parts), len(body))

    def refuse(self, error: Exception) -> None:
        """Answer with a problem document."""
        response = refusal_of(error, self.door.method, self.door.path, self)
        response.headers.update(self._direct.edge.positions(self.door.method == "GET"))
        self._respond(response)

    def _respond(self, response: Response) -> None:
        """Any answer; compressed if it may be."""
        start: Message = {"type": "http.response.start", "status": response.status_code}
        start["headers"] = response.raw_headers
        body = bytes(response.body)
        if not self._direct.edge.dress(start, self):
            self._send(start, body)
            return
        if not self.is_waiting:
            self.wait()
        self._direct.keep(asyncio.ensure_future(self._send_packed(start, body)))

    async def _send_packed(self, start: Message, body: bytes) -> None:
        assert self.coding is not None, "only then it is dressed so"
        message = await self._direct.edge.pack(start, {"type": "http.response.body", "body": body}, self.coding)
        self._send(start, message["body"])

    def _send(self, start: Message, body: bytes) -> None:
        lines = [b"%b: %b\r\n" % header for header in start["headers"]]
        close = b"" if self._line.keeps else _CLOSE
        self._end(start["status"], b"".join((status_line(start["status"]), *lines, close, b"\r\n", body)), len(body))

    def _end(self, status: int, answer: bytes, body_bytes: int) -> None:
        self.status = status
        self._line.tell(answer)
        self._direct.over(self, body_bytes)


class Direct:
    """The hot endpoints of one server.  Of one event loop."""

    def __init__(self, edge: Edge, hot: Sequence[Hot], header_bytes_max: int, journal: AccessLog | None = None) -> None:
        """edge: whose rules hold.  journal: where a line for each request goes, if there is one."""
        self.edge = edge
        self.taken_count = 0  # requests that went this way
        self._header_bytes_max = header_bytes_max
        self._journal = journal
        self._heads = Heads(edge.check_host)
        doors = [Door(one, one.endpoint, str(one.endpoint.method), one.endpoint.path) for one in hot]
        self._posts = {b"POST %b HTTP/1.1" % door.path.encode(): door for door in doors if door.method == "POST"}
        self._gets = {door.path.encode(): door for door in doors if door.method == "GET"}
        self._tasks: set[asyncio.Future[None]] = set()

    def take(self, line: Line, data: bytes) -> int:
        """Answer a request that is whole, and nothing else: TAKEN.  Else NOT_MINE, or how many bytes are missing.

        data: from the first byte of a request.  Bytes are missing only of a body.
        """
        first_end = data.find(b"\r\n")
        head_end = data.find(_END, first_end, self._header_bytes_max)
        if head_end < 0:
            return NOT_MINE
        first = data[:first_end]
        door, query = self._posts.get(first), b""
        if door is None:
            asked = _GET.fullmatch(first)
            if asked is None or (door := self._gets.get(asked[1])) is None:
                return NOT_MINE
            query = asked[2]
        head = self._heads.read(data[first_end + 2 : head_end + 2])
        if head is None or head.body_bytes > door.hot.body_bytes_max:
            return NOT_MINE
        missing = head_end + len(_END) + head.body_bytes - len(data)
        if missing < 0:  # another request is behind it
            return NOT_MINE
        try:
            agent = self._let_in(door, head.authorization)
            if missing:
                door.hot.check_ready()
                return missing
            turn = Turn(self, line, door, query, head)
            if not door.hot.take(turn, query, data[head_end + len(_END) :], agent):
                return NOT_MINE
        except Exception:  # it goes the long way from its beginning, and whoever asked is told there
            return NOT_MINE
        self.taken_count += 1
        return TAKEN

    def keep(self, task: "asyncio.Future[None]") -> None:
        """Hold on to what is at work until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def over(self, turn: Turn, body_bytes: int) -> None:
        """Count an exchange that is over."""
        observer, door = self.edge.observer, turn.door
        seconds = time.perf_counter() - turn.started_s
        if turn.is_waiting:
            observer.in_flight -= 1
        observer.answered(door.path, door.method, turn.status, seconds)
        if turn.code is not None:
            observer.refused(turn.code)
        if self._journal is not None:
            self._journal.say(turn, door.method, asked_of(door.endpoint, turn.query), turn.status, body_bytes, seconds)

    def _let_in(self, door: Door, authorization: bytes | None) -> bytes | None:
        """The agent that the token stands for, if there is one.  Raises: EpistemeError for who may not ask."""
        if authorization is None:
            if self.edge.required:
                raise TokenRequired("there is no token")
            return None
        identity = self.edge.tokens.verify(bearer(authorization))
        if not identity.allows(door.endpoint.scope):
            raise ScopeMissing("the token has not got it")
        return identity.agent


@lru_cache
def status_line(status: int) -> bytes:
    """The first line of an answer."""
    return b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode("ascii"))


def header_lines(headers: dict[str, str]) -> bytes:
    """Headers as they are sent."""
    return b"".join(b"%b: %b\r\n" % (name.lower().encode(), value.encode()) for name, value in headers.items())


def _lines(headers: Headers) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)


def _response_of(status: int, own: bytes, body: bytes) -> Response:
    """The answer that these bytes are, to be dressed like any other."""
    names = [line.partition(": ") for line in own.decode("latin-1").splitlines()]
    return Response(body, status, {name: value for name, _, value in names}, JSON)


# After the value of the request id.
_EVERY: Final = b"\r\n" + _lines(EVERY)
_EVERY_BUT_CACHE: Final = b"\r\n" + _lines(tuple(header for header in EVERY if header[0] != b"cache-control"))
_VARY: Final = _lines((VARY,))
