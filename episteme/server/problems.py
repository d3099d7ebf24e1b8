"""Problem documents (RFC 9457): the one place where an error becomes a status and a body."""

import logging
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from episteme.errors import (
    PROBLEMS,
    Damaged,
    EpistemeError,
    FieldProblem,
    Internal,
    MethodNotAllowed,
    NoSuchPath,
    QuotaExceeded,
    public_detail,
    translate,
)

MEDIA_TYPE = "application/problem+json"
_LOGGER = logging.getLogger("episteme.server")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body; type is a reference into docs/http.md."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str
    errors: tuple[FieldProblem, ...]


def problem_of(error: EpistemeError) -> Problem:
    """What the client is told."""
    row = PROBLEMS[error.code]
    return Problem(
        type=f"/problems/{error.code}",
        title=row.title,
        status=row.status,
        detail=public_detail(error),
        code=error.code,
        hint=row.hint,
        errors=error.errors,
    )


def problem_response(error: EpistemeError, headers: dict[str, str] | None = None) -> Response:
    """The response for an error."""
    headers = dict(headers or {})
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, QuotaExceeded):
        headers.update(rate_limit(error.limit, error.remaining, error.retry_after_s or 0))
    problem = problem_of(error)
    return Response(msgspec.json.encode(problem), problem.status, headers, MEDIA_TYPE)


def rate_limit(limit: int, remaining: int, reset_s: int) -> dict[str, str]:
    """The headers that tell a signer how many tokens it has an hour, what is left, and until when."""
    return {
        "RateLimit-Limit": str(limit),
        "RateLimit-Remaining": str(remaining),
        "RateLimit-Reset": str(reset_s),
    }


async def on_error(request: Request, error: Exception) -> Response:
    """Any error of a handler; one that is the server's fault is logged with all of it, the client told none of that."""
    translated = translate(error)
    if PROBLEMS[translated.code].status >= HTTPStatus.INTERNAL_SERVER_ERROR and translated.retry_after_s is None:
        # The log and the fold have told of their own failures, with all of it, when they stopped.
        unexpected = error if isinstance(translated, Internal | Damaged) else None
        _LOGGER.error("%s %s: %s", request.method, request.url.path, translated.code, exc_info=unexpected)
    return problem_response(translated)


async def on_http(request: Request, error: Exception) -> Response:
    """What the router refuses: an unknown path, or a method that the path does not have."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        refusal: EpistemeError = MethodNotAllowed(f"{request.method} is not answered here")
    else:
        refusal = NoSuchPath(f"there is nothing at {request.url.path[:200]}")
    return problem_response(refusal, dict(error.headers or {}))
