"""GET handlers: parse, call the node, render."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from episteme.config import ServerConfig
from episteme.errors import FieldProblem, InvalidParameter, NotApplied
from episteme.node import Node
from episteme.parameters import make_question, parse_count, parse_duration_s
from episteme.query import Question
from episteme.server.wire import answer, applied, parameters, positions, wait_of

_QUERY_PARAMETERS = (
    "subject",
    "predicate",
    "lens",
    "source_class",
    "lifecycle",
    "min_seq",
    "wait",
    "max_age",
    "limit",
)


class Reads:
    """The read endpoints of one node."""

    def __init__(self, node: Node, config: ServerConfig) -> None:
        self._node = node
        self._threads = ThreadPoolExecutor(config.read_threads, thread_name_prefix="read")

    def routes(self) -> list[Route]:
        """Every GET route."""
        return [
            Route("/v1/query", self.query, methods=["GET"]),
            Route("/v1/assertions/{hash}", self.assertion, methods=["GET"]),
            Route("/v1/status", self.status, methods=["GET"]),
            Route("/livez", self.livez, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
        ]

    def close(self) -> None:
        """Wait for reads in flight."""
        self._threads.shutdown(wait=True)

    async def query(self, request: Request) -> Response:
        """A pair's answer by lens."""
        found = parameters(request.scope, _QUERY_PARAMETERS)
        question = _question_of(found)
        await self._await_seq(found)
        if question.fits_view:  # one get: not worth a thread
            return answer(self._node, self._node.ask(question), read=True)
        loop = asyncio.get_running_loop()
        return answer(self._node, await loop.run_in_executor(self._threads, self._node.ask, question), read=True)

    async def assertion(self, request: Request) -> Response:
        """One assertion as it was signed."""
        found = parameters(request.scope, ("min_seq", "wait"))
        await self._await_seq(found)
        stored = self._node.get(request.path_params["hash"])
        # The event never changes; signatures may join, so their number is part of the tag.
        etag = f'"{stored.hash}-{len(stored.signatures)}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if etag in known or "*" in known:
            return Response(
                status_code=HTTPStatus.NOT_MODIFIED, headers={**headers, **positions(self._node, read=True)}
            )
        return answer(self._node, stored, read=True, headers=headers)

    async def status(self, request: Request) -> Response:
        """Positions, lag, sizes, versions."""
        parameters(request.scope, ())
        return answer(self._node, self._node.status(), read=True)

    async def livez(self, request: Request) -> Response:
        """The process answers."""
        parameters(request.scope, ())
        return answer(self._node, {"status": "alive"})

    async def readyz(self, request: Request) -> Response:
        """Whether writes and reads are taken; 503 with the reasons if not."""
        parameters(request.scope, ())
        reasons = self._node.reasons_not_ready()
        body = {
            "status": "not-ready" if reasons else "ready",
            "reasons": reasons,
            "applied_seq": self._node.applied_seq,
            "end_seq": self._node.end_seq,
        }
        return answer(self._node, body, HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK, read=True)

    async def _await_seq(self, found: dict[str, str]) -> None:
        wait_s = wait_of(found, self._node)
        if "min_seq" not in found:
            return
        min_seq = parse_count("min_seq", found["min_seq"])
        if self._node.applied_seq >= min_seq:
            return
        if not await applied(self._node, min_seq, self._node.config.read_wait_s if wait_s is None else wait_s):
            detail = f"seq {min_seq} is not applied yet; the fold is at {self._node.applied_seq}"
            raise NotApplied(detail, retry_after_s=1)


def _question_of(found: dict[str, str]) -> Question:
    for name in ("subject", "predicate"):
        if name not in found:
            raise InvalidParameter(f"{name} is missing", errors=(FieldProblem(name, "is missing"),))
    return make_question(
        found["subject"],
        found["predicate"],
        lens=found.get("lens"),
        source_class=_names(found, "source_class"),
        lifecycle=_names(found, "lifecycle"),
        # A view is exact whatever its age, so only an age of 0 changes what is read.
        full="max_age" in found and parse_duration_s("max_age", found["max_age"]) == 0,
        limit=parse_count("limit", found["limit"]) if "limit" in found else None,
    )


def _names(found: dict[str, str], name: str) -> list[str]:
    return found[name].split(",") if name in found else []
