"""Over HTTP what `episteme token` does in the folder: make, list and end API tokens; for admins.

Source: docs/security.md, "Tokens".
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPMethod, HTTPStatus
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from episteme.config import ServerConfig
from episteme.described import text
from episteme.errors import FieldProblem, InvalidField, Malformed, NotReady
from episteme.node import Node
from episteme.parameters import parse_agent
from episteme.server.endpoints import Body, Endpoint, Reply
from episteme.server.wire import answer, read_body
from episteme.tokens import EXPIRES_S_MAX, LABEL_CHARS_MAX, NewToken, TokenRecord, TokenScope, TokenStore

_BODY_BYTES_MAX: Final = 4096
_CODES: Final = ("malformed", "invalid-field", "invalid-parameter", "too-large", "unsupported-media", "request-timeout")

Told = TypeVar("Told")


class TokenWanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new token is to be.

    agent: hex or did:key, whom answers are audited for and queries are charged to.  expires_s: seconds from now; null:
    it is good until it is revoked.
    """

    label: Annotated[str, Meta(min_length=1, max_length=LABEL_CHARS_MAX)]
    scopes: Annotated[tuple[TokenScope, ...], Meta(min_length=1, max_length=3)] = ("read",)
    agent: str | None = None
    expires_s: Annotated[int, Meta(ge=1, le=EXPIRES_S_MAX)] | None = None


class TokenList(Struct, frozen=True):
    """Every token, oldest first, those that ended included; never a token itself."""

    items: list[TokenRecord]


class AdminTokens:
    """The endpoints of one data folder's tokens."""

    def __init__(self, node: Node, config: ServerConfig, tokens: TokenStore) -> None:
        """tokens: a store of this object's own, used on its one thread."""
        self._node = node
        self._config = config
        self._tokens = tokens
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokens")

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        return [
            Endpoint(
                path="/v1/admin/tokens",
                handle=self.list,
                summary="List API tokens.",
                replies=(Reply(TokenList, "Every token, without its secret."),),
                scope="admin",
            ),
            Endpoint(
                path="/v1/admin/tokens",
                method=HTTPMethod.POST,
                handle=self.create,
                summary="Make an API token.",
                replies=(Reply(NewToken, "The token, shown this once.", HTTPStatus.CREATED),),
                scope="admin",
                body=Body(TokenWanted),
                codes=_CODES,
            ),
            Endpoint(
                path="/v1/admin/tokens/{id}",
                method=HTTPMethod.DELETE,
                handle=self.revoke,
                summary="End an API token.",
                replies=(Reply(TokenRecord, "It is revoked."),),
                scope="admin",
                codes=("not-found",),
                described={"id": text("The token, by its id as the list shows it.")},
            ),
        ]

    def close(self) -> None:
        """Wait for what is being written."""
        self._thread.shutdown(wait=True)

    async def list(self, _request: Request, _found: dict[str, str]) -> Response:
        """Every token."""
        return answer(self._node, TokenList(await self._on_thread(self._tokens.list)), read=True)

    async def create(self, request: Request, _found: dict[str, str]) -> Response:
        """Make one."""
        wanted = _wanted(await read_body(request.scope, request.receive, _BODY_BYTES_MAX, self._config.body_s_max))
        agent = None if wanted.agent is None else parse_agent("agent", wanted.agent)
        made = await self._on_thread(
            lambda: self._tokens.create(wanted.label, wanted.scopes, agent=agent, expires_s=wanted.expires_s)
        )
        headers = {"Location": f"/v1/admin/tokens/{made.record.id}"}
        return answer(self._node, made, HTTPStatus.CREATED, headers=headers)

    async def revoke(self, request: Request, _found: dict[str, str]) -> Response:
        """End one."""
        token_id: str = request.path_params["id"]
        return answer(self._node, await self._on_thread(lambda: self._tokens.revoke(token_id)))

    async def _on_thread(self, work: Callable[[], Told]) -> Told:
        """Files are locked and synced: not in the event loop."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except RuntimeError as error:  # the thread is closing
            raise NotReady("the server is closing", retry_after_s=1) from error


def _wanted(body: bytes) -> TokenWanted:
    try:
        return msgspec.json.decode(body, type=TokenWanted)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        problem = FieldProblem(where.rstrip("`").replace(".", "/").replace("[", "/").replace("]", ""), what)
        raise InvalidField(f"{problem.pointer}: {what}", errors=(problem,)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"the body is not JSON: {error}") from error
