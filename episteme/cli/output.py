"""What the command line prints: data to stdout, talk to stderr; tables on a terminal, JSON lines in a pipe.

Text that other agents wrote is shown as data: control characters are spelled
out, markup is not interpreted.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from episteme.errors import PROBLEMS, EpistemeError
from model import AnyValue

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CELL_CHARS_MAX = 200

talk = Console(stderr=True, highlight=False, soft_wrap=True)


class Output(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


def chosen(output: Output | None) -> Output:
    """What was asked for; else a table on a terminal and JSON lines in a pipe."""
    if output is not None:
        return output
    return Output.TABLE if sys.stdout.isatty() else Output.JSONL


def print_json(data: Any, output: Output) -> None:
    """One value: indented for json, one line for jsonl."""
    encoded = msgspec.json.encode(data)
    if output is Output.JSON:
        encoded = msgspec.json.format(encoded, indent=2)
    sys.stdout.write(encoded.decode("utf-8") + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """A table without frames; the named columns are flush right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Names and values in two columns."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(name, Text(value))
    Console(highlight=False).print(table)


def shown(text: str) -> str:
    """Another agent's text, fit for a terminal: escapes spelled out, cut at a bound."""
    text = _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
    return text if len(text) <= _CELL_CHARS_MAX else text[: _CELL_CHARS_MAX - 1] + "…"


def value_text(value: AnyValue) -> str:
    """A value for a terminal."""
    if isinstance(value.value, bool):
        return "true" if value.value else "false"
    return shown(value.value)


def counted(count: int, noun: str) -> str:
    """A number and its noun, one or many."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def short(hash_hex: str) -> str:
    """The first digits of a hash, enough for a person."""
    return hash_hex[:12]


def fail(error: EpistemeError) -> NoReturn:
    """Say what, why and what to do, then leave with the code's exit code."""
    talk.print(Text.assemble(("error: ", "bold red"), shown_lines(error.detail)))
    for problem in error.errors:
        if problem.detail not in error.detail:
            talk.print(Text(f"  {problem.pointer}: {shown_lines(problem.detail)}"))
    talk.print(Text(f"  hint: {error.hint}"))
    talk.print(Text(f"  code: {error.code}", style="dim"))
    raise typer.Exit(PROBLEMS[error.code].exit_code)


def shown_lines(text: str) -> str:
    """As shown, without the cut."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
