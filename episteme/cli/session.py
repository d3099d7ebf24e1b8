"""Options that many commands share, and the database behind them: a server, or a folder."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from episteme.cli.output import Output, fail, talk
from episteme.client import Client
from episteme.config import DEFAULT_URL
from episteme.errors import EpistemeError
from episteme.keys import DEFAULT_NAME, SUFFIX, Key, key_path
from episteme.node import Node

Url = Annotated[str, typer.Option("--url", envvar="EPISTEME_URL", help="The server's address.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", envvar="EPISTEME_DATA", help="A data folder, opened by this command itself: no server."),
]
OutputOption = Annotated[
    Output | None,
    typer.Option("--output", "-o", help="table, json or jsonl. [default: table on a terminal, else jsonl]"),
]
KeyName = Annotated[
    str, typer.Option("--key", help=f"The name of the key to sign with, or the path of a key file (*{SUFFIX}).")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the event's canonical bytes and its hash, and send nothing.")
]
Wait = Annotated[float | None, typer.Option("--wait", min=0, help="Seconds to wait until the write is readable.")]
MinSeq = Annotated[int | None, typer.Option("--min-seq", min=0, help="Wait until this position is readable.")]

_FIRST_DIGITS = re.compile("[0-9a-f]{4,63}")

URL_DEFAULT = DEFAULT_URL
KEY_DEFAULT = DEFAULT_NAME


@contextmanager
def database(url: str, data: Path | None, key: Key | None = None) -> Iterator[Client | Node]:
    """The server at url, or the folder; an error of either ends the command with its exit code."""
    try:
        if data is None:
            with Client(url, key=key) as client:
                yield client
        else:
            with _node(data, key) as node:
                yield node
    except EpistemeError as error:
        fail(error)


def whole_hash(text: str | None) -> str | None:
    """Refuse the first digits of a hash, which a table shows: no command finds anything by them."""
    if text is not None and _FIRST_DIGITS.fullmatch(text):
        raise typer.BadParameter(f"has {len(text)} of 64 hex digits; -o json shows all of what a table cuts")
    return text


def names(given: list[str] | None) -> list[str]:
    """The values of an option that may be given more than once, or once with commas between them."""
    return [name for text in given or () for name in text.split(",")]


def signing_key(name: str) -> Key:
    """The key of this name, or in this file; the default one is made if it is missing, and that is said."""
    try:
        if name.endswith(SUFFIX):
            return Key.read(Path(name))
        if name != DEFAULT_NAME:
            return Key.load(name)
        key, made = Key.load_or_create(name)
        if made:
            talk.print(f"key: made agent {key.agent_hex}, kept in {key_path(name)}", markup=False)
    except EpistemeError as error:
        fail(error)
    return key


def _node(data: Path, key: Key | None) -> Node:
    if not (data / "log").is_dir():
        talk.print(f"error: {data} is not a data folder", markup=False)
        raise typer.Exit(2)
    node = Node.open(data, key=key)
    node.wait_applied(node.end_seq, node.config.wait_s_max)
    return node
