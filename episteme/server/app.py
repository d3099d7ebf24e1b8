"""The ASGI application of one node: all groups of endpoints behind one router."""

from starlette.types import Receive, Scope, Send

from episteme.config import ServerConfig
from episteme.node import Node
from episteme.server.access import check_scope, token_store
from episteme.server.admin import Admin
from episteme.server.admin_tokens import AdminTokens
from episteme.server.direct import Hot
from episteme.server.listings import Listings
from episteme.server.logs import Logs
from episteme.server.metrics import Metrics
from episteme.server.monitoring import Monitoring
from episteme.server.pages import Pages
from episteme.server.places import Places
from episteme.server.reads import Reads
from episteme.server.router import Allow, Router
from episteme.server.wire import positions
from episteme.server.writes import Writes


class Application:
    """The app, and what must be closed after it."""

    def __init__(self, node: Node, config: ServerConfig, allow: Allow = check_scope) -> None:
        """allow: called with each request's scope and what its endpoint needs; raises for whom that is refused."""
        folder = node.log.folder.parent
        self.metrics = Metrics(node, folder)
        self._monitoring = Monitoring(self.metrics)
        self._tokens = AdminTokens(node, config, token_store(folder))
        self._writes = Writes(node, config)
        self._reads = Reads(node, config)
        places = Places(config.streams_max)
        self._listings = Listings(node, config, places)
        self._logs = Logs(node, config, places)
        self._admin = Admin(node, config)
        pages = Pages(node, lambda: self.endpoints)
        self.endpoints = [
            *self._writes.endpoints(),
            *self._reads.endpoints(),
            *self._listings.endpoints(),
            *self._logs.endpoints(),
            *self._tokens.endpoints(),
            *self._admin.endpoints(),
            *self._monitoring.endpoints(),
            *pages.endpoints(),
        ]
        self._router = Router(self.endpoints, allow, lambda is_read: positions(node, read=is_read))

    def hot(self) -> list[Hot]:
        """The endpoints that may be answered directly."""
        return [*self._writes.hot(), *self._reads.hot()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._router(scope, receive, send)

    def drain(self) -> None:
        """Answer those who wait for news; in the event loop."""
        self._reads.drain()
        self._listings.drain()
        self._logs.drain()

    def close(self) -> None:
        """Wait for what still runs on threads."""
        self._writes.close()
        self._reads.close()
        self._listings.close()
        self._logs.close()
        self._admin.close()
        self._tokens.close()
        self._monitoring.close()
