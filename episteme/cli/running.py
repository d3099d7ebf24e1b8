"""How a command ends when it is not its own choice: Ctrl-C, output that cannot be written, a fault of ours."""

import os
import sys
import traceback
from io import TextIOWrapper
from typing import Final

import typer

from episteme.cli.output import debugging, shown, talk
from episteme.errors import EXIT_FAILED

EXIT_INTERRUPTED: Final = 130  # what shells give a program that SIGINT ended


def run(app: typer.Typer) -> None:
    """Run an application; whatever ends it, it ends with a line that says so and with the usual code."""
    if sys.stdout is None:  # closed by whoever started this, who wants none of it
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (as long as the process)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # of a table, where the locale has not all characters
    try:
        app()
    except KeyboardInterrupt:
        talk.print("interrupted")
        raise SystemExit(EXIT_INTERRUPTED) from None
    except SystemExit as ended:
        if ended.__context__ is not None and isinstance(ended.__context__.__cause__, KeyboardInterrupt):
            talk.print("interrupted")  # the framework ends the process so, without a word
        raise
    except BrokenPipeError:
        _close_stdout()  # `| head` has read what it wanted
        raise SystemExit(EXIT_FAILED) from None
    except OSError as error:
        talk.print(f"error: {shown(str(error))}", markup=False)
        _trace()
        _close_stdout()
        raise SystemExit(EXIT_FAILED) from None
    except Exception as error:  # the last line of defence: a traceback tells a user nothing
        talk.print(f"error: something went wrong here: {type(error).__name__}: {shown(str(error))}", markup=False)
        talk.print("  hint: this is a fault of ours; `episteme --debug ...` shows where, for a report", markup=False)
        talk.print("  code: internal", style="dim")
        _trace()
        raise SystemExit(EXIT_FAILED) from None


def _trace() -> None:
    if debugging.get():
        traceback.print_exc()


def _close_stdout() -> None:
    """What is left in its buffer would be tried again at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
