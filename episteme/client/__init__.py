"""The Database API over HTTP: Client for callers that wait, AsyncClient for those that await."""

from episteme.client.awaiting import AsyncClient
from episteme.client.blocking import Client

__all__ = ["AsyncClient", "Client"]
