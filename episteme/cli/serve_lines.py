"""What `episteme serve` says of its start and its end: to people, or as lines of the process's log.

Source: docs/operations.md, "Logs".
"""

import logging
import sys
from typing import Final, Literal, NoReturn, Protocol

import typer

from episteme.cli.output import talk
from episteme.errors import PROBLEMS, EpistemeError

Level = Literal["info", "warning", "error"]

_LOGGER: Final = "episteme.serve"


class Say(Protocol):
    """Says one line on stderr."""

    def __call__(self, text: str, level: Level = "info") -> None:
        """level: how bad it is."""


def say_to_people(text: str, level: Level = "info") -> None:
    """As Say."""
    shown, style = (f"warning: {text}", "yellow") if level == "warning" else (text, "")
    talk.print(shown, style=style, markup=False)


def say_to_logs(text: str, level: Level = "info") -> None:
    """As Say, as a JSON object; whatever level of lines is asked for: where a server listens is always told."""
    from episteme.server.journal import JsonLines  # here, as of serve_folder

    record = logging.makeLogRecord({"name": _LOGGER, "levelname": level, "msg": text})
    sys.stderr.write(f"{JsonLines().format(record)}\n")


def fail_as_json(error: EpistemeError) -> NoReturn:
    """As output.fail, in one line."""
    say_to_logs(f"{error.detail} ({error.code}; {error.hint})", "error")
    raise typer.Exit(PROBLEMS[error.code].exit_code)
