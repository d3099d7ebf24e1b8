"""The HTTP service of those peers that are databases without one: what a good engineer would write over them.

Starlette on uvicorn with uvloop and httptools, as the bare row and we have them; the paths and the answers are ours.
A store keeps the claims; when a write is answered it is committed, and from then on every question sees it.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.peers.answers import Found, answer
from bench.peers.facts import Fact, read_fact, read_facts
from model import InvalidSignature, ModelError

BACKLOG: Final = 2048
LINES_A_TASK: Final = 250  # of an ingest, verified on a thread: a body of a thousand keeps every core busy
THREADS: Final = len(os.sched_getaffinity(0))

_encode = msgspec.json.encode
_encode_lines = msgspec.json.Encoder().encode_lines


class Kept(NamedTuple):
    """What became of a claim, once it is durable."""

    seq: int
    is_new: bool


class Store(Protocol):
    """A database that keeps claims."""

    async def insert(self, fact: Fact) -> Kept:
        """Keep one claim; on the disk on return."""

    async def insert_many(self, facts: Sequence[Fact]) -> Mapping[bytes, Kept]:
        """Keep many in one transaction; on the disk on return.  What became of each, by its hash."""

    async def groups(self, subject: str, predicate: str) -> list[Found]:
        """The claims of a pair by their value, the winning value first."""


OpenStore = Callable[[], AbstractAsyncContextManager[Store]]


class Service:
    """The endpoints over a store."""

    def __init__(self, open_store: OpenStore, ready: Callable[[], None]) -> None:
        self._open_store = open_store
        self._ready = ready
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="verify")
        self._store: Store

    def app(self) -> Starlette:
        """The application; its store is open while it runs."""
        routes = [
            Route("/v1/assertions", self.post, methods=["POST"]),
            Route("/v1/ingest", self.ingest, methods=["POST"]),
            Route("/v1/query", self.query, methods=["GET"]),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan)

    async def post(self, request: Request) -> Response:
        """One envelope; answered when it is on the disk."""
        try:
            fact = read_fact(await request.body())
        except ModelError as error:
            return _json(_refused(error), 422)
        kept = await self._store.insert(fact)
        return _json(_receipt(fact, kept), 202 if kept.is_new else 200)

    async def ingest(self, request: Request) -> Response:
        """Many envelopes, a line each: verified on threads, kept in one transaction."""
        lines = [line for line in (await request.body()).split(b"\n") if line]
        loop = asyncio.get_running_loop()
        parts = [lines[start : start + LINES_A_TASK] for start in range(0, len(lines), LINES_A_TASK)]
        read = await asyncio.gather(*(loop.run_in_executor(self._threads, read_facts, part) for part in parts))
        facts = [one for part in read for one in part]
        kept = await self._store.insert_many([fact for fact in facts if isinstance(fact, Fact)])
        results = [_receipt(f, kept[f.hash]) if isinstance(f, Fact) else _refused(f) for f in facts]
        return Response(_encode_lines([*results, {"summary": _summary(results)}]), media_type="application/x-ndjson")

    async def query(self, request: Request) -> Response:
        """The answer for a pair, worked out from its claims."""
        asked = request.query_params
        subject, predicate = asked["subject"], asked["predicate"]
        return Response(
            answer(subject, predicate, await self._store.groups(subject, predicate)), media_type="application/json"
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with self._open_store() as self._store:
            self._ready()
            yield
        self._threads.shutdown()


def _receipt(fact: Fact, kept: Kept) -> dict[str, Any]:
    return {"hash": fact.hash.hex(), "seq": kept.seq, "status": "accepted" if kept.is_new else "duplicate"}


def _refused(error: ModelError) -> dict[str, Any]:
    code = "invalid-signature" if isinstance(error, InvalidSignature) else "refused"
    return {"status": "refused", "code": code, "detail": str(error)}


def _summary(results: Sequence[dict[str, Any]]) -> dict[str, int]:
    found = [result["status"] for result in results]
    return {"lines": len(found)} | {status: found.count(status) for status in ("accepted", "duplicate", "refused")}


def _json(body: dict[str, Any], status: int) -> Response:
    return Response(_encode(body), status, media_type="application/json")


def serve(open_store: OpenStore, processes: int = 1) -> None:
    """Run as many processes on one port of loopback until SIGTERM; where they listen is said on standard error."""
    # uvicorn raises the signal that ended it once more; what is below must still end the others.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    listeners = _listeners(processes)
    address = f"http://127.0.0.1:{listeners[0].getsockname()[1]}"
    with _forked([partial(_run, listener, open_store, lambda: None) for listener in listeners[1:]]):
        _run(listeners[0], open_store, lambda: print(f"listening on {address}", file=sys.stderr, flush=True))


def _listeners(count: int) -> list[socket.socket]:
    """Sockets of one port, among which the system divides the connections."""
    listeners: list[socket.socket] = []
    for _ in range(count):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", listeners[0].getsockname()[1] if listeners else 0))
        listener.listen(BACKLOG)
        listeners.append(listener)
    return listeners


@contextmanager
def _forked(works: Sequence[Callable[[], None]]) -> Iterator[None]:
    """Each in a process of its own, all ended by their pids."""
    pids = [_fork(work) for work in works]
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)


def _fork(work: Callable[[], None]) -> int:
    if pid := os.fork():
        return pid
    try:
        work()
    finally:
        os._exit(0)


def _run(listener: socket.socket, open_store: OpenStore, ready: Callable[[], None]) -> None:
    app = Service(open_store, ready).app()
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="none", access_log=False, log_level="warning", server_header=False
    )
    uvicorn.Server(config).run(sockets=[listener])
