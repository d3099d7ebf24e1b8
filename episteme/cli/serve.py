"""episteme serve."""

import logging
import re
from pathlib import Path
from typing import Annotated, Final

import typer

from episteme.audit import AuditOptions
from episteme.cli.output import fail, talk
from episteme.config import DEFAULT_DATA, DEFAULT_HOST, DEFAULT_PORT, NodeConfig, ServerConfig
from episteme.errors import CannotOpen, EpistemeError
from episteme.keys import Key, key_path
from episteme.node import Node
from episteme.server.serve import serve as run

KEY_FOLDER: Final = "keys"  # of a data folder
OPERATOR_NAME: Final = "operator"

_AGENT = re.compile(r"[0-9a-f]{64}")


def serve(
    data: Annotated[Path, typer.Option("--data", envvar="EPISTEME_DATA", help="The data folder.")] = DEFAULT_DATA,
    host: Annotated[
        str, typer.Option("--host", envvar="EPISTEME_HOST", help="The address to listen on.")
    ] = DEFAULT_HOST,
    port: Annotated[
        int, typer.Option("--port", envvar="EPISTEME_PORT", min=0, max=65535, help="0 takes any free one.")
    ] = DEFAULT_PORT,
    public: Annotated[
        bool, typer.Option("--public", help="Allow an address that others can reach; there are no tokens yet.")
    ] = False,
    quotas: Annotated[
        bool | None,
        typer.Option("--quotas/--no-quotas", help="Whether writers pay; by default, unless the address is loopback."),
    ] = None,
    audit: Annotated[
        bool, typer.Option("--audit/--no-audit", help="Whether every answer is recorded, with who asked and why.")
    ] = True,
    operator: Annotated[
        list[str] | None,
        typer.Option("--operator", help="An agent that governs besides the operator key in the folder; repeatable."),
    ] = None,
) -> None:
    """Open or create a data folder and serve it until SIGTERM or Ctrl-C.

    At the first start an operator key is made in it: whoever has that governs the database.
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    if not data.exists():
        talk.print(f"no data folder: creating {data}", markup=False)
    try:
        others = tuple(_agent(one) for one in operator or ())
        run(
            data,
            lambda: NodeConfig(operators=(_operator(data), *others), audit=AuditOptions(enabled=audit)),
            ServerConfig(host=host, port=port, public=public, quotas=quotas),
            _started,
        )
    except EpistemeError as error:
        fail(error)
    talk.print("stopped: all that was acknowledged is on the disk")


def _operator(data: Path) -> str:
    """The agent of the folder's operator key, which is made if it is missing."""
    folder = data / KEY_FOLDER
    if data.exists() and not data.is_dir():
        raise CannotOpen(f"{data} is not a folder")
    key, made = Key.load_or_create(OPERATOR_NAME, folder)
    path = key_path(OPERATOR_NAME, folder)
    talk.print(f"operator {key.agent_hex}, {'made now and kept' if made else 'its key is'} in {path}", markup=False)
    return key.agent_hex


def _agent(text: str) -> str:
    if not _AGENT.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is not 64 lower-case hex digits", param_hint="--operator")
    return text


def _started(node: Node, url: str) -> None:
    torn = node.log.torn_tail
    if torn is not None:
        count = torn.acknowledged_count
        what = (
            f"{count} ACKNOWLEDGED EVENTS WERE IN IT, the disk lost or damaged them" if count else "never acknowledged"
        )
        copy = f"; its bytes are kept in {torn.kept_in}" if torn.kept_in else ""
        talk.print(
            f"log: cut a torn tail of {torn.cut_bytes} bytes at {torn.path} byte {torn.offset} ({torn.reason}): "
            f"{what}{copy}",
            markup=False,
        )
    talk.print(f"database {node.database} · log at seq {node.end_seq} · folded to {node.applied_seq}", markup=False)
    talk.print(f"listening on {url}", markup=False)
