"""Work that a running server does for a command: started, watched with a bar, and what came of it."""

import time
from collections.abc import Mapping
from typing import Annotated, Final

import typer

from cortex import Rebuilt
from episteme.cli.bar import bar
from episteme.client import Client
from episteme.client.wire import Call, Request, reads
from episteme.errors import PROBLEMS, EpistemeError, Internal
from episteme.operations import Operation, SnapshotReport

LiveUrl = Annotated[
    str | None,
    typer.Option("--url", help="A running server that does it, in place of DIR; it asks for an admin token."),
]

_LOOK_S: Final = 0.2  # how often a bar moves
_LOOK_FIRST_S: Final = 0.02  # small databases are done by then


def operate(client: Client, what: str, path: str, params: Mapping[str, str] | None = None) -> Operation:
    """Start an operation of a server and wait until it is done.  Raises: EpistemeError, also of the operation."""
    call = Call(request=Request("POST", path, params or {}), read=reads(Operation), repeatable=False)
    found = client.send(call)
    pause_s = _LOOK_FIRST_S
    with bar(what) as moved:
        while found.status == "running":
            time.sleep(pause_s)
            pause_s = min(_LOOK_S, pause_s * 2)
            found = client.send(Call(request=Request("GET", f"/v1/admin/operations/{found.id}"), read=reads(Operation)))
            if found.total:
                moved(found.done, found.total)
    if found.error is not None:
        problem = PROBLEMS.get(found.error.code)
        error: type[EpistemeError] = Internal if problem is None else problem.exception
        raise error(found.error.detail)
    return found


def rebuild_live(client: Client, *, digest: bool) -> Rebuilt:
    """Let a server make its state anew.  Raises: EpistemeError."""
    made = operate(client, "rebuilding", "/v1/admin/rebuild", {"digest": "1"} if digest else {}).rebuild
    assert made is not None, "a rebuild that is done has come to something"
    return Rebuilt(made.position, made.digest_before, made.digest_after)


def snapshot_live(client: Client, *, digest: bool) -> SnapshotReport:
    """Let a server copy its state.  Raises: EpistemeError."""
    made = operate(client, "copying", "/v1/admin/snapshots", {"digest": "1"} if digest else {}).snapshot
    assert made is not None, "a snapshot that is done has come to something"
    return made


def state_of(client: Client) -> tuple[int, str]:
    """How many positions the state of a server has folded, and its digest.  Raises: EpistemeError."""
    found = operate(client, "reading the state", "/v1/admin/digest").state
    assert found is not None, "a digest that is done has come to something"
    return found.position, found.digest
