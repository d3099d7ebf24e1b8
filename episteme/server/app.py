"""The ASGI application of one node: routes and error handlers."""

from http import HTTPMethod

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from cortex import CortexError
from episteme.config import ServerConfig
from episteme.errors import EpistemeError
from episteme.node import Node
from episteme.server.endpoints import route_of
from episteme.server.listings import Listings
from episteme.server.paths import as_sent
from episteme.server.problems import on_error, on_http
from episteme.server.reads import Reads
from episteme.server.wire import positions
from episteme.server.writes import ENVELOPE_KINDS, Writes
from stores import StoreError
from wal import LogError

_OUR_ERRORS = (EpistemeError, LogError, StoreError, CortexError, Exception)


class Application:
    """The app, and what must be closed after it."""

    def __init__(self, node: Node, config: ServerConfig) -> None:
        self._node = node
        self._writes = Writes(node, config)
        self._reads = Reads(node, config)
        self._listings = Listings(node, config)
        self.endpoints = [*self._writes.endpoints(), *self._reads.endpoints(), *self._listings.endpoints()]
        self._router = Starlette(
            routes=[route_of(endpoint) for endpoint in self.endpoints],
            exception_handlers={**dict.fromkeys(_OUR_ERRORS, on_error), HTTPException: on_http},
        )
        self._router.router.redirect_slashes = False  # a path is right or it is not

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the most frequent request over at once, all others to the router."""
        if scope["type"] == "http" and scope["method"] == HTTPMethod.POST and scope["path"] in ENVELOPE_KINDS:
            await self._writes.envelope(scope, receive, send)
        else:
            read = scope.get("method") in (HTTPMethod.GET, HTTPMethod.HEAD)
            await self._router(as_sent(scope), receive, self._with_positions(send, read=read))

    def _with_positions(self, send: Send, *, read: bool) -> Send:
        """Every answer says where the log ends, and how far the fold is; refusals too."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in positions(self._node, read=read).items():
                    headers.setdefault(name, value)
            await send(message)

        return sending

    def drain(self) -> None:
        """Answer those who wait for news; in the event loop."""
        self._listings.drain()

    def close(self) -> None:
        """Wait for what still runs on threads."""
        self._writes.close()
        self._reads.close()
        self._listings.close()
