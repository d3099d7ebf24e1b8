"""GET handlers of the log: a page after a position, waiting for one if asked; the tail as a stream."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from episteme.config import ServerConfig
from episteme.described import SEQ_MAX, Parameter, agent, count, duration, one_of, predicate, subject
from episteme.loglines import LogLine, encode_line
from episteme.node import Node
from episteme.server.endpoints import NDJSON, Endpoint, Reply
from episteme.server.places import Places
from episteme.server.stream import EVENT_STREAM, TailResponse, encode_event
from episteme.server.tail import LogTail
from episteme.server.threads import Threads
from episteme.server.wire import raw_answer, wait_of
from episteme.tailing import (
    BEGINNING,
    LINE_KINDS,
    LOOKED_BYTES_MAX,
    LogFilter,
    LogPage,
    check_position,
    read_page,
)

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 1000
_LOOKED_COUNT_MAX: Final = 10_000  # positions that one request looks at: a narrow filter comes again for more
_THREADS: Final = 2  # for pages of tails, which are shared, and as many for scans, which must not stand in their way

_AFTER: Final = count(BEGINNING, SEQ_MAX, "Go on after this position; -1: from the beginning.", BEGINNING)
_LAST_EVENT_ID: Final = "Last-Event-ID"
_FILTERS: Final[Mapping[str, Parameter]] = {
    "subject": subject("Only events about this subject; with a star at its end about all that begin so."),
    "predicate": predicate("Only events about this property."),
    "kind": one_of(LINE_KINDS, "Only lines of this kind."),
    "agent": agent("Only events that this agent signed."),
}
_READ: Final[Mapping[str, Parameter]] = {
    "after": _AFTER,
    "limit": count(1, LIMIT_MAX, "How many lines at most.", LIMIT_DEFAULT),
    "wait": duration("How long to wait for a line if there is none; 30s at most."),
    **_FILTERS,
}
_FOLLOWED: Final[Mapping[str, Parameter]] = {"after": _AFTER, **_FILTERS}
_NEXT: Final = {"Episteme-Next": "The position to go on after: the `after` of the next page."}
_CODES: Final = ("invalid-parameter", "as-of-beyond", "events-gone", "overloaded", "not-ready", "log-failed")


class Logs:
    """The endpoints of one node's log."""

    def __init__(self, node: Node, config: ServerConfig, places: Places) -> None:
        self._node = node
        self._config = config
        self._paging = ThreadPoolExecutor(_THREADS, thread_name_prefix="tail")
        self._scanning = Threads(_THREADS, config.reads_waiting_max, "scan")
        self._tail = LogTail(node.log, self._paging, encode_event, places)

    def endpoints(self) -> list[Endpoint]:
        """Both endpoints."""
        return [
            Endpoint(
                path="/v1/log",
                handle=self._read,
                summary="The log after a position, a line an event; waits for the next one if asked to.",
                replies=(Reply(LogLine, "Lines in order.", 200, NDJSON, headers=_NEXT),),
                parameters=tuple(_READ),
                codes=_CODES,
                described=_READ,
            ),
            Endpoint(
                path="/v1/log/tail",
                handle=self._follow,
                summary="The log after a position, and then what comes, as Server-Sent Events.",
                replies=(Reply(LogLine, "A line an event, without end.", 200, EVENT_STREAM),),
                parameters=tuple(_FOLLOWED),
                codes=_CODES,
                described=_FOLLOWED,
            ),
        ]

    def drain(self) -> None:
        """End streams, and answer those who wait for news with what there is; in the event loop."""
        self._tail.drain()

    def close(self) -> None:
        """Wait for reads in flight."""
        self._tail.close()
        self._paging.shutdown(wait=True)
        self._scanning.close()

    async def _read(self, request: Request, found: dict[str, str]) -> Response:
        asked = _asked(_READ, found)
        after, limit, wanted = asked.get("after", BEGINNING), asked.get("limit", LIMIT_DEFAULT), _filter(asked)
        wait_s = wait_of(found, self._node)
        check_position(self._node.log, after)
        page = await self._page(request, after, wanted, limit)
        if wait_s and not page.lines:
            page = await self._page_in_time(request, page.position, wanted, limit, wait_s)
        headers = {"Episteme-Next": str(page.position), "Cache-Control": "no-store"}
        body = b"".join(encode_line(line) + b"\n" for line in page.lines)
        return raw_answer(self._node, body, read=True, headers=headers, media_type=NDJSON)

    async def _follow(self, request: Request, found: dict[str, str]) -> Response:
        asked = _asked(_FOLLOWED, found)
        last_id = request.headers.get(_LAST_EVENT_ID)  # what a reader that comes again knows best
        after = asked.get("after", BEGINNING) if last_id is None else _AFTER(_LAST_EVENT_ID, last_id)
        check_position(self._node.log, after)
        return TailResponse(self._tail, self._node.database, after, _filter(asked), self._config)

    async def _page_in_time(
        self, request: Request, after: int, wanted: LogFilter, limit: int, wait_s: float
    ) -> LogPage:
        """The first page after a position that is not empty, or what was looked at until the time ran out."""
        page = LogPage([], after)
        give_up_s = time.monotonic() + wait_s
        with self._tail.reading():
            while not page.lines and not self._tail.draining:
                if self._tail.ended and page.position >= self._tail.end_seq:
                    raise self._tail.end_of_log()
                if not await self._tail.wait(page.position, max(0, give_up_s - time.monotonic())):
                    break
                page = await self._page(request, page.position, wanted, limit)
        return page

    async def _page(self, request: Request, after: int, wanted: LogFilter, limit: int) -> LogPage:
        return await self._scanning.run(request.scope, partial(self._scan, after, wanted, limit))

    def _scan(self, after: int, wanted: LogFilter, limit: int) -> LogPage:
        """On a thread: a page of lines, found among so many positions that it keeps nobody waiting."""
        first, log, page = after, self._node.log, LogPage([], after)
        while not page.lines and page.position < log.durable_end - 1 and page.position - first < _LOOKED_COUNT_MAX:
            page = read_page(log, page.position, wanted, count_max=limit, bytes_max=LOOKED_BYTES_MAX)
        return page


def _asked(parameters: Mapping[str, Parameter], found: dict[str, str]) -> dict[str, Any]:
    """What the texts say.  Raises: InvalidParameter."""
    return {name: parameters[name](name, text) for name, text in found.items()}


def _filter(asked: dict[str, Any]) -> LogFilter:
    return LogFilter(*(asked.get(name) for name in _FILTERS))
