"""Small HTML tables for notebooks.  Pure.

What agents wrote is data: it is escaped, cut, and never a link or a script.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

CELL_CHARS_MAX: Final = 200
ROWS_MAX: Final = 20


def html_table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], rows_count: int) -> str:
    """A table of at most ROWS_MAX of rows_count rows."""
    body = [list(row) for row, _ in zip(rows, range(ROWS_MAX), strict=False)]
    head = "".join(f"<th>{_cell(column)}</th>" for column in columns)
    lines = "".join(f"<tr>{''.join(f'<td>{_cell(text)}</td>' for text in row)}</tr>" for row in body)
    left = rows_count - len(body)
    more = f'<tr><td colspan="{len(columns)}">and {left:,} more</td></tr>' if left > 0 else ""
    return (
        f'<table><caption style="text-align:left">{_cell(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{lines}{more}</tbody></table>"
    )


def _cell(text: str) -> str:
    cut = text if len(text) <= CELL_CHARS_MAX else f"{text[: CELL_CHARS_MAX - 1]}…"
    return escape("".join(character if character.isprintable() else "·" for character in cut))
