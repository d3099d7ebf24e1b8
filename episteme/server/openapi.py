"""The OpenAPI 3.1 document, made of the endpoints' descriptions and the shapes of what is sent.

Nothing of the API is written down here: a path, a parameter, a status or a
field that is not in a description or a type is not in the document.

Source: OpenAPI Specification 3.1.1; docs/http.md, "The document".
"""

import re
from collections.abc import Iterable, Sequence
from http import HTTPMethod, HTTPStatus
from inspect import cleandoc
from itertools import groupby
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

import msgspec

from episteme.described import QUESTION, Parameter
from episteme.errors import PROBLEMS
from episteme.server import examples
from episteme.server.endpoints import JSON, NDJSON, Body, Endpoint, Link, Reply, in_path
from episteme.server.problems import MEDIA_TYPE, Problem

Json = dict[str, Any]

_TITLE: Final = "Episteme"
_SUMMARY: Final = "A database for claims that disagree."
_DESCRIPTION: Final = (
    "Agents write signed claims; readers ask what they come to, and under which rule. Unknown query parameters and "
    "unknown fields are refused. Every answer carries `Episteme-Seq`, the position of the last durable event; reads "
    "add `Episteme-Applied`, the position up to which events are readable. Bodies may be sent and asked for in gzip "
    "and zstd. Errors are problem documents (RFC 9457) with a stable `code`."
)
_SECURITY: Final = "token"
_SCHEMAS: Final = "#/components/schemas/"
_RESPONSES: Final = "#/components/responses/"
_HEADERS: Final = "#/components/headers/"
# Refusals that any endpoint may give, and those that only some may.
_ALWAYS: Final = (
    "malformed-request",
    "unknown-parameter",
    "invalid-token",
    "wrong-host",
    "headers-too-large",
    "overloaded",
)
_FAULTS: Final = ("internal", "damaged")
_WITH_TOKEN: Final = ("token-required", "scope-missing")
_WITH_PATH: Final = ("no-such-path", "invalid-parameter")
_TAGS: Final = {
    "writes": "Signed events in.",
    "questions": "What a pair's claims come to.",
    "lists": "Lists and records of what is known.",
    "log": "Every event, in order.",
    "audit": "Who asked what, and what they were told.",
    "health": "How the server is.",
    "admin": "For those who keep the database; always with a token.",
}
_TAG_BY_START: Final = (
    ("/v1/admin", "admin"),
    ("/v1/audit", "audit"),
    ("/v1/log", "log"),
    ("/v1/query", "questions"),
    ("/v1/compare", "questions"),
    ("/v1/skeptic", "questions"),
    ("/v1/layered", "questions"),
    ("/v1/constraints", "questions"),
    ("/v1/status", "health"),
    ("/v1/", "lists"),
)
_HEADER_SCHEMAS: Final[Json] = {
    "Episteme-Seq": {
        "description": "The position of the last durable event; -1: there is none.",
        "schema": {"type": "integer", "minimum": -1},
        "required": True,
    },
    "Episteme-Applied": {
        "description": "The position up to which events are folded, and so readable.",
        "schema": {"type": "integer", "minimum": -1},
        "required": True,
    },
    "ETag": {
        "description": "Send it as `If-None-Match`: as long as nothing else is said, the answer is 304.",
        "schema": {"type": "string", "pattern": '^(W/)?"[^"]+"$'},
        "required": True,
    },
    "RateLimit-Limit": {
        "description": "Tokens an hour, where they are counted.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "RateLimit-Remaining": {
        "description": "Tokens left in this hour, where they are counted.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "RateLimit-Reset": {
        "description": "Seconds until the next hour, where tokens are counted.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "X-Request-Id": {
        "description": "The id of this request: the one that was sent, else a new one; the server's log has it.",
        "schema": {"type": "string"},
    },
    "Retry-After": {"description": "When to come back, in seconds.", "schema": {"type": "integer", "minimum": 0}},
}
_BUDGET: Final = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_EMPTY: Final = 204, 304


def document(endpoints: Sequence[Endpoint], version: str) -> Json:
    """The whole document."""
    shapes = list(dict.fromkeys([Problem, *(shape for one in endpoints for shape in _shapes_of(one))]))
    references, components = msgspec.json.schema_components(shapes, ref_template=f"{_SCHEMAS}{{name}}")
    schemas = dict(zip(shapes, map(_tidy, references), strict=True))
    writer = _Writer(schemas)
    ordered = sorted(endpoints, key=lambda one: one.path)
    paths = {
        path: {one.method.lower(): writer.operation(one) for one in group}
        for path, group in groupby(ordered, key=lambda one: one.path)
    }
    return {
        "openapi": "3.1.1",
        "info": {
            "title": _TITLE,
            "version": version,
            "summary": _SUMMARY,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": [{"name": name, "description": what} for name, what in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": {_pretty(name): _tidy(schema) for name, schema in sorted(components.items())},
            "responses": dict(sorted(writer.refusals.items())),
            "headers": _HEADER_SCHEMAS,
            "securitySchemes": {
                _SECURITY: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token, made with `episteme token create`; scopes: read, write, admin.",
                }
            },
        },
    }


