"""GET /metrics: the counters of one server, as Prometheus reads them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from episteme.server.endpoints import Endpoint, Reply
from episteme.server.metrics import MEDIA_TYPE, Metrics

PATH: Final = "/metrics"


class Monitoring:
    """The endpoint of one server's metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")

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
        self._thread.shutdown(wait=True)

    async def metrics(self, _request: Request, _found: dict[str, str]) -> Response:
        """All of them."""
        loop = asyncio.get_running_loop()
        return Response(await loop.run_in_executor(self._thread, self._metrics.exposition), media_type=MEDIA_TYPE)
