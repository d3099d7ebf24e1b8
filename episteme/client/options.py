"""What a client is told about its server and about itself, before it sends anything."""

import os
import warnings
from importlib.metadata import version
from typing import Final, Self

from msgspec import Struct

from episteme.client.address import Address, address_of, headers_for, warning_for
from episteme.client.retrying import Patience
from episteme.config import DEFAULT_URL
from episteme.errors import InvalidParameter

# A page of 1,000 assertions, each with its longest texts, has some 100 MiB; nothing else comes near.
ANSWER_BYTES_MAX: Final = 128 * 1024 * 1024
URL_VARIABLE: Final = "EPISTEME_URL"
TOKEN_VARIABLE: Final = "EPISTEME_TOKEN"  # noqa: S105  (its name)


class Setup(Struct, frozen=True):
    """What a client has checked when it is made."""

    address: Address
    headers: dict[str, str]
    patience: Patience
    compress: bool

    @classmethod
    def of(
        cls,
        url: str,
        token: str | None,
        timeout_s: float,
        connect_timeout_s: float,
        read_timeout_s: float,
        attempts: int,
        compress: bool | None,
    ) -> Self:
        """Check all of it; compress: None: not on this machine, where there is no line to save.

        Warns of a token that would go out in the clear.
        Raises: InvalidParameter; InvalidToken.
        """
        if min(timeout_s, connect_timeout_s, read_timeout_s) <= 0 or attempts < 1:
            raise InvalidParameter("a time-out is more than 0 seconds, and a call is sent once at least")
        address = address_of(url)
        compress = not address.is_loopback if compress is None else compress
        headers = headers_for(address, token, compress=compress, version=version("episteme-db"))
        danger = warning_for(address, token)
        if danger is not None:
            warnings.warn(danger, UserWarning, stacklevel=3)
        patience = Patience(timeout_s, connect_timeout_s, read_timeout_s, attempts_max=attempts)
        return cls(address, headers, patience, compress)


def url_from_env() -> str:
    """The server's address: EPISTEME_URL, or this machine."""
    return os.environ.get(URL_VARIABLE) or DEFAULT_URL


def token_from_env() -> str | None:
    """The API token: EPISTEME_TOKEN, or none."""
    return os.environ.get(TOKEN_VARIABLE) or None
