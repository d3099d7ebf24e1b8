"""GET handlers: parse, call the node, render."""

from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from episteme.api import StoredAssertion
from episteme.config import ServerConfig
from episteme.node import Node
from episteme.server.endpoints import Endpoint, Reply
from episteme.server.queries import Queries
from episteme.server.wire import answer, await_seq, is_known, positions
from episteme.status import Alive, Readiness, StatusReport


class Reads:
    """The read endpoints of one node."""

    def __init__(self, node: Node, config: ServerConfig) -> None:
        self._node = node
        self._threads = ThreadPoolExecutor(config.read_threads, thread_name_prefix="read")
        self._queries = Queries(node, self._threads)

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        return [
            *self._queries.endpoints(),
            Endpoint(
                path="/v1/assertions/{hash}",
                handle=self.assertion,
                summary="Show one assertion as it was signed.",
                replies=(Reply(StoredAssertion, "The envelope, with its position."),),
                parameters=("min_seq", "wait"),
                codes=("not-found", "not-applied"),
                revalidated=True,
            ),
            Endpoint(
                path="/v1/status",
                handle=self.status,
                summary="Tell positions, lag, sizes and versions.",
                replies=(Reply(StatusReport, "How the database is."),),
            ),
            Endpoint(
                path="/livez",
                handle=self.livez,
                summary="Tell that the process answers.",
                replies=(Reply(Alive, "It does."),),
                scope="open",
            ),
            Endpoint(
                path="/readyz",
                handle=self.readyz,
                summary="Tell whether reads and writes are taken.",
                replies=(
                    Reply(Readiness, "They are."),
                    Reply(Readiness, "They are not, with the reasons.", HTTPStatus.SERVICE_UNAVAILABLE),
                ),
                scope="open",
            ),
        ]

    def close(self) -> None:
        """Wait for reads in flight."""
        self._threads.shutdown(wait=True)

    async def assertion(self, request: Request, found: dict[str, str]) -> Response:
        """One assertion as it was signed."""
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

    async def status(self, _request: Request, _found: dict[str, str]) -> Response:
        """Positions, lag, sizes, versions."""
        return answer(self._node, self._node.status(), read=True)

    async def livez(self, _request: Request, _found: dict[str, str]) -> Response:
        """The process answers."""
        return answer(self._node, Alive())

    async def readyz(self, _request: Request, _found: dict[str, str]) -> Response:
        """Whether writes and reads are taken; 503 with the reasons if not."""
        reasons = self._node.reasons_not_ready()
        status: Literal["ready", "not-ready"] = "not-ready" if reasons else "ready"
        body = Readiness(status, reasons, self._node.applied_seq, self._node.end_seq)
        return answer(self._node, body, HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK, read=True)
