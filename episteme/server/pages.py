"""The OpenAPI document, and a page to read it and to try it with: all from this process, nothing from elsewhere.

The page is Swagger UI, kept with its licence under assets/.  Its content
security policy lets it load and ask nothing but this server, and run nothing
but the files that are named here.

Source: docs/http.md, "The document".
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.metadata import version
from importlib.resources import files
from typing import Final, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from episteme.described import one_of
from episteme.errors import NotFound
from episteme.node import Node
from episteme.server.endpoints import JSON, Endpoint, Reply
from episteme.server.openapi import document
from episteme.server.tags import tagged, weak_tag

# Nothing that stands in the page itself runs or styles; Swagger UI draws its signs as data: images.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ASSETS: Final = files("episteme.server") / "assets"
_HTML: Final = "text/html"
_TEXT: Final = "text/plain"
_PAGE: Final = "docs/index.html"
_MEDIA_TYPES: Final = {
    "start.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-bundle.js.LICENSE.txt": _TEXT,
    "LICENSE": _TEXT,
    "NOTICE": _TEXT,
}


class _File(NamedTuple):
    body: bytes
    etag: str
    media_type: str


class Pages:
    """The document and the page of one server."""

    def __init__(self, node: Node, endpoints: Callable[[], Sequence[Endpoint]]) -> None:
        """endpoints: all that are to be told of; called at the first request for the document."""
        self._node = node
        self._endpoints = endpoints
        self._read: dict[str, _File] = {}

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        return [
            Endpoint(
                path="/openapi.json",
                handle=self.openapi,
                summary="Show this document.",
                replies=(Reply(dict, "OpenAPI 3.1."),),
                scope="open",
                revalidated=True,
            ),
            Endpoint(
                path="/docs",
                handle=self.page,
                summary="Show this document as a page, to try it with.",
                replies=(Reply(str, "The page.", media_type=_HTML),),
                scope="open",
                revalidated=True,
            ),
            Endpoint(
                path="/docs/{file}",
                handle=self.file,
                summary="Load a file of that page.",
                replies=tuple(Reply(str, "The file.", media_type=one) for one in sorted(set(_MEDIA_TYPES.values()))),
                scope="open",
                codes=("not-found",),
                described={"file": one_of(sorted(_MEDIA_TYPES), "Its name.")},
                revalidated=True,
            ),
        ]

    async def openapi(self, request: Request, _found: dict[str, str]) -> Response:
        """The document."""
        one = self._document
        return tagged(self._node, request, one.body, one.etag, media_type=one.media_type)

    async def page(self, request: Request, _found: dict[str, str]) -> Response:
        """The page."""
        return self._sent(request, _PAGE, _HTML)

    async def file(self, request: Request, _found: dict[str, str]) -> Response:
        """A file that the page loads, or the licence of one."""
        name = request.path_params["file"]
        if name not in _MEDIA_TYPES:
            raise NotFound(f"the page has no file {name[:80]!r}")
        folder = "docs" if name == "start.js" else "swagger-ui"
        return self._sent(request, f"{folder}/{name}", _MEDIA_TYPES[name])

    def _sent(self, request: Request, path: str, media_type: str) -> Response:
        one = self._read.get(path)
        if one is None:
            body = _ASSETS.joinpath(path).read_bytes()
            one = self._read[path] = _File(body, weak_tag(body), f"{media_type}; charset=utf-8")
        response = tagged(self._node, request, one.body, one.etag, media_type=one.media_type)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    @cached_property
    def _document(self) -> _File:
        body = msgspec.json.encode(document(self._endpoints(), version("episteme-db")))
        return _File(body, weak_tag(body), JSON)
