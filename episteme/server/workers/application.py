"""What a worker answers itself and what it passes on.

Itself: writes as long as the owner takes them, questions of one pair, and
whether this process is alive.  While writes are refused, the owner is the one to
say why; what a handler finds to be another's is passed on as if it had not been
looked at.
"""

from http import HTTPMethod
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from episteme.server.exchange import Elsewhere
from episteme.server.queries import LENSES_WITH_PATHS
from episteme.server.workers.front import FrontNode
from episteme.server.writes import ENVELOPE_KINDS

WRITES: Final = frozenset({*ENVELOPE_KINDS, "/v1/ingest"})
READS: Final = frozenset({"/livez", "/v1/query", *(f"/v1/{name}" for name in LENSES_WITH_PATHS)})


class FrontApplication:
    """The ASGI application of a worker."""

    def __init__(self, front: FrontNode, here: ASGIApp, there: ASGIApp) -> None:
        """here: what answers in this process.  there: what has the owner answer."""
        self._front = front
        self._here = here
        self._there = there

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or have it answered."""
        if self._is_ours(scope["method"], scope["path"]):
            try:
                await self._here(scope, receive, send)
                return
            except Elsewhere:
                pass
        await self._there(scope, receive, send)

    def _is_ours(self, method: str, path: str) -> bool:
        if method == HTTPMethod.POST:
            return path in WRITES and self._front.is_writable
        return method == HTTPMethod.GET and path in READS
