"""What an endpoint is: the one description that routes, checks, scopes and the OpenAPI document are made from.

Each group of handlers offers `endpoints()`.  A handler gets the request and its
query parameters, which are checked against the description before.

Source: docs/http.md.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPMethod, HTTPStatus
from typing import Any, Final, Literal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from episteme.described import Parameter

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")

Scope = Literal["open", "read", "write", "admin"]  # what a token must allow; open: nobody is asked for one
Handle = Callable[[Request, dict[str, str]], Awaitable[Response]]


class Link(Struct, frozen=True):
    """Where to go on from an answer: a path that is got, and its parameters by the field that each is given."""

    path: str
    fields: dict[str, str]


class Reply(Struct, frozen=True):
    """One status that is no refusal: the shape of its body (None: it has none), what it means, where it leads.

    headers: those of its own, with what each says.  A shape in NDJSON is that of each line.
    """

    shape: Any
    what: str
    status: int = HTTPStatus.OK
    media_type: str = JSON
    links: tuple[Link, ...] = ()
    headers: Mapping[str, str] = {}


class Body(Struct, frozen=True):
    """What a request brings; in NDJSON the shape is that of each line, and there may be none."""

    shape: Any
    media_type: str = JSON


class Endpoint(Struct, frozen=True, kw_only=True):
    """A path and a method.

    parameters, required: of the query string, all of them and those that must be given.
    described: its parameters in path and query, for the OpenAPI document; those of a question need not be among them.
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
    required: tuple[str, ...] = ()
    body: Body | None = None
    codes: tuple[str, ...] = ()
    described: Mapping[str, Parameter] = {}
    revalidated: bool = False


def in_path(path: str) -> list[str]:
    """The names of a path's placeholders, in order."""
    return _PLACEHOLDER.findall(path)
