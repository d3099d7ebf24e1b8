"""What both clients share of httpx2: how a request is put to it, and what its errors mean."""

import ssl
from collections.abc import Mapping
from typing import Any, Final

import httpx2

from episteme.client.address import Address
from episteme.client.retrying import Lost
from episteme.client.wire import Request, Response
from episteme.errors import Internal

_UNSENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


def trust_of(address: Address, given: ssl.SSLContext | None) -> ssl.SSLContext | bool:
    """Whose certificates are believed; for an address without TLS nobody's, as reading the roots takes 30 ms."""
    if given is not None:
        return given
    return True if address.is_encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def arguments(request: Request, *, connect_s: float, silence_s: float) -> dict[str, Any]:
    """A request as httpx2 takes it."""
    return {
        "method": request.method,
        "url": request.path,
        "params": dict(request.params),
        "content": request.body,
        "headers": dict(request.headers),
        "timeout": httpx2.Timeout(silence_s, connect=min(connect_s, silence_s)),
    }


def lost(error: httpx2.RequestError | TimeoutError, url: str) -> Lost:
    """What an error of the network means: no answer."""
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        told = f"{url} does not answer in time"
    else:
        told = f"{url} does not answer"
    said = str(error) or type(error).__name__
    return Lost(f"{told}: {said}", error, sent=not isinstance(error, _UNSENT))


def whole(response: httpx2.Response, chunks: list[bytes]) -> Response:
    """The answer, with its body decoded."""
    return Response(response.status_code, head_of(response), b"".join(chunks))


def head_of(response: httpx2.Response) -> Mapping[str, str]:
    """The headers, by lower-case name."""
    return {name.lower(): value for name, value in response.headers.items()}


def check_size(size: int, bytes_max: int) -> None:
    """Refuse an answer that would fill the memory.  Raises: Internal."""
    if size > bytes_max:
        raise Internal(f"the answer has more than {bytes_max} bytes, decoded")
