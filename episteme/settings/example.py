"""A file of settings in which every line is there and commented out."""

import json
from collections.abc import Iterator

from episteme.settings.table import SETTINGS, Setting, Value
from episteme.settings.values import shown_value, takes

_HEAD = """\
# Settings of Episteme.  Flags of `episteme serve` and EPISTEME_... variables are stronger than this file.
# Each line shows the default; take the mark away to change it.
"""


def example_file() -> str:
    """TOML, in the order of the table; what has no dot comes first, as TOML wants it."""
    blocks = [_HEAD]
    for table in sorted({name.rpartition(".")[0] for name in SETTINGS}):
        lines = [f"[{table}]"] if table else []
        blocks.append("\n".join([*lines, *_lines(table)]) + "\n")
    return "\n".join(blocks)


def _lines(table: str) -> Iterator[str]:
    for setting in SETTINGS.values():
        if setting.name.rpartition(".")[0] == table:
            yield f"# {setting.description} ({takes(setting)})"
            yield f"#{setting.name.rpartition('.')[2]} = {_toml(setting, setting.default)}"


def _toml(setting: Setting, value: Value) -> str:
    if isinstance(value, tuple):
        return json.dumps(list(value))
    text = shown_value(setting, value)
    is_plain = isinstance(value, bool) or (isinstance(value, int) and setting.unit is None)
    return text if is_plain else json.dumps(text)
