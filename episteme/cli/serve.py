"""episteme serve."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from episteme.cli.output import fail, talk
from episteme.config import DEFAULT_DATA, DEFAULT_HOST, DEFAULT_PORT, NodeConfig, ServerConfig
from episteme.errors import EpistemeError
from episteme.node import Node
from episteme.server.serve import serve as run


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
) -> None:
    """Open or create a data folder and serve it until SIGTERM or Ctrl-C."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    if not data.exists():
        talk.print(f"no data folder: creating {data}", markup=False)
    try:
        run(data, NodeConfig(), ServerConfig(host=host, port=port, public=public), _started)
    except EpistemeError as error:
        fail(error)
    talk.print("stopped: all that was acknowledged is on the disk")


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
