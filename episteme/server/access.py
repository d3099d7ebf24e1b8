"""Who may ask: the address that is listened on, the host that is named, the token that is sent.

Refuses before a body is read, and before anything is looked up for a stranger.

Source: docs/security.md.
"""

import os
import shlex
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from starlette.types import Scope as Connection

from episteme.config import ServerConfig
from episteme.errors import CannotOpen, EpistemeError, InvalidToken, ScopeMissing, TokenRequired, WrongHost
from episteme.node import system_clock_ms
from episteme.server.endpoints import Scope
from episteme.tokens import TOKENS_FILE, Identity, TokenStore

IDENTITY: Final = "episteme.identity"  # under this name in the scope: Identity | None
REQUIRED: Final = "episteme.tokens-required"  # and whether strangers are refused
RECHECK: Final = "episteme.recheck"  # and, where a token was sent, what tells whose it is now

_REALM: Final = 'Bearer realm="episteme"'
_HOSTS_REMEMBERED: Final = 256
_HOST_BYTES_MAX: Final = 261  # a name of 253, a colon, a port, a dot
_SHOWN_MAX: Final = 80
_BEARER: Final = b"bearer "
_TOKEN_BYTES_MAX: Final = 256  # several times a token: nothing longer is looked at


def token_store(folder: Path) -> TokenStore:
    """The tokens of a data folder, which need not be there."""
    return TokenStore(folder / TOKENS_FILE, clock_ms=system_clock_ms, random_bytes=os.urandom)


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address, an IP of either version."""
    return ip_address(address.partition("%")[0]).is_loopback


def check_address(address: str, folder: Path, config: ServerConfig) -> None:
    """Refuse to listen on an address that others reach, while nobody would be asked for a token.

    address: an IP of either version.  folder: the data folder, which need not be there yet.
    Raises: CannotOpen; KeyProblem if there are tokens that cannot be used.
    """
    tokens = token_store(folder)
    has_tokens = tokens.has_active()
    if is_loopback(address) or config.public or (has_tokens and config.tokens_required is not False):
        return
    why = "its setting tokens_required is off" if has_tokens else "there are no API tokens"
    raise CannotOpen(
        f"{address} is not a loopback address, and {why}: whoever reaches it could read everything and write; "
        f"make a token with `episteme token create ops --data {shlex.quote(str(folder))}`, or say --public if that is "
        "meant",
        hint="Make a token first, or listen on 127.0.0.1, which needs none.",
    )


def tokens_required(config: ServerConfig, address: str) -> bool:
    """Whether everybody who asks at that address needs a token."""
    if config.tokens_required is not None:
        return config.tokens_required
    return not config.public and not is_loopback(address)


def check_scope(connection: Connection, scope: Scope) -> None:
    """Refuse who may not do what needs that scope; admin is never for strangers.

    Raises: TokenRequired; ScopeMissing.
    """
    if scope == "open":
        return
    identity: Identity | None = connection.get(IDENTITY)
    if identity is None:
        if scope == "admin" or connection.get(REQUIRED, False):
            raise TokenRequired(f"this needs an API token with the scope {scope}")
    elif not identity.allows(scope):
        raise ScopeMissing(f"this needs the scope {scope}; the API token {identity.id} has not got it")


def check_still(connection: Connection, scope: Scope) -> None:
    """Refuse who had a token when the request came and has none any more, or not for that scope.

    Raises: InvalidToken; ScopeMissing.
    """
    recheck: Callable[[], Identity] | None = connection.get(RECHECK)
    if recheck is not None:
        connection[IDENTITY] = recheck()
        check_scope(connection, scope)


def agent_of_request(connection: Connection) -> bytes | None:
    """The agent, 32 bytes, that the request's token stands for."""
    identity: Identity | None = connection.get(IDENTITY)
    return None if identity is None else identity.agent


def bearer(value: bytes) -> str:
    """The token in an Authorization header.  Raises: InvalidToken."""
    if value[: len(_BEARER)].lower() != _BEARER or len(value) > _TOKEN_BYTES_MAX:
        raise InvalidToken("Authorization is not `Bearer` and an API token")
    return value[len(_BEARER) :].strip(b" ").decode("latin-1")


def challenge(error: EpistemeError) -> dict[str, str]:
    """What a refusal for want of a token, or of another one, says besides; empty for others.

    Source: RFC 6750, section 3.
    """
    match error:
        case TokenRequired():
            return {"WWW-Authenticate": _REALM}
        case InvalidToken():
            return {"WWW-Authenticate": f'{_REALM}, error="invalid_token"'}
        case ScopeMissing():
            return {"WWW-Authenticate": f'{_REALM}, error="insufficient_scope"'}
    return {}


def host_checker(config: ServerConfig, address: str) -> Callable[[bytes], None]:
    """Refuses a Host that this server does not go by, as when a page of somebody else's name resolves to it.

    On a loopback address loopback names and allowed_hosts pass; on another one allowed_hosts too, or any if there
    are none.  Ports are not looked at.
    """
    allowed = frozenset(name.lower().rstrip(".") for name in config.allowed_hosts)
    takes_any = not allowed and not is_loopback(address)

    @lru_cache(_HOSTS_REMEMBERED)
    def passes(host: bytes) -> bool:
        name = host_name(host)
        return name is not None and (takes_any or name in allowed or _is_loopback_name(name))

    def check(host: bytes) -> None:
        if len(host) > _HOST_BYTES_MAX or not passes(host):
            raise WrongHost(f"this server does not go by the name {host[:_SHOWN_MAX].decode('latin-1')!r}")

    return check


def host_name(host: bytes) -> str | None:
    """The name or the address in a Host header, lower-case, without its port; None for what is neither."""
    try:
        text = host.decode("ascii").lower()
    except UnicodeDecodeError:
        return None
    if text.startswith("["):
        name, closed, port = text[1:].partition("]")
        return name if closed and port[:1] in ("", ":") else None
    return text.partition(":")[0].rstrip(".")


def _is_loopback_name(name: str) -> bool:
    """Names that no name server is asked for."""
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