class _Writer:
    """Writes operations; schemas: by shape.  refusals: those that operations refer to, by name."""

    def __init__(self, schemas: dict[Any, Json]) -> None:
        self._schemas = schemas
        self.refusals: Json = {}

    def operation(self, endpoint: Endpoint) -> Json:
        told: Json = {
            "operationId": _operation_id(endpoint.method, endpoint.path),
            "summary": endpoint.summary,
            "tags": [_tag_of(endpoint)],
            "security": _security_of(endpoint),
            "parameters": [
                *(_parameter(endpoint, name, "path") for name in in_path(endpoint.path)),
                *(_parameter(endpoint, name, "query") for name in endpoint.parameters),
            ],
            "responses": self._responses(endpoint),
        }
        if endpoint.body is not None:
            told["requestBody"] = {
                "required": endpoint.body.media_type == JSON,
                "content": {endpoint.body.media_type: self._content(endpoint.body, examples.of(endpoint))},
            }
        return told

    def _responses(self, endpoint: Endpoint) -> Json:
        """By status: the good ones, then the refusals."""
        found: Json = {}
        for status, replies in _by_status(endpoint.replies):
            found[str(int(status))] = self._good(endpoint, status, replies)
        if endpoint.revalidated:
            found["304"] = {
                "description": "Nothing else is to be said than under the ETag that was sent as `If-None-Match`.",
                "headers": _headers(endpoint, "ETag"),
            }
        for status, codes in _codes_by_status(endpoint):
            refusal = self._refusal(codes)
            if str(status) in found:  # readyz says why in a body of its own
                found[str(status)]["content"].update(refusal["content"])
                found[str(status)]["description"] += f" Or: {refusal['description']}"
            else:
                name = f"{status}-{'-'.join(codes)}"
                self.refusals[name] = refusal
                found[str(status)] = {"$ref": f"{_RESPONSES}{name}"}
        return found

    def _good(self, endpoint: Endpoint, status: int, replies: Sequence[Reply]) -> Json:
        told: Json = {
            "description": " Or: ".join(reply.what for reply in replies),
            "headers": _headers(endpoint, *(["ETag"] if endpoint.revalidated else []), *_budget(endpoint)),
        }
        for name, what in [one for reply in replies for one in reply.headers.items()]:
            told["headers"][name] = {"description": what, "schema": {"type": "string"}}
        if links := [link for reply in replies for link in reply.links]:
            told["links"] = {_operation_id(HTTPMethod.GET, link.path): _link(link) for link in links}
        if status not in _EMPTY:
            told["content"] = {reply.media_type: self._content(reply) for reply in replies if reply.shape is not None}
        return told

    def _content(self, sent: Body | Reply, example: Any = None) -> Json:
        schema = self._any_of(sent.shape)
        if sent.media_type != JSON:
            each = {"description": "One of these a line." if sent.media_type == NDJSON else "Of these."}
            lines = {} if schema == {"type": "string"} else {"x-line": {**each, **schema}}
            schema = {"contentMediaType": sent.media_type, **lines} if lines else {"type": "string"}
        return {"schema": schema} if example is None else {"schema": schema, "example": example}

    def _any_of(self, shape: Any) -> Json:
        schemas = [self._schemas[part] for part in _parts(shape)]
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}

    def _refusal(self, codes: Sequence[str]) -> Json:
        schema = {"allOf": [self._schemas[Problem], {"properties": {"code": {"enum": list(codes)}}}]}
        may_retry = any(PROBLEMS[code].status in _RETRIED for code in codes)
        return {
            "description": "; ".join(f"`{code}`: {_what(code)}" for code in codes),
            "headers": {"Retry-After": {"$ref": f"{_HEADERS}Retry-After"}} if may_retry else {},
            "content": {MEDIA_TYPE: {"schema": schema}},
        }


_RETRIED: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def described(endpoint: Endpoint, name: str) -> Parameter:
    """What a parameter of an endpoint means.  Raises: KeyError if nobody says so."""
    return endpoint.described.get(name) or QUESTION[name]


