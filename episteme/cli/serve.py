"""episteme serve."""

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from episteme.cli.flags import with_settings
from episteme.cli.output import fail, shown_lines
from episteme.cli.serve_lines import Say, fail_as_json, say_to_logs, say_to_people
from episteme.config import DEFAULT_DATA, NodeConfig, ServerConfig
from episteme.errors import CannotOpen, EpistemeError
from episteme.keys import Key, key_path
from episteme.node import Node
from episteme.opening import cannot_open
from episteme.settings import FILE_NAME, Settings, read_settings

KEY_FOLDER: Final = "keys"  # of a data folder
OPERATOR_NAME: Final = "operator"

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help=f"The file of settings, TOML (also EPISTEME_CONFIG). [default: {FILE_NAME} of the data folder, if there]",
    ),
]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help=f"The data folder (also EPISTEME_DATA, or data in the file of settings). [default: {DEFAULT_DATA}]",
    ),
]


@with_settings
def serve(flags: Mapping[str, object], data: DataFolder = None, config: ConfigFile = None) -> None:
    """Open or create a data folder and serve it until SIGTERM or Ctrl-C.

    At the first start an operator key is made in it: whoever has that governs the database.

    Every setting is a flag here, a variable of the environment (--port is EPISTEME_PORT) and a key of the file of
    settings, in that order of strength. `episteme config show` tells what is in force and where it was said.
    """
    say = say_to_people
    try:
        settings = read_settings(environ=os.environ, flags=flags, data=data, file=config)
        server = settings.server()
        say = say_to_logs if server.log_format == "json" else say_to_people
        settings.node()
        _say_settings(settings, say)
        serve_folder(
            settings.data,
            lambda: _node_config(settings, say),
            server,
            lambda node, url: _started(node, url, settings.data, say),
        )
    except EpistemeError as error:
        if say is say_to_logs:
            fail_as_json(error)
        fail(error)
    say("stopped: all that was acknowledged is on the disk")


def serve_folder(
    folder: Path, configure: Callable[[], NodeConfig], config: ServerConfig, started: Callable[[Node, str], None]
) -> None:
    """As episteme.server.serve, which is imported here: no other command need wait a tenth of a second for it."""
    from episteme.server.serve import serve as run

    run(folder, configure, config, started)


def _say_settings(settings: Settings, say: Say) -> None:
    for warning in settings.warnings:
        say(shown_lines(warning), "warning")
    if settings.file is not None:
        say(f"settings of {settings.file}")
    if settings.data.exists() and not settings.data.is_dir():
        raise CannotOpen(f"{settings.data} is a file, not a data folder")


def _node_config(settings: Settings, say: Say) -> NodeConfig:
    """What was said, with the folder's own key among the operators."""
    if not settings.data.exists():
        say(f"no data folder: creating {settings.data}")
        try:
            settings.data.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise cannot_open(settings.data, error) from error
    config = settings.node()
    return msgspec.structs.replace(config, operators=(_operator(settings.data, say), *config.operators))


def _operator(data: Path, say: Say) -> str:
    """The agent of the folder's operator key, which is made if it is missing."""
    folder = data / KEY_FOLDER
    key, made = Key.load_or_create(OPERATOR_NAME, folder)
    path = key_path(OPERATOR_NAME, folder)
    say(f"operator {key.agent_hex}, {'made now and kept' if made else 'its key is'} in {path}")
    return key.agent_hex


def _started(node: Node, url: str, data: Path, say: Say) -> None:
    _say_torn(node, say)
    say(f"database {node.database} · log at seq {node.end_seq} · folded to {node.applied_seq}")
    from episteme.server.access import token_store

    if not token_store(data).has_active():
        make = f"episteme token create ops --scope admin --data {shlex.quote(str(data))}"
        say(f"no API tokens yet; calls that look after the server need one: {make}")
    say(f"pages and OpenAPI document at {url}/docs")
    say(f"listening on {url}")


def _say_torn(node: Node, say: Say) -> None:
    torn = node.log.torn_tail
    if torn is None:
        return
    count = torn.acknowledged_count
    what = f"{count} ACKNOWLEDGED EVENTS WERE IN IT, the disk lost or damaged them" if count else "never acknowledged"
    copy = f"; its bytes are kept in {torn.kept_in}" if torn.kept_in else ""
    say(
        f"log: cut a torn tail of {torn.cut_bytes} bytes at {torn.path} byte {torn.offset} ({torn.reason}): "
        f"{what}{copy}",
        "error" if count else "info",
    )
