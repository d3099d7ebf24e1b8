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
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from episteme.errors import PROBLEMS, EpistemeError
from model import AnyValue

# What a terminal obeys or does not show: controls, marks of direction, characters of no width, line breaks of Unicode.
_UNSEEN = "\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f"
_CONTROL = re.compile(f"[\x00-\x1f{_UNSEEN}]")
_CONTROL_IN_JSON = re.compile(f"[{_UNSEEN}]")  # the others JSON has escaped, and those between its values are ours
_CELL_CHARS_MAX = 200
_CELL_CHARS_LEAST = 16  # narrower, a cell of words is no pleasure to read
_COLUMNS_APART = 2

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
    """One value, in UTF-8 whatever the locale: indented for json, one line for jsonl."""
    encoded = msgspec.json.encode(data)
    if output is Output.JSON:
        encoded = msgspec.json.format(encoded, indent=2)
    text = _CONTROL_IN_JSON.sub(_spelled, encoded.decode("utf-8"))
    sys.stdout.flush()
    sys.stdout.buffer.write(f"{text}\n".encode())
    sys.stdout.buffer.flush()


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = (), whole: str | None = None
) -> None:
    """A table without frames; the columns named in right are flush right.

    whole: a column that other commands take what stands in it from, so it is never folded; where the terminal is
    too narrow for that, each row is shown as fields.
    """
    cells = [[Text(cell) for cell in row] for row in rows]
    console = Console(highlight=False)
    if whole is not None and _least_width(columns, cells, whole) > console.width:
        for position, row in enumerate(cells):
            if position:
                console.print()
            console.print(_fields_table((name, cell) for name, cell in zip(columns, row, strict=True) if cell))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        justify: JustifyMethod = "right" if column in right else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column == whole)
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[Text]], whole: str) -> int:
    """How wide a terminal has to be for a table that folds what it may, and still can be read."""
    width = _COLUMNS_APART * (len(columns) - 1)
    for position, name in enumerate(columns):
        natural = max(len(name), *(row[position].cell_len for row in rows))
        width += natural if name == whole else min(natural, _CELL_CHARS_LEAST)
    return width


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Names and values in two columns."""
    Console(highlight=False).print(_fields_table((name, Text(value)) for name, value in fields))


def _fields_table(fields: Iterable[tuple[str, Text]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(Text(name), value)
    return table


def shown(text: str) -> str:
    """Another agent's text, fit for a terminal: escapes spelled out, cut at a bound."""
    text = shown_lines(text)
    return text if len(text) <= _CELL_CHARS_MAX else text[: _CELL_CHARS_MAX - 1] + "…"


def value_text(value: AnyValue) -> str:
    """A value for a terminal."""
    if isinstance(value.value, bool):
        return "true" if value.value else "false"
    return shown(value.value)


def counted(count: int, noun: str) -> str:
    """A number and its noun, one or many."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def bar(cells: int) -> str:
    """A bar of so many cells, in what the output can show."""
    return ("█" if sys.stdout.encoding.lower().startswith("utf") else "#") * cells


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
    return _CONTROL.sub(_spelled, text)


def _spelled(found: re.Match[str]) -> str:
    """A character as JSON escapes it, in units of UTF-16."""
    units = found.group().encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
