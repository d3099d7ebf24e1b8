"""What an endpoint is: the one description that routes, checks, scopes and the OpenAPI document are made from.

Each group of handlers offers `endpoints()`.  A handler gets the request and its
query parameters, which are checked against the description before.

Source: docs/http.md.
"""

from collections.abc import Awaitable, Callable
from http import HTTPMethod, HTTPStatus
from typing import Any, Final, Literal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from episteme.server.paths import CONVERTOR
from episteme.server.wire import parameters

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

Scope = Literal["open", "read", "write", "admin"]  # what a token must allow; open: nobody is asked for one
Handle = Callable[[Request, dict[str, str]], Awaitable[Response]]


class Reply(Struct, frozen=True):
    """One status that is no refusal: the shape of its body (None: it has none), what it means.

    A shape in NDJSON is that of each line.
    """

    shape: Any
    what: str
    status: int = HTTPStatus.OK
    media_type: str = JSON


class Body(Struct, frozen=True):
    """What a request brings; in NDJSON the shape is that of each line."""

    shape: Any
    media_type: str = JSON


class Endpoint(Struct, frozen=True, kw_only=True):
    """A path and a method.

    summary: one sentence.  replies: the good ones.  codes: the refusals, besides those that any endpoint may give.
    revalidated: answers have an ETag, and 304 is one of them.
    """

    path: str
    handle: Handle
    summary: str
    replies: tuple[Reply, ...]
    method: HTTPMethod = HTTPMethod.GET
    scope: Scope = "read"
    parameters: tuple[str, ...] = ()
    body: Body | None = None
    codes: tuple[str, ...] = ()
    revalidated: bool = False


def route_of(endpoint: Endpoint) -> Route:
    """The route to an endpoint: its parameters are checked, then it is handled."""

    async def checked(request: Request) -> Response:
        return await endpoint.handle(request, parameters(request.scope, endpoint.parameters))

    path = endpoint.path.replace("{subject}", f"{{subject:{CONVERTOR}}}")
    return Route(path, checked, methods=[endpoint.method])
