"""GET handlers: parse, call the node, render."""

from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from episteme.config import ServerConfig
from episteme.node import Node
from episteme.server.queries import Queries
from episteme.server.wire import answer, await_seq, is_known, parameters, positions


class Reads:
    """The read endpoints of one node."""

    def __init__(self, node: Node, config: ServerConfig) -> None:
        self._node = node
        self._threads = ThreadPoolExecutor(config.read_threads, thread_name_prefix="read")
        self._queries = Queries(node, self._threads)

    def routes(self) -> list[Route]:
        """Every GET route."""
        return [
            *self._queries.routes(),
            Route("/v1/assertions/{hash}", self.assertion, methods=["GET"]),
            Route("/v1/status", self.status, methods=["GET"]),
            Route("/livez", self.livez, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
        ]

    def close(self) -> None:
        """Wait for reads in flight."""
        self._threads.shutdown(wait=True)

    async def assertion(self, request: Request) -> Response:
        """One assertion as it was signed."""
        found = parameters(request.scope, ("min_seq", "wait"))
        await await_seq(self._node, found)
        stored = self._node.get(request.path_params["hash"])
        # The event never changes; signatures may join, so their number is part of the tag.
        etag = f'"{stored.hash}-{len(stored.signatures)}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if is_known(request, etag):
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
