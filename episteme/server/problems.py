"""Problem documents (RFC 9457): the one place where an error becomes a status and a body."""

import logging
from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from episteme.errors import (
    PROBLEMS,
    Damaged,
    EpistemeError,
    FieldProblem,
    Internal,
    QuotaExceeded,
    public_detail,
    translate,
)
from episteme.server.access import challenge
from episteme.server.exchange import Exchange, exchange_of

MEDIA_TYPE = "application/problem+json"
_LOGGER = logging.getLogger("episteme.server")
_PATH_LOGGED_MAX = 200


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body; type is a reference into docs/http.md, request_id what the server's log has the rest under."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str
    errors: tuple[FieldProblem, ...]
    request_id: str | None = None


def problem_of(error: EpistemeError, request_id: str | None = None) -> Problem:
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
        request_id=request_id,
    )


def problem_response(
    error: EpistemeError, headers: dict[str, str] | None = None, request_id: str | None = None
) -> Response:
    """The response for an error."""
    headers = {**(headers or {}), **challenge(error)}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, QuotaExceeded):
        headers.update(rate_limit(error.limit, error.remaining, error.retry_after_s or 0))
    problem = problem_of(error, request_id)
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
    path = request.scope["raw_path"][:_PATH_LOGGED_MAX].decode("latin-1")  # as it was sent: nothing unescaped
    return refusal_of(error, request.method, path, exchange_of(request.scope))


def refusal_of(error: Exception, method: str, path: str, exchange: Exchange | None) -> Response:
    """As on_error, for a request that is known by its method, its path and its exchange."""
    translated = translate(error)
    request_id = None if exchange is None else exchange.request_id.decode("ascii")
    if exchange is not None:
        exchange.code = translated.code
    if PROBLEMS[translated.code].status >= HTTPStatus.INTERNAL_SERVER_ERROR and translated.retry_after_s is None:
        # The log and the fold have told of their own failures, with all of it, when they stopped.
        unexpected = error if isinstance(translated, Internal | Damaged) else None
        fields = {"request_id": request_id}
        _LOGGER.error("%s %s: %s", method, path, translated.code, exc_info=unexpected, extra={"fields": fields})
    return problem_response(translated, request_id=request_id)
