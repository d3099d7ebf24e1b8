"""What those who keep a database may do over HTTP, with an admin token; written once for both clients.

None of these is sent again when nobody knows what became of it: a second rebuild is a second rebuild.

Source: docs/http.md; docs/operations.md, "Work on a running database".
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from episteme.acts import Steps, act
from episteme.catalog import path_part
from episteme.client.wire import Call, Request, reads
from episteme.operations import Operation, OperationList, SnapshotList, SnapshotReport
from episteme.tokens import NewToken, TokenRecord, TokenScope

Shape = TypeVar("Shape")

_TOKENS = "/v1/admin/tokens"


class _TokenList(Struct, frozen=True):
    items: list[TokenRecord]


class AdminActs:
    """Tokens, and work on the running database; a mixin.

    Raises, all of them: TokenRequired, InvalidToken or ScopeMissing without an admin token.
    """

    def send(self, call: Call[Any]) -> Any:
        """A step: send a call."""
        raise NotImplementedError

    @act
    def create_token(
        self,
        label: str,
        scopes: Sequence[TokenScope] = ("read",),
        *,
        agent: str | None = None,
        expires_s: int | None = None,
    ) -> Steps[NewToken]:
        """Make an API token; it is in what comes back, and nowhere else.

        agent: whom answers are audited for, in hex or as a did:key.  expires_s: seconds from now.
        Raises: InvalidField.
        """
        wanted = {"label": label, "scopes": list(scopes), "agent": agent, "expires_s": expires_s}
        return self._done("POST", _TOKENS, NewToken, body=msgspec.json.encode(wanted))

    @act
    def tokens(self) -> Steps[list[TokenRecord]]:
        """Every API token without its secret, oldest first, those that ended included."""
        found = yield from self._done("GET", _TOKENS, _TokenList)
        return found.items

    @act
    def revoke_token(self, token: str) -> Steps[TokenRecord]:
        """End an API token, by its id.  Raises: NotFound."""
        return self._done("DELETE", f"{_TOKENS}/{path_part(token)}", TokenRecord)

    @act
    def rebuild(self, *, digest: bool = False) -> Steps[Operation]:
        """Begin to make the state anew from the log.  digest: compare both.  Raises: OperationRunning."""
        return self._begun("rebuild", digest=digest)

    @act
    def snapshot(self, *, digest: bool = False) -> Steps[Operation]:
        """Begin to copy the state.  Raises: OperationRunning."""
        return self._begun("snapshots", digest=digest)

    @act
    def state_digest(self) -> Steps[Operation]:
        """Begin to read what the whole state comes to.  Raises: OperationRunning."""
        return self._begun("digest")

    @act
    def doctor(self, *, deep: bool = False) -> Steps[Operation]:
        """Begin to look the database over.  Raises: OperationRunning."""
        return self._begun("doctor", deep=deep)

    @act
    def snapshots(self) -> Steps[list[SnapshotReport]]:
        """The snapshots of the state, oldest position first."""
        found = yield from self._done("GET", "/v1/admin/snapshots", SnapshotList)
        return found.items

    @act
    def operations(self) -> Steps[list[Operation]]:
        """What was begun since the server was started, newest first."""
        found = yield from self._done("GET", "/v1/admin/operations", OperationList)
        return found.items

    @act
    def operation(self, operation: str) -> Steps[Operation]:
        """How far a piece of work is, by its id.  Raises: NotFound."""
        return self._done("GET", f"/v1/admin/operations/{path_part(operation)}", Operation)

    def _begun(self, what: str, **asked: bool) -> Steps[Operation]:
        params = {name: "1" for name, is_asked in asked.items() if is_asked}
        return self._done("POST", f"/v1/admin/{what}", Operation, params=params)

    def _done(
        self,
        method: str,
        path: str,
        shape: type[Shape],
        *,
        params: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Steps[Shape]:
        request = Request(method, path, params or {}, body)  # type: ignore[arg-type]
        found: Shape = yield self.send(Call(request=request, read=reads(shape), repeatable=method == "GET"))
        return found
