"""Options that many commands share, and the database behind them: a server, or a folder."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from episteme.cli.output import Output, fail, talk
from episteme.client import Client
from episteme.config import DEFAULT_URL, NodeConfig
from episteme.errors import EpistemeError
from episteme.keys import DEFAULT_NAME, SUFFIX, Key, key_names, key_path
from episteme.keys.places import name_of
from episteme.node import LOG_FOLDER, Node
from episteme.settings import read_settings
from model import FieldRule, agent_of

Url = Annotated[str, typer.Option("--url", envvar="EPISTEME_URL", help="The server's address.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", envvar="EPISTEME_DATA", help="A data folder, opened by this command itself: no server."),
]
OutputOption = Annotated[
    Output | None,
    typer.Option("--output", "-o", help="How data is printed. [default: table on a terminal, else jsonl]"),
]


def _kept_names(incomplete: str) -> list[str]:
    """The names of the keys that are kept here, for the Tab key."""
    return [name for name in map(name_of, key_names()) if name.startswith(incomplete)]


KeyName = Annotated[
    str,
    typer.Option(
        "--key",
        autocompletion=_kept_names,
        help=f"The name of the key to sign with, or the path of a key file (./KEY, *{SUFFIX}, *.pem).",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the event's canonical bytes and its hash, and send nothing.")
]
Wait = Annotated[float | None, typer.Option("--wait", min=0, help="Seconds to wait until the write is readable.")]
MinSeq = Annotated[int | None, typer.Option("--min-seq", min=0, help="Wait until this position is readable.")]

URL_DEFAULT: Final = DEFAULT_URL
KEY_DEFAULT: Final = DEFAULT_NAME

_FIRST_DIGITS: Final = re.compile("[0-9a-f]{4,63}")
_DID: Final = "did:"
_PATIENT_ATTEMPTS: Final = 12  # with their pauses some 15 s: a restart

_token: ContextVar[str | None] = ContextVar("token", default=None)


def use_token(token: str | None) -> None:
    """Send this API token from here on, or none."""
    _token.set(token or None)


@contextmanager
def database(url: str, data: Path | None, key: Key | None = None) -> Iterator[Client | Node]:
    """The server at url, or the folder; an error of either ends the command with its exit code."""
    try:
        if data is None:
            with Client(url, key=key, token=_token.get()) as client:
                yield client
        else:
            with _node(data, key) as node:
                yield node
    except EpistemeError as error:
        fail(error)


@contextmanager
def patient(url: str, data: Path | None) -> Iterator[Client | Node]:
    """As database, for long work: a server that answered at the beginning may be away for some seconds."""
    if data is not None:
        with database(url, data) as db:
            yield db
        return
    try:
        with Client(url, token=_token.get()) as first:
            first.status()
        with Client(url, token=_token.get(), attempts=_PATIENT_ATTEMPTS) as client:
            yield client
    except EpistemeError as error:
        fail(error)


@contextmanager
def server(url: str) -> Iterator[Client]:
    """The server at url alone; an error ends the command with its exit code."""
    try:
        with Client(url, token=_token.get()) as client:
            yield client
    except EpistemeError as error:
        fail(error)


def whole_hash(text: str | None) -> str | None:
    """Refuse the first digits of a hash, which a table shows: no command finds anything by them."""
    if text is not None and _FIRST_DIGITS.fullmatch(text):
        raise typer.BadParameter(f"has {len(text)} of 64 hex digits; -o json shows all of what a table cuts")
    return text


def whole_agent(text: str | None) -> str | None:
    """An agent in hex, also if it was given as did:key; refuses what a table shows of a hash, as whole_hash."""
    if text is None or not text.startswith(_DID):
        return whole_hash(text)
    try:
        return agent_of(text).hex()
    except FieldRule as rule:
        raise typer.BadParameter(rule.detail) from rule


def names(given: list[str] | None) -> list[str]:
    """The values of an option that may be given more than once, or once with commas between them."""
    return [name for text in given or () for name in text.split(",")]


def signing_key(name: str) -> Key:
    """The key to sign with, by name or in a file; the usual one is that of the environment, or is made if missing."""
    if name != DEFAULT_NAME:
        return named_key(name)
    try:
        from_environment = Key.from_env()
        if from_environment is not None:
            return from_environment
        key, made = Key.load_or_create(name)
    except EpistemeError as error:
        fail(error)
    if made:
        talk.print(f"key: made agent {key.agent_hex}, kept in {key_path(name)}", markup=False)
    return key


def named_key(name: str) -> Key:
    """The key of this name, or in this file."""
    try:
        return Key.read(Path(name)) if _is_path(name) else Key.load(name)
    except EpistemeError as error:
        fail(error)


def new_name(text: str) -> str:
    """Refuse a name for a key that --key would take for a path."""
    if _is_path(text):
        raise typer.BadParameter("a name does not look like a path: it would not be found by it")
    return text


def _is_path(name: str) -> bool:
    return name.endswith((SUFFIX, ".pem")) or name.startswith(("/", "./", "../"))


def check_folder(data: Path) -> None:
    """Refuse what is no data folder, before anything is made in it."""
    if (data / LOG_FOLDER).is_dir():
        return
    if not data.exists():
        detail = f"{data} does not exist; `episteme serve --data {data}` would make it"
    elif not data.is_dir():
        detail = f"{data} is a file, not a data folder"
    else:
        detail = f"{data} is not a data folder: there is no folder {LOG_FOLDER} in it"
    raise typer.BadParameter(detail, param_hint="--data")


def offline_config(data: Path) -> NodeConfig:
    """What the file and the environment say of a database; its rules are those that its log names.

    Raises: InvalidSetting.
    """
    said = read_settings(environ=os.environ, data=data).node(NodeConfig())
    return msgspec.structs.replace(said, operators=(), anecdotal_cluster_count=None, regulatory_conflict_micros=None)


def _node(data: Path, key: Key | None) -> Node:
    check_folder(data)
    node = Node.open(data, key=key, config=offline_config(data))
    node.wait_applied(node.end_seq, node.config.wait_s_max)
    return node
