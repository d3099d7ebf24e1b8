"""What the command line prints: data to stdout, talk to stderr; tables on a terminal, JSON lines in a pipe.

Text that other agents wrote is shown as data: control characters are spelled
out, markup is not interpreted.
"""

import csv
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from enum import StrEnum
from io import StringIO
from typing import Any, NoReturn

import msgspec
import typer
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from episteme.cli.flat import columns_of, row_of
from episteme.errors import EXIT_NOTHING, PROBLEMS, EpistemeError
from model import AnyValue

# What a terminal obeys or does not show: controls, marks of direction, characters of no width, line breaks of Unicode.
_UNSEEN = "\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f"
_CONTROL = re.compile(f"[\x00-\x1f{_UNSEEN}]")
_CONTROL_IN_JSON = re.compile(f"[{_UNSEEN}]")  # the others JSON has escaped, and those between its values are ours
_CELL_CHARS_MAX = 200
_CELL_CHARS_LEAST = 19  # narrower, a cell of words is no pleasure to read
_WORD_CHARS_LEAST = 8  # narrower, nor is a word that had to be broken
_SHORT_HASH = re.compile("[0-9a-f]{12}")
_COLUMNS_APART = 2

talk = Console(stderr=True, highlight=False, soft_wrap=True)
debugging: ContextVar[bool] = ContextVar("debugging", default=False)  # whether errors come with a traceback


class Output(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


def chosen(output: Output | None) -> Output:
    """What was asked for; else a table on a terminal and JSON lines in a pipe."""
    if output is not None:
        return output
    return Output.TABLE if sys.stdout.isatty() else Output.JSONL


def print_json(data: Any, output: Output, *, first: bool = True) -> None:
    """One value, in UTF-8 whatever the locale: indented for json, one line for jsonl and csv.

    first: whether it is the first of a list: then csv begins with the names of the columns.
    """
    if output is Output.CSV:
        _write(_csv(data, first=first))
        return
    encoded = msgspec.json.encode(data)
    if output is Output.JSON:
        encoded = msgspec.json.format(encoded, indent=2)
    _write(_CONTROL_IN_JSON.sub(_spelled, encoded.decode("utf-8")) + "\n")


def print_list(items: Sequence[Any], output: Output, *, first: bool = True) -> None:
    """Items: an array for json, else a line each; first: as print_json."""
    if output is Output.JSON:
        print_json(list(items), output)
        return
    for item in items:
        print_json(item, output, first=first)
        first = False


def _csv(data: Any, *, first: bool) -> str:
    """A line of CSV, whatever the value holds; controls are spelled out, so that a line stays one."""
    columns = columns_of(data)
    lines = StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    if first:
        writer.writerow(columns)
    writer.writerow(shown_lines(cell) for cell in row_of(data, columns))
    return lines.getvalue()


def _write(text: str) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = (), whole: str | None = None
) -> None:
    """A table without frames; the columns named in right are flush right.

    whole: a column that other commands take what stands in it from, so it is never folded; where the terminal is
    too narrow for that, or for the words of the others, each row is shown as fields.
    """
    cells = [[Text(cell) for cell in row] for row in rows]
    console = Console(highlight=False)
    widths = _fitting_widths(columns, cells, whole, console.width)
    if widths is None:
        for position, row in enumerate(cells):
            if position:
                console.print()
            console.print(_fields_table((name, cell) for name, cell in zip(columns, row, strict=True) if cell))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, width in zip(columns, widths, strict=True):
        justify: JustifyMethod = "right" if name in right else "left"
        table.add_column(name, justify=justify, overflow="fold", width=width)
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _fitting_widths(
    columns: Sequence[str], rows: Sequence[Sequence[Text]], whole: str | None, console_width: int
) -> list[int] | None:
    """How wide each column is: as it would like to be, or less, the widest first; None if that cannot be read.

    What is short is folded only if need be, then words are broken, but never the names of columns, nor hashes.
    """
    room = console_width - _COLUMNS_APART * (len(columns) - 1)
    widths, floors = [], []
    for at, name in enumerate(columns):
        texts = [name, *(row[at].plain for row in rows)]
        width = max(map(cell_len, texts))
        is_firm = name == whole or any(map(_SHORT_HASH.fullmatch, texts))
        word = width if is_firm else max((cell_len(word) for text in texts for word in text.split()), default=0)
        short, broken = max(_CELL_CHARS_LEAST, len(name)), max([_WORD_CHARS_LEAST, *map(len, name.split())])
        widths.append(width)
        floors.append((width,) * 3 if is_firm else (min(width, short), min(word, short), min(word, broken)))
    for least in zip(*floors, strict=True):
        if sum(least) <= room:
            return _narrowed(widths, least, room)
    return None


def _narrowed(widths: list[int], least: Sequence[int], room: int) -> list[int]:
    """Widths that come to at most room: the widest give way first, and none below its least."""
    while sum(widths) > room:
        at = max((at for at in range(len(widths)) if widths[at] > least[at]), key=lambda at: widths[at])
        widths[at] -= 1
    return widths


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


def size_text(size_bytes: int) -> str:
    """A size, in the unit that leaves one to three digits before the point."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    size, unit = size_bytes / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if size >= 1000:
            size, unit = size / 1000, larger
    return f"{size:.1f} {unit}"


def span_text(span_s: float) -> str:
    """A length of time, in its two largest units."""
    seconds = int(span_s)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3600} h"


def bar(cells: int) -> str:
    """A bar of so many cells, in what the output can show."""
    return ("█" if sys.stdout.encoding.lower().startswith("utf") else "#") * cells


def short(hash_hex: str) -> str:
    """The first digits of a hash, enough for a person."""
    return hash_hex[:12]


def nothing(what: str = "nothing found") -> NoReturn:
    """Say that there is nothing to show, then leave with the exit code of that."""
    talk.print(what, markup=False)
    raise typer.Exit(EXIT_NOTHING)


def fail(error: EpistemeError) -> NoReturn:
    """Say what, why and what to do, then leave with the code's exit code."""
    talk.print(Text.assemble(("error: ", "bold red"), shown_lines(error.detail)))
    for problem in error.errors:
        if problem.detail not in error.detail:
            talk.print(Text(f"  {problem.pointer}: {shown_lines(problem.detail)}"))
    talk.print(Text(f"  hint: {error.hint}"))
    talk.print(Text(f"  code: {error.code}", style="dim"))
    if debugging.get():
        talk.print(Text(shown_lines("".join(traceback.format_exception(error)), lines=True)))
    raise typer.Exit(PROBLEMS[error.code].exit_code)


def shown_lines(text: str, *, lines: bool = False) -> str:
    """As shown, without the cut; lines: its line breaks are ours, and stay."""
    if lines:
        return "\n".join(map(shown_lines, text.split("\n")))
    return _CONTROL.sub(_spelled, text)


def _spelled(found: re.Match[str]) -> str:
    """A character as JSON escapes it, in units of UTF-16."""
    units = found.group().encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
