"""From a request to its endpoint: found by its path, checked, handled, and every error made a problem document.

Owns: which methods a path has.  A path is matched part by part as it was sent,
and each part is decoded afterwards: a subject with a slash in it is one part,
spelled %2F.  Adding endpoints costs a look-up nothing.

Source: docs/http.md.
"""

from collections.abc import Callable, Sequence
from http import HTTPMethod, HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Send
from starlette.types import Scope as Connection

from episteme.errors import MethodNotAllowed, NoSuchPath
from episteme.server.endpoints import Endpoint, Scope
from episteme.server.exchange import PASSED, Elsewhere
from episteme.server.problems import on_error
from episteme.server.wire import parameters

ENDPOINT: Final = "episteme.endpoint"  # under this name the endpoint is in the scope once it is found

Allow = Callable[[Connection, Scope], None]  # raises TokenRequired, InvalidToken or ScopeMissing
Positions = Callable[[bool], dict[str, str]]  # headers; whether those of a read

_PATH_SHOWN_MAX: Final = 200


class _Resource(NamedTuple):
    """A path, in parts, and what it answers."""

    parts: tuple[str, ...]
    endpoints: dict[str, Endpoint]

    @property
    def allow(self) -> str:
        """Its methods, as the Allow header names them."""
        return ", ".join(sorted({*self.endpoints, HTTPMethod.OPTIONS}))

    def match(self, parts: Sequence[str]) -> dict[str, str] | None:
        """What the path's placeholders stand for; None if it is another path."""
        found = {}
        for pattern, part in zip(self.parts, parts, strict=True):
            if pattern.startswith("{"):
                if not part:
                    return None
                found[pattern[1:-1]] = part
            elif pattern != part:
                return None
        return found


class Router:
    """All endpoints of one server, as an ASGI application."""

    def __init__(self, endpoints: Sequence[Endpoint], allow: Allow, positions: Positions) -> None:
        self._allow = allow
        self._positions = positions
        self._fixed: dict[str, _Resource] = {}
        self._patterns: dict[int, list[_Resource]] = {}
        resources: dict[str, _Resource] = {}
        for endpoint in endpoints:
            resource = resources.setdefault(endpoint.path, _Resource(tuple(endpoint.path.split("/")), {}))
            assert endpoint.method not in resource.endpoints, f"{endpoint.method} {endpoint.path} is there twice"
            resource.endpoints[endpoint.method] = endpoint
            if endpoint.method == HTTPMethod.GET:
                resource.endpoints[HTTPMethod.HEAD] = endpoint
        for path, resource in resources.items():
            if "{" in path:
                self._patterns.setdefault(len(resource.parts), []).append(resource)
            else:
                self._fixed[path] = resource

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Answer one request.  Raises: Elsewhere."""
        assert scope["type"] == "http", f"{scope['type']} is not spoken here"
        request = Request(scope, receive)
        try:
            response = await self._handle(request)
        except Elsewhere:
            scope[PASSED] = True
            raise
        except Exception as error:
            response = await on_error(request, error)
        self._place(response, is_read=scope["method"] in (HTTPMethod.GET, HTTPMethod.HEAD))
        await response(scope, receive, send)

    async def _handle(self, request: Request) -> Response:
        scope = request.scope
        resource = self._find(scope)
        if resource is None:
            raise NoSuchPath(f"there is nothing at {scope['path'][:_PATH_SHOWN_MAX]}")
        endpoint = resource.endpoints.get(scope["method"])
        if endpoint is None:
            return await _other_method(request, resource)
        scope[ENDPOINT] = endpoint
        self._allow(scope, endpoint.scope)
        return await endpoint.handle(request, parameters(scope, endpoint.parameters))

    def _find(self, scope: Connection) -> _Resource | None:
        """The resource at the path; what its placeholders stand for is in the scope then."""
        fixed = self._fixed.get(scope["path"])
        if fixed is not None:
            return fixed
        # Bytes that are no UTF-8 become lone surrogates, which no name has.
        sent = scope["raw_path"].decode("latin-1").split("/")
        parts = [unquote(part, errors="surrogateescape") if "%" in part else part for part in sent]
        for resource in self._patterns.get(len(parts), ()):
            found = resource.match(parts)
            if found is not None:
                scope["path_params"] = found
                return resource
        return None

    def _place(self, response: Response, *, is_read: bool) -> None:
        """Every answer says where the log ends, and how far the fold is; refusals too."""
        if all(name != b"episteme-seq" for name, _ in response.raw_headers):
            response.headers.update(self._positions(is_read))


async def _other_method(request: Request, resource: _Resource) -> Response:
    """A method that the path does not have, or the question which it has."""
    headers = {"Allow": resource.allow}
    if request.method == HTTPMethod.OPTIONS:
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
    response = await on_error(request, MethodNotAllowed(f"{request.method} is not answered here"))
    response.headers.update(headers)
    return response
