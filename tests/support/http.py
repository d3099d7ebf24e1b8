"""HTTP as a stranger would speak it: http.client, one connection a request, no client of ours in between."""

import http.client
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

TIMEOUT_S = 20.0


class Reply(NamedTuple):
    """A status, headers by lower-case name, and a body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """The values of a body of JSON lines."""
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def log_seq(self) -> int:
        return int(self.headers["episteme-seq"])


def connect(url: str) -> http.client.HTTPConnection:
    """A connection that the caller closes."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """One request on an open connection; a body that is not bytes goes out chunked."""
    chunked = body is not None and not isinstance(body, bytes)
    connection.request(method, path, body, dict(headers or {}), encode_chunked=chunked)
    response = connection.getresponse()
    names = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, names, response.read())


def call(
    url: str,
    method: str,
    path: str,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """One request on a connection of its own."""
    connection = connect(url)
    try:
        return exchange(connection, method, path, body, headers)
    finally:
        connection.close()


def log_seq(url: str) -> int:
    """The log's last durable position, as a server tells it."""
    return call(url, "GET", "/livez").log_seq
