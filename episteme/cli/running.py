"""How a command ends when it is not its own choice: Ctrl-C, or output that cannot be written."""

import os
import sys
from io import TextIOWrapper
from typing import Final

import typer

from episteme.cli.output import talk
from episteme.errors import EXIT_FAILED

EXIT_INTERRUPTED: Final = 130  # what shells give a program that SIGINT ended


def run(app: typer.Typer) -> None:
    """Run an application; Ctrl-C ends it with the usual code, and so does output that cannot be written."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # of a table, where the locale has not all characters
    try:
        app()
    except KeyboardInterrupt:
        talk.print("interrupted")
        raise SystemExit(EXIT_INTERRUPTED) from None
    except OSError as error:
        talk.print(f"error: {error}", markup=False)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left would be tried again at the end
        raise SystemExit(EXIT_FAILED) from None
