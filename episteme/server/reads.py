"""GET handlers: parse, call the node, render."""

from http import HTTPStatus
from typing import Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from episteme.api import StoredAssertion
from episteme.config import ServerConfig
from episteme.described import WAIT, digest
from episteme.node import Node
from episteme.server.direct import Hot
from episteme.server.endpoints import Endpoint, Reply
from episteme.server.queries import Queries
from episteme.server.tags import NEVER_KEPT, tagged
from episteme.server.threads import Threads
from episteme.server.wire import answer, await_seq
from episteme.status import Alive, Readiness, StatusReport

_HEADERS: Final = {"Cache-Control": NEVER_KEPT}
_encode = msgspec.json.Encoder().encode


class Reads:
    """The read endpoints of one node."""

    def __init__(self, node: Node, config: ServerConfig) -> None:
        self._node = node
        self._threads = Threads(config.read_threads, config.reads_waiting_max, "read")
        self._queries = Queries(node, self._threads)
        self._draining = False

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        return [
            *self._queries.endpoints(),
            Endpoint(
                path="/v1/assertions/{hash}",
                handle=self.assertion,
                summary="Show one assertion as it was signed.",
                replies=(Reply(StoredAssertion, "The envelope, with its position."),),
                parameters=tuple(WAIT),
                codes=("invalid-parameter", "not-found", "not-applied", "fold-stopped", "not-ready"),
                described={"hash": digest("The assertion."), **WAIT},
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

    def hot(self) -> list[Hot]:
        """What may be answered directly."""
        return self._queries.hot()

    def drain(self) -> None:
        """From now on others should be asked."""
        self._draining = True

    def close(self) -> None:
        """Wait for reads in flight."""
        self._threads.close()

    async def assertion(self, request: Request, found: dict[str, str]) -> Response:
        """One assertion as it was signed."""
        await await_seq(self._node, found)
        stored = self._node.get(request.path_params["hash"])
        # The event never changes; signatures may join, so their number is part of the tag.
        etag = f'"{stored.hash}-{len(stored.signatures)}"'
        return tagged(self._node, request, _encode(stored), etag)

    async def status(self, _request: Request, _found: dict[str, str]) -> Response:
        """Positions, lag, sizes, versions."""
        return answer(self._node, self._node.status(), read=True, headers=_HEADERS)

    async def livez(self, _request: Request, _found: dict[str, str]) -> Response:
        """The process answers."""
        return answer(self._node, Alive(), read=True, headers=_HEADERS)

    async def readyz(self, _request: Request, _found: dict[str, str]) -> Response:
        """Whether writes and reads are taken; 503 with the reasons if not."""
        reasons = [*self._node.reasons_not_ready(), *(["draining: the server is about to stop"] * self._draining)]
        status: Literal["ready", "not-ready"] = "not-ready" if reasons else "ready"
        body = Readiness(status, reasons, self._node.applied_seq, self._node.end_seq)
        status_code = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return answer(self._node, body, status_code, read=True, headers=_HEADERS)
