"""GET /metrics: the counters of one server, as Prometheus reads them."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from episteme.server.endpoints import Endpoint, Reply
from episteme.server.metrics import MEDIA_TYPE, Metrics
from episteme.server.threads import Threads

PATH: Final = "/metrics"
_WAITING_MAX: Final = 16  # scrapes: there are one or two who ask, every few seconds


class Monitoring:
    """The endpoint of one server's metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._thread = Threads(1, _WAITING_MAX, "metrics")

    def endpoints(self) -> list[Endpoint]:
        """The one endpoint."""
        return [
            Endpoint(
                path=PATH,
                handle=self.metrics,
                summary="Tell counters and gauges, for Prometheus.",
                replies=(Reply(str, "The text format of Prometheus.", 200, MEDIA_TYPE),),
            )
        ]

    def close(self) -> None:
        """Wait for a scrape in flight."""
        self._thread.close()

    async def metrics(self, request: Request, _found: dict[str, str]) -> Response:
        """All of them."""
        return Response(await self._thread.run(request.scope, self._metrics.exposition), media_type=MEDIA_TYPE)
