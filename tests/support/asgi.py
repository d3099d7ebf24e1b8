"""The ASGI application without a socket: for nodes that only a test can build, such as one on a failing disk."""

import asyncio
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.types import ASGIApp

from episteme.config import ServerConfig
from episteme.node import Node
from episteme.server.app import Application
from episteme.server.edge import edge_of
from tests.support.http import Reply

Message = MutableMapping[str, Any]


def call_node(
    node: Node,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    config: ServerConfig | None = None,
    stalls: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """One request to a node, in a loop of its own; one that stalls never sends the rest of its body."""
    application = Application(node, config or ServerConfig())
    try:
        return asyncio.run(_call(application, method, path, body, stalls, headers or {}))
    finally:
        application.close()


class Edged:
    """A node with its edge: many requests, one after the other, in one loop."""

    def __init__(self, application: Application, edge: ASGIApp, runner: asyncio.Runner) -> None:
        self.application = application
        self._edge = edge
        self._runner = runner

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        host: str = "localhost",
    ) -> Reply:
        """One request, whole."""
        return self._runner.run(_call(self._edge, method, path, body, False, {"Host": host, **(headers or {})}))


@contextmanager
def edged(node: Node, config: ServerConfig = ServerConfig(), address: str = "127.0.0.1") -> Iterator[Edged]:  # noqa: B008
    """The server of a node, as if it listened on that address."""
    application = Application(node, config)
    edge = edge_of(node, application, config, address)
    try:
        with asyncio.Runner() as runner:
            yield Edged(application, edge, runner)
    finally:
        edge.close()
        application.close()


async def _call(
    application: ASGIApp, method: str, path: str, body: bytes, stalls: bool, more: Mapping[str, str]
) -> Reply:
    parts = urlsplit(path)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [
            (b"host", b"test"),
            (b"content-length", str(len(body)).encode()),
            *((name.lower().encode(), value.encode()) for name, value in more.items()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    sent: list[Message] = []

    received = 0

    async def receive() -> Message:
        nonlocal received
        received += 1
        if stalls and received > 1:
            await asyncio.Event().wait()  # the rest of the body never comes
        return {"type": "http.request", "body": body, "more_body": stalls}

    async def send(message: Message) -> None:
        sent.append(message)

    await application(scope, receive, send)
    start, *parts_sent = sent
    names = {name.decode(): value.decode() for name, value in start["headers"]}
    return Reply(start["status"], names, b"".join(part.get("body", b"") for part in parts_sent))
