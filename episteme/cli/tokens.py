"""episteme token: make, list and end API tokens in a data folder, beside a running server or without one."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from episteme.cli.answers import time_text
from episteme.cli.app import App
from episteme.cli.output import Output, chosen, fail, nothing, print_json, print_table, short, shown, talk
from episteme.cli.session import OutputOption
from episteme.config import DEFAULT_DATA
from episteme.errors import EpistemeError
from episteme.node import LOG_FOLDER, system_clock_ms
from episteme.parameters import parse_agent
from episteme.tokens import TOKEN_SCOPES, TOKENS_FILE, TokenRecord, TokenStore

Folder = Annotated[Path, typer.Option("--data", envvar="EPISTEME_DATA", help="The data folder.")]

_DAY_S = 86_400

token_app = App(
    name="token",
    help="API tokens: who may ask a server, and for what. A running server notices every change.",
)


class ScopeName(StrEnum):
    """What a token allows."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@token_app.command("create")
def create(
    label: Annotated[str, typer.Argument(help="Whom or what it is for, as lists will show it.")],
    scope: Annotated[
        list[ScopeName] | None,
        typer.Option("--scope", help=f"{', '.join(TOKEN_SCOPES)}; repeatable. admin allows all. [default: read]"),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option("--agent", help="Whom answers are audited for and queries charged to: hex or did:key."),
    ] = None,
    expires_days: Annotated[
        int | None, typer.Option("--expires-days", min=1, help="How long it is good. [default: until it is revoked]")
    ] = None,
    data: Folder = DEFAULT_DATA,
    output: OutputOption = None,
) -> None:
    """Make a token and print it: it is shown this once, and only its hash is kept.

    With -o table the token alone is printed: EPISTEME_TOKEN=$(episteme token create me -o table).
    """
    if not (data / LOG_FOLDER).is_dir():
        talk.print(f"note: there is no database in {data} yet; `episteme serve --data {data}` makes one", markup=False)
    try:
        made = _store(data).create(
            label,
            [one.value for one in scope or (ScopeName.READ,)],
            agent=None if agent is None else parse_agent("agent", agent),
            expires_s=None if expires_days is None else expires_days * _DAY_S,
        )
    except EpistemeError as error:
        fail(error)
    talk.print(
        f"token {made.record.id} ({', '.join(made.record.scopes)}) for {shown(label)}: shown this once; send it as "
        "`Authorization: Bearer ...`, or set EPISTEME_TOKEN",
        markup=False,
    )
    if chosen(output) is Output.TABLE:
        typer.echo(made.token)
    else:
        print_json(made, chosen(output))


@token_app.command("list")
def list_(data: Folder = DEFAULT_DATA, output: OutputOption = None) -> None:
    """List tokens, oldest first, with those that ended; never a token itself."""
    try:
        records = _store(data).list()
    except EpistemeError as error:
        fail(error)
    if not records:
        nothing("no tokens; `episteme token create LABEL` makes one")
    if chosen(output) is Output.TABLE:
        print_table(("id", "label", "scopes", "status", "made", "expires", "agent"), map(_row, records), whole="id")
        return
    for record in records:
        print_json(record, chosen(output))


@token_app.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As the list shows it.")],
    data: Folder = DEFAULT_DATA,
) -> None:
    """End a token, at once and for good."""
    try:
        record = _store(data).revoke(token_id)
    except EpistemeError as error:
        fail(error)
    talk.print(f"token {record.id} of {shown(record.label)} is revoked", markup=False)


def _store(data: Path) -> TokenStore:
    return TokenStore(data / TOKENS_FILE, clock_ms=system_clock_ms, random_bytes=os.urandom)


def _row(record: TokenRecord) -> tuple[str, ...]:
    expires = "" if record.expires_ms is None else time_text(record.expires_ms)
    made, agent = time_text(record.created_ms), short(record.agent or "")
    return record.id, shown(record.label), ", ".join(record.scopes), record.status, made, expires, agent
