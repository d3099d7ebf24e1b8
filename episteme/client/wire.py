"""Requests to be sent and answers that came: what is said to a server, without saying it.  Pure.

Source: docs/http.md.
"""

from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar, cast

import msgspec
from msgspec import Struct

from episteme.errors import (
    PROBLEMS,
    EpistemeError,
    FieldProblem,
    Internal,
    QuotaExceeded,
    Refused,
    Unreachable,
)
from model import FindVoucher

Shape = TypeVar("Shape")

REQUEST_ID: Final = "x-request-id"
_DETAIL_CHARS_MAX: Final = 2000  # of a refusal: a server that says more says it in vain
_RETRY_AFTER_DIGITS_MAX: Final = 6
_GATEWAY: Final = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})


class Request(Struct, frozen=True):
    """One HTTP request to a path of the server; params: its query."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    params: Mapping[str, str] = {}
    body: bytes | None = None
    headers: Mapping[str, str] = {}


class Response(NamedTuple):
    """What came back, whole and decoded; headers by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Incomplete(Exception):
    """The answer ended early, though HTTP took it for whole."""


class Call(Struct, Generic[Shape], frozen=True, kw_only=True):
    """A request with what its answer is read into.

    read: from the body of a good answer; raises Incomplete or Internal.  check: by what bundles vouch for; raises
    VerificationFailed.
    wait_s: for how long the server was asked to hold the answer back.
    repeatable: whether doing it twice is the same as once, so that it is sent again when nobody knows what became
    of it; every write of an event is.
    """

    request: Request
    read: Callable[[Response], Shape]
    check: Callable[[Shape, FindVoucher], None] | None = None
    wait_s: float = 0.0
    repeatable: bool = True


class _Problem(Struct, frozen=True):
    """What is read of a problem document; a server may say more."""

    code: str
    detail: str
    hint: str = ""
    errors: tuple[FieldProblem, ...] = ()
    request_id: str | None = None


def reads(shape: type[Shape]) -> Callable[[Response], Shape]:
    """What reads a JSON body of this shape; fields that it does not have are passed over: a newer server has more."""
    decoder = _decoder(cast("Any", shape))

    def read(response: Response) -> Shape:
        try:
            found: Shape = decoder.decode(response.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Internal(f"the answer is not a {getattr(shape, '__name__', shape)}: {error}") from error
        return found

    return read


@cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)


def is_good(response: Response) -> bool:
    """Whether this answers the request; a redirection does not, for it is not followed."""
    return HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES


def refusal_of(response: Response, path: str) -> EpistemeError:
    """The exception that a problem document names.

    A code that this version does not know becomes a Refused (4xx) or an EpistemeError with that code.
    What is no problem document did not come from a database: Unreachable from a gateway or for a redirection,
    else Internal.
    """
    try:
        problem = msgspec.json.decode(response.body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _not_a_problem(response, path)
    error = _exception_of(problem, response)
    error.request_id = problem.request_id or response.headers.get(REQUEST_ID)
    return error


def _exception_of(problem: _Problem, response: Response) -> EpistemeError:
    row = PROBLEMS.get(problem.code)
    detail, retry_after_s = problem.detail[:_DETAIL_CHARS_MAX], retry_after_of(response)
    if row is not None and row.exception is QuotaExceeded:
        return QuotaExceeded(
            detail,
            errors=problem.errors,
            retry_after_s=retry_after_s,
            limit=_count(response, "ratelimit-limit"),
            remaining=_count(response, "ratelimit-remaining"),
        )
    if row is not None:
        return row.exception(detail, errors=problem.errors, retry_after_s=retry_after_s)
    kind = Refused if response.status < HTTPStatus.INTERNAL_SERVER_ERROR else EpistemeError
    error = kind(detail, errors=problem.errors, retry_after_s=retry_after_s)
    error.code = problem.code[:80]
    error.hint = problem.hint[:_DETAIL_CHARS_MAX]
    return error


def retry_after_of(response: Response) -> int | None:
    """The seconds of a Retry-After; None without one, and for a date, which our server does not send."""
    text = response.headers.get("retry-after", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _RETRY_AFTER_DIGITS_MAX else None


def _not_a_problem(response: Response, path: str) -> EpistemeError:
    told = f"HTTP {response.status} from {path}, and not from a database"
    retry_after_s = retry_after_of(response)
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        return Unreachable(f"{told}: it leads elsewhere, which is not followed; name the address itself")
    if response.status in _GATEWAY or response.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Unreachable(told, retry_after_s=retry_after_s)
    return Internal(told, retry_after_s=retry_after_s)


def _count(response: Response, name: str) -> int:
    text = response.headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
