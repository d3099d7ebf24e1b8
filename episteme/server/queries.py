"""The questions over HTTP: query, compare, history, and the lenses that have a path of their own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from blake3 import blake3
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from episteme.api import Answer
from episteme.node import Node
from episteme.parameters import LENS_PARAMETERS, names_in, parse_count, question_of
from episteme.server.wire import answer, await_seq, is_known, parameters, positions, raw_answer

SEEN_PARAMETERS: Final = (
    "source_class",
    "lifecycle",
    "epoch",
    "include",
    "decay",
    "pack",
    "as_of",
    "valid_at",
    "min_seq",
    "wait",
    "limit",
)
QUERY_PARAMETERS: Final = (
    "subject",
    "predicate",
    "lens",
    *LENS_PARAMETERS,
    *SEEN_PARAMETERS,
    "max_age",
    "explain",
)
COMPARE_PARAMETERS: Final = ("subject", "predicate", "lenses", *LENS_PARAMETERS, *SEEN_PARAMETERS, "explain")
HISTORY_PARAMETERS: Final = (
    "predicate",
    "lens",
    "after",
    *LENS_PARAMETERS,
    *(name for name in SEEN_PARAMETERS if name != "as_of"),
)
LENSES_WITH_PATHS: Final = ("skeptic", "layered", "constraints")
_DIGEST_BYTES: Final = 16

Found = TypeVar("Found")
_encode = msgspec.json.Encoder().encode


class Queries:
    """The question endpoints of one node; full reads run on threads."""

    def __init__(self, node: Node, threads: ThreadPoolExecutor) -> None:
        self._node = node
        self._threads = threads

    def routes(self) -> list[Route]:
        """Every route."""
        return [
            Route("/v1/query", self.query, methods=["GET"]),
            Route("/v1/compare", self.compare, methods=["GET"]),
            Route("/v1/subjects/{subject:encoded}/history", self.history, methods=["GET"]),
            *(Route(f"/v1/{name}", partial(self.query, lens=name), methods=["GET"]) for name in LENSES_WITH_PATHS),
        ]

    async def query(self, request: Request, lens: str | None = None) -> Response:
        """A pair's answer by lens; lens: the one that the path names."""
        allowed = QUERY_PARAMETERS if lens is None else tuple(n for n in QUERY_PARAMETERS if n != "lens")
        found = parameters(request.scope, allowed)
        question = question_of(found, lens)
        await await_seq(self._node, found)
        told = self._node.ask_view(question)  # a few gets: not worth a thread
        if told is None:
            told = await self._on_thread(partial(self._node.ask, question))
        return self._answer(request, told)

    async def compare(self, request: Request) -> Response:
        """Several lenses over one set of claims."""
        found = parameters(request.scope, COMPARE_PARAMETERS)
        question = question_of(found)
        await await_seq(self._node, found)
        lenses = names_in(found, "lenses")
        return answer(self._node, await self._on_thread(partial(self._node.ask_compare, question, lenses)), read=True)

    async def history(self, request: Request) -> Response:
        """How a pair's answer moved."""
        found = parameters(request.scope, HISTORY_PARAMETERS)
        turns = parse_count("limit", found.pop("limit", "100"))
        question = question_of(found | {"subject": request.path_params["subject"]})
        await await_seq(self._node, found)
        after = parse_count("after", found["after"]) if "after" in found else -1
        told = await self._on_thread(partial(self._node.ask_history, question, after, turns))
        return answer(self._node, told, read=True)

    async def _on_thread(self, ask: Callable[[], Found]) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    def _answer(self, request: Request, told: Answer) -> Response:
        etag = etag_of(told)
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if is_known(request, etag):
            headers |= positions(self._node, read=True)
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return raw_answer(self._node, _encode(told), read=True, headers=headers)


def etag_of(told: Answer) -> str:
    """A weak tag: two answers that differ in nothing but their position and their audit are one."""
    content = _encode(msgspec.structs.replace(told, seq=0, audit_id=None))
    return f'W/"{blake3(content).digest(_DIGEST_BYTES).hex()}"'
