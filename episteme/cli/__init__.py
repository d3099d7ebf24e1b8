"""The command line: parse, call, print.  Source: docs/cli.md."""

from importlib.metadata import version
from typing import Annotated

import typer

from episteme.cli.app import App
from episteme.cli.ask import compare, history, query
from episteme.cli.audit import audit_app
from episteme.cli.backup import backup, restore
from episteme.cli.bench import bench
from episteme.cli.config import config_app
from episteme.cli.demo import demo
from episteme.cli.doctor import doctor
from episteme.cli.export import export
from episteme.cli.govern import add_signing
from episteme.cli.importing import import_claims
from episteme.cli.keys import keys_app
from episteme.cli.listings import add_listings
from episteme.cli.log import log_app
from episteme.cli.openapi import openapi
from episteme.cli.output import debugging
from episteme.cli.read import bundle, get, status
from episteme.cli.running import run
from episteme.cli.serve import serve
from episteme.cli.state import rebuild, state_app
from episteme.cli.tail import tail
from episteme.cli.tokens import token_app

app = App(name="episteme", help="A database for claims that disagree.")
app.add(bench, openapi, demo, serve, query, compare, history, get, bundle, status, rebuild, tail)
app.add(doctor, backup, restore, export)
app.command("import")(import_claims)
add_signing(app)
add_listings(app)
app.add_groups(audit=audit_app, config=config_app, keys=keys_app, log=log_app, state=state_app, token=token_app)


@app.callback(invoke_without_command=True)
def options(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", envvar="EPISTEME_DEBUG", help="Show where errors arise.")] = False,
) -> None:
    """A database for claims that disagree."""
    debugging.set(debug)
    if show_version:
        typer.echo(f"episteme {version('episteme-db')}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    run(app)


__all__ = ["app", "main"]
