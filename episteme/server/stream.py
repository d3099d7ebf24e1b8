"""One reader of the tail: Server-Sent Events from a position on, for as long as both ends want.

Nothing is read ahead: a page is asked for when the connection has taken the one
before, so a reader that stops costs what its connection's buffer holds.  How
long it may stop is the protocol's business (episteme/server/protocol.py).

Source: WHATWG HTML, "Server-sent events"; docs/http.md, "The log".
"""

import asyncio
import logging
import time
from contextlib import ExitStack
from http import HTTPMethod, HTTPStatus
from typing import Final

import msgspec
from msgspec import Struct
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from episteme.config import ServerConfig
from episteme.errors import PROBLEMS, EpistemeError
from episteme.loglines import LogLine, encode_line
from episteme.server.access import check_still
from episteme.server.problems import problem_of
from episteme.server.tail import LogTail
from episteme.tailing import LogFilter

EVENT_STREAM: Final = "text/event-stream"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back until it has a buffer full of them
}
_BODY_BYTES_MAX: Final = 64 * 1024  # thrown away of what comes with the request
_RETRY_MS: Final = 1000  # after which a reader that lost its connection comes again
_LOGGER = logging.getLogger("episteme.server")


class CaughtUp(Struct, frozen=True):
    """Told once: every event up to seq was sent, and those that follow come as they are written."""

    seq: int
    database: str


def encode_event(line: LogLine) -> bytes:
    """A line as an event without a name: its id is its position."""
    return b"id: %d\ndata: %b\n\n" % (line.seq, encode_line(line))


class TailResponse(Response):
    """A stream that ends when its reader goes, when the log ends, or when the server drains."""

    media_type = EVENT_STREAM

    def __init__(self, tail: LogTail, database: str, after: int, wanted: LogFilter, config: ServerConfig) -> None:
        """Raises: Overloaded if the server has all the readers that it takes."""
        self.status_code = HTTPStatus.OK
        self.background = None
        self.init_headers(_HEADERS)
        self._tail = tail
        self._database = database
        self._position = after
        self._wanted = wanted
        self._idle_s = config.stream_idle_s
        self._written_s = 0.0
        self._checked_s = time.monotonic()
        self._place = ExitStack()
        self._place.enter_context(tail.reading())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end."""
        with self._place:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if scope["method"] == HTTPMethod.HEAD:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            reader = asyncio.create_task(_until_gone(receive))
            writer = asyncio.create_task(self._write_all(scope, send))
            try:
                await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            finally:
                reader.cancel()
                writer.cancel()
                await asyncio.wait((reader, writer))
            if not writer.cancelled():
                writer.result()

    async def _write_all(self, scope: Scope, send: Send) -> None:
        await self._write(send, b"retry: %d\n\n" % _RETRY_MS)
        try:
            await self._write_lines(scope, send)
        except EpistemeError as error:
            await self._write(send, _problem(error))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write_lines(self, scope: Scope, send: Send) -> None:
        """Until the server drains.  Raises: what ends the log; InvalidToken once the reader's token has ended."""
        tail = self._tail
        is_caught_up = False
        while not tail.draining:
            if time.monotonic() >= self._checked_s + self._idle_s:
                self._checked_s = time.monotonic()
                check_still(scope, "read")
            if self._position < tail.end_seq:
                page = await tail.page(self._position, self._wanted)
                self._position = page.position
                if page.data:
                    await self._write(send, page.data)
            elif not is_caught_up:
                is_caught_up = True
                await self._write(send, self._caught_up())
            elif tail.ended:
                raise tail.end_of_log()
            else:
                due_s = min(self._written_s, self._checked_s) + self._idle_s
                await tail.wait(self._position, max(0, due_s - time.monotonic()))
            if time.monotonic() >= self._written_s + self._idle_s:
                # Names the position too: a filter may have passed over many since the last line.
                await self._write(send, b": still here\nid: %d\n\n" % self._position)

    async def _write(self, send: Send, data: bytes) -> None:
        """Returns when the connection can take more."""
        await send({"type": "http.response.body", "body": data, "more_body": True})
        self._written_s = time.monotonic()

    def _caught_up(self) -> bytes:
        told = msgspec.json.encode(CaughtUp(self._position, self._database))
        return b"id: %d\nevent: caught-up\ndata: %b\n\n" % (self._position, told)


async def _until_gone(receive: Receive) -> None:
    """Until the reader goes, or sends more of a body than anybody would who reads."""
    size = 0
    while size <= _BODY_BYTES_MAX and (message := await receive())["type"] != "http.disconnect":
        size += len(message.get("body", b""))


def _problem(error: EpistemeError) -> bytes:
    """The last event of a stream that the server cannot go on with."""
    if PROBLEMS[error.code].status >= HTTPStatus.INTERNAL_SERVER_ERROR and error.retry_after_s is None:
        _LOGGER.error("a tail of the log ends: %s", error.code, exc_info=error if error.code == "damaged" else None)
    return b"event: problem\ndata: %b\n\n" % msgspec.json.encode(problem_of(error))
