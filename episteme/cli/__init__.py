"""The command line: parse, call, print.  Source: docs/cli.md."""

from importlib.metadata import version
from typing import Annotated

import typer

from episteme.cli.ask import compare, history, query
from episteme.cli.audit import audit_app
from episteme.cli.govern import add_signing
from episteme.cli.importing import import_claims
from episteme.cli.listings import add_listings
from episteme.cli.log import log_app
from episteme.cli.read import get, status
from episteme.cli.running import run
from episteme.cli.serve import serve
from episteme.cli.state import rebuild, state_app

app = typer.Typer(
    name="episteme",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A database for claims that disagree.",
)
app.command()(serve)
add_signing(app)
app.command()(query)
app.command()(compare)
app.command()(history)
app.command()(get)
add_listings(app)
app.command("import")(import_claims)
app.command()(status)
app.command()(rebuild)
app.add_typer(audit_app, name="audit")
app.add_typer(log_app, name="log")
app.add_typer(state_app, name="state")


@app.callback(invoke_without_command=True)
def options(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """A database for claims that disagree."""
    if show_version:
        typer.echo(f"episteme {version('episteme-db')}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    run(app)


__all__ = ["app", "main"]
