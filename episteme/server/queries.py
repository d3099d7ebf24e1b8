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

from episteme.api import Answer, Comparison, History
from episteme.node import Node
from episteme.parameters import LENS_PARAMETERS, names_in, parse_count, question_of
from episteme.server.endpoints import Endpoint, Reply
from episteme.server.wire import answer, await_seq, is_known, positions, raw_answer

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
_CODES: Final = ("unknown-lens", "as-of-beyond", "too-many-candidates", "not-applied")

Found = TypeVar("Found")
_encode = msgspec.json.Encoder().encode


class Queries:
    """The question endpoints of one node; full reads run on threads."""

    def __init__(self, node: Node, threads: ThreadPoolExecutor) -> None:
        self._node = node
        self._threads = threads

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        return [
            Endpoint(
                path="/v1/query",
                handle=self.query,
                summary="Resolve a pair's claims under a lens.",
                replies=(Reply(Answer, "The answer; winner is null if nobody claimed anything."),),
                parameters=QUERY_PARAMETERS,
                codes=_CODES,
                revalidated=True,
            ),
            *(
                Endpoint(
                    path=f"/v1/{name}",
                    handle=partial(self.query, lens=name),
                    summary=f"Resolve a pair's claims under the lens {name}.",
                    replies=(Reply(Answer, "The answer; winner is null if nobody claimed anything."),),
                    parameters=tuple(parameter for parameter in QUERY_PARAMETERS if parameter != "lens"),
                    codes=_CODES,
                    revalidated=True,
                )
                for name in LENSES_WITH_PATHS
            ),
            Endpoint(
                path="/v1/compare",
                handle=self.compare,
                summary="Resolve a pair's claims under several lenses.",
                replies=(Reply(Comparison, "An answer for each lens, and the claims that answers hang on."),),
                parameters=COMPARE_PARAMETERS,
                codes=_CODES,
            ),
            Endpoint(
                path="/v1/subjects/{subject}/history",
                handle=self.history,
                summary="Show how a pair's answer moved over the log.",
                replies=(Reply(History, "The positions at which it changed, oldest first."),),
                parameters=HISTORY_PARAMETERS,
                codes=_CODES,
            ),
        ]

    async def query(self, request: Request, found: dict[str, str], lens: str | None = None) -> Response:
        """A pair's answer by lens; lens: the one that the path names."""
        question = question_of(found, lens)
        await await_seq(self._node, found)
        told = self._node.ask_view(question)  # a few gets: not worth a thread
        if told is None:
            told = await self._on_thread(partial(self._node.ask, question))
        return self._answer(request, told)

    async def compare(self, _request: Request, found: dict[str, str]) -> Response:
        """Several lenses over one set of claims."""
        question = question_of(found)
        await await_seq(self._node, found)
        lenses = names_in(found, "lenses")
        return answer(self._node, await self._on_thread(partial(self._node.ask_compare, question, lenses)), read=True)

    async def history(self, request: Request, found: dict[str, str]) -> Response:
        """How a pair's answer moved."""
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
