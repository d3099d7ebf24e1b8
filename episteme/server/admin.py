"""Work on the running database for those who keep it: rebuild, snapshots, digest, doctor, and how far each is."""

from http import HTTPMethod, HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from episteme.config import ServerConfig
from episteme.described import Parameter, flag, text
from episteme.doctor.check import Check, ok, warn
from episteme.errors import NotFound
from episteme.node import Node
from episteme.operations import Operation, OperationList, Operations, SnapshotList, snapshot_report
from episteme.parameters import parse_truth
from episteme.server.access import is_loopback
from episteme.server.endpoints import Endpoint, Handle, Link, Reply
from episteme.server.wire import answer

_STARTED: Final = Reply(
    Operation,
    "It has begun; ask for it by its id.",
    HTTPStatus.ACCEPTED,
    links=(Link("/v1/admin/operations/{id}", {"id": "id"}),),
    headers={"Location": "Where to ask how far it is."},
)
_FLAGS: Final = {
    "digest": flag("Whether to say what the whole state comes to, which reads all of it."),
    "deep": flag("Whether to look at all of it, not only at a sample."),
}
_COMPARED: Final = flag("Whether to read the old state and the new one, and say what each comes to.")
_READ: Final = flag("Whether to read the whole state for its digest.")
_DEEP: Final = flag("Whether to verify every signature, and fold the whole log once more.")
_CLOSE_WAIT_S: Final = 1.0  # what runs longer ends when the state is closed


class Admin:
    """The endpoints of one node that need an admin token, besides those of tokens."""

    def __init__(self, node: Node, config: ServerConfig) -> None:
        self._node = node
        self._config = config
        self._operations = Operations(node)

    def endpoints(self) -> list[Endpoint]:
        """Every endpoint."""
        return [
            _work("rebuild", self.rebuild, "Make the state anew, beside the live one.", digest=_COMPARED),
            _work("snapshots", self.snapshot, "Copy the state, for one that is lost later.", digest=_READ),
            _work("digest", self.digest, "Say what the whole state comes to."),
            _work("doctor", self.doctor, "Look the database over, as `episteme doctor` does.", deep=_DEEP),
            Endpoint(
                path="/v1/admin/snapshots",
                handle=self.snapshots,
                summary="List the snapshots of the state.",
                replies=(Reply(SnapshotList, "Those there are."),),
                scope="admin",
            ),
            Endpoint(
                path="/v1/admin/operations",
                handle=self.operations,
                summary="List the work that was started.",
                replies=(Reply(OperationList, "The newest first; the oldest are forgotten."),),
                scope="admin",
            ),
            Endpoint(
                path="/v1/admin/operations/{id}",
                handle=self.operation,
                summary="Tell how far a piece of work is, and what came of it.",
                replies=(Reply(Operation, "As it is now."),),
                scope="admin",
                codes=("not-found",),
                described={"id": text("The piece of work, by its id.")},
            ),
        ]

    async def rebuild(self, _request: Request, found: dict[str, str]) -> Response:
        """Start a rebuild."""
        return self._started(self._operations.rebuild(digest=_flag(found, "digest")))

    async def snapshot(self, _request: Request, found: dict[str, str]) -> Response:
        """Start a snapshot."""
        return self._started(self._operations.snapshot(digest=_flag(found, "digest")))

    async def digest(self, _request: Request, _found: dict[str, str]) -> Response:
        """Start to read the state."""
        return self._started(self._operations.digest())

    async def doctor(self, _request: Request, found: dict[str, str]) -> Response:
        """Start to look the database over."""
        return self._started(self._operations.doctor(deep=_flag(found, "deep"), more=self._address))

    async def snapshots(self, _request: Request, _found: dict[str, str]) -> Response:
        """The snapshots of the state."""
        listed = [snapshot_report(one) for one in self._node.state.snapshots()]
        return answer(self._node, SnapshotList(listed), read=True)

    async def operations(self, _request: Request, _found: dict[str, str]) -> Response:
        """What was started."""
        return answer(self._node, OperationList(self._operations.all()), read=True)

    async def operation(self, request: Request, _found: dict[str, str]) -> Response:
        """One piece of work."""
        name = request.path_params["id"]
        found = self._operations.get(name)
        if found is None:
            raise NotFound(f"there is no operation {name[:40]!r}, or it is forgotten")
        return answer(self._node, found, read=True)

    def close(self) -> None:
        """Wait a moment for what runs."""
        self._operations.close(_CLOSE_WAIT_S)

    def _address(self) -> Check:
        """Who can reach this server, and whether they need a token."""
        config, host = self._config, self._config.host
        loopback = host == "localhost" or is_loopback(host)
        asked = config.tokens_required if config.tokens_required is not None else not (loopback or config.public)
        if loopback or asked:
            who = "only this machine" if loopback else "others"
            return ok("address", f"{host}: reached by {who}, {'with' if asked else 'without'} tokens")
        return warn(
            "address",
            f"{host}: others reach it without a token: they read everything, and write what they sign",
            "`episteme token create`, then serve without --public, unless that is meant",
        )

    def _started(self, operation: Operation) -> Response:
        headers = {"Location": f"/v1/admin/operations/{operation.id}"}
        return answer(self._node, operation, HTTPStatus.ACCEPTED, headers=headers)


def _work(name: str, handle: Handle, summary: str, **parameters: Parameter) -> Endpoint:
    """An endpoint that starts something."""
    return Endpoint(
        path=f"/v1/admin/{name}",
        handle=handle,
        summary=summary,
        replies=(_STARTED,),
        method=HTTPMethod.POST,
        scope="admin",
        parameters=tuple(parameters),
        described=parameters,
        codes=("operation-running",),
    )


def _flag(found: dict[str, str], name: str) -> bool:
    return name in found and parse_truth(name, found[name])
