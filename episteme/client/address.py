"""Where the server is and how one gets in: its address and the API token, checked before anything is sent.  Pure."""

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from episteme.config import DEFAULT_URL
from episteme.errors import InvalidParameter, InvalidToken

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,512}")
_LOOPBACK: Final = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")

CLEARTEXT: Final = "the API token goes to {} unencrypted: anybody on the way can read it; use https, or a tunnel"


class Address(NamedTuple):
    """A server; url without a slash at its end."""

    url: str
    is_loopback: bool
    is_encrypted: bool


def address_of(url: str) -> Address:
    """The address, taken apart.

    A user name in it is refused, as it would be shown in errors: access is given by tokens.
    Raises: InvalidParameter.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidParameter(f"{url[:200]!r} is not an address: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidParameter(f"{url[:200]!r} is not an address such as {DEFAULT_URL}")
    if "@" in parts.netloc:
        raise InvalidParameter(f"the address of {host} has a user name in it; give a token instead")
    if parts.query or parts.fragment:
        raise InvalidParameter(f"{url[:200]!r} has more than scheme, host, port and path")
    return Address(url.rstrip("/"), bool(_LOOPBACK.fullmatch(host)), parts.scheme == "https")


def headers_for(address: Address, token: str | None, *, compress: bool, version: str) -> dict[str, str]:
    """What every request says.  compress: whether answers may come compressed.

    Raises: InvalidToken for a token that no header can hold; it is not shown.
    """
    headers = {"User-Agent": f"episteme/{version}", "Accept-Encoding": "zstd, gzip" if compress else "identity"}
    if token is not None:
        if not _TOKEN.fullmatch(token):
            raise InvalidToken(f"the token for {address.url} is empty, or has characters that no token has")
        headers["Authorization"] = f"Bearer {token}"
    return headers


def warning_for(address: Address, token: str | None) -> str | None:
    """What to warn of before a token goes out in the clear; loopback stays on the machine."""
    if token is None or address.is_encrypted or address.is_loopback:
        return None
    return CLEARTEXT.format(address.url)