def _parameter(endpoint: Endpoint, name: str, place: str) -> Json:
    one = described(endpoint, name)
    required = place == "path" or name in endpoint.required
    told: Json = {"name": name, "in": place, "required": required, "description": one.what, "schema": one.schema}
    if one.schema["type"] == "array":
        told |= {"style": "form", "explode": False}
    # A query without a predicate is the exception, though it need not have one under every lens.
    example = examples.of_parameter(endpoint, name)
    if (required or (name == "predicate" and "subject" in endpoint.required)) and example is not None:
        told["example"] = example
    return told


def _by_status(replies: Sequence[Reply]) -> list[tuple[int, list[Reply]]]:
    found: dict[int, list[Reply]] = {}
    for reply in replies:
        found.setdefault(reply.status, []).append(reply)
    return sorted(found.items())


def _codes_by_status(endpoint: Endpoint) -> list[tuple[int, list[str]]]:
    codes = {*endpoint.codes, *_ALWAYS, *_FAULTS}
    if endpoint.scope != "open":
        codes.update(_WITH_TOKEN)
    if in_path(endpoint.path):
        codes.update(_WITH_PATH)
    if endpoint.parameters:
        codes.add("invalid-parameter")
    if endpoint.method != HTTPMethod.GET:
        codes.add("wrong-origin")
    found: dict[int, list[str]] = {}
    for code in sorted(codes):
        found.setdefault(PROBLEMS[code].status, []).append(code)
    return sorted(found.items())


def _headers(endpoint: Endpoint, *more: str) -> Json:
    reads = ["Episteme-Applied"] if endpoint.method == HTTPMethod.GET else []
    return {name: {"$ref": f"{_HEADERS}{name}"} for name in ("Episteme-Seq", *reads, "X-Request-Id", *more)}


def _budget(endpoint: Endpoint) -> Sequence[str]:
    """The headers that tell whoever pays what is left."""
    return _BUDGET if "quota-exceeded" in endpoint.codes else ()


def _security_of(endpoint: Endpoint) -> list[Json]:
    """Whether a token is needed: for admin always, else where the server asks for one."""
    if endpoint.scope == "open":
        return []
    needed = {_SECURITY: [endpoint.scope]}
    return [needed] if endpoint.scope == "admin" else [{}, needed]


def _shapes_of(endpoint: Endpoint) -> Iterable[Any]:
    shapes = [reply.shape for reply in endpoint.replies if reply.shape is not None]
    if endpoint.body is not None:
        shapes.append(endpoint.body.shape)
    return [part for shape in shapes for part in _parts(shape)]


def _parts(shape: Any) -> Sequence[Any]:
    """The members of a union of structs that tell themselves apart by their fields."""
    return get_args(shape) if get_origin(shape) in (Union, UnionType) else (shape,)


def _link(link: Link) -> Json:
    fields = {name: f"$response.body#/{field}" for name, field in link.fields.items()}
    return {"operationId": _operation_id(HTTPMethod.GET, link.path), "parameters": fields}


def _operation_id(method: str, path: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", path.removeprefix("/v1"))
    return method.lower() + "".join(word.capitalize() for word in words)


def _tag_of(endpoint: Endpoint) -> str:
    if endpoint.scope == "write":
        return "writes"
    if endpoint.path.endswith("/history"):
        return "questions"
    return next((tag for start, tag in _TAG_BY_START if endpoint.path.startswith(start)), "health")


def _what(code: str) -> str:
    """The first sentence of what its class says of it."""
    text = cleandoc(PROBLEMS[code].exception.__doc__ or "")
    return text.partition("\n")[0].rstrip(".")


def _tidy(schema: Any) -> Any:
    """The same in the words of JSON Schema: the end of a pattern is $, a description is not indented."""
    if isinstance(schema, list):
        return [_tidy(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    tidied = {name: _tidy(value) for name, value in schema.items()}
    if isinstance(pattern := tidied.get("pattern"), str):
        tidied["pattern"] = pattern.removesuffix(r"\Z") + "$" if pattern.endswith(r"\Z") else pattern
    if isinstance(text := tidied.get("description"), str):
        tidied["description"] = cleandoc(text)
    if isinstance(reference := tidied.get("$ref"), str):
        tidied["$ref"] = _SCHEMAS + _pretty(reference.removeprefix(_SCHEMAS))
    if "mapping" in tidied:
        tidied["mapping"] = {
            name: _SCHEMAS + _pretty(reference.removeprefix(_SCHEMAS)) for name, reference in tidied["mapping"].items()
        }
    return tidied


def _pretty(name: str) -> str:
    """A component's name: Page_Item_ is PageOfItem."""
    match = re.fullmatch(r"([A-Z]\w*?)_(\w+)_", name)
    return name if match is None else f"{match[1].removesuffix('Of')}Of{match[2][0].upper()}{match[2][1:]}"
