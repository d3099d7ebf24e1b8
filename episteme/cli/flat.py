"""Answers as rows of CSV: a column for each field, fields of fields behind a dot, lists as JSON.

Columns come from the type, not from what is there, so that all rows of a list have the same ones.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

import msgspec
from msgspec import Struct, UnsetType

from model import AnyValue

_DEPTH_MAX: Final = 4
# A spreadsheet takes such a text for a formula, and runs it; numbers it may have.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_NUMBER: Final = re.compile(r"[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?")
_VALUES: Final = frozenset(get_args(AnyValue))


def columns_of(data: Any) -> list[str]:
    """The names of the columns: of a struct or of a mapping; else one, "value"."""
    if isinstance(data, Struct):
        return list(_columns(type(data), "", 0))
    return list(data) if isinstance(data, Mapping) else ["value"]


def row_of(data: Any, columns: Sequence[str]) -> list[str]:
    """A cell for each column."""
    plain = msgspec.to_builtins(data)
    if not isinstance(plain, dict):
        return [_cell(plain)]
    return [_cell(_found(plain, column)) for column in columns]


def _columns(kind: type[Struct], path: str, depth: int) -> Iterator[str]:
    tag_field = kind.__struct_config__.tag_field
    if tag_field is not None:
        yield path + tag_field
    for field in msgspec.structs.fields(kind):
        name = path + field.encode_name
        is_union = get_origin(field.type) in (Union, UnionType)
        members = set(get_args(field.type) if is_union else (field.type,)) - {NoneType, UnsetType}
        inner = next(iter(members)) if len(members) == 1 else None
        if members and members <= _VALUES:
            yield from (f"{name}.type", f"{name}.value")
        elif isinstance(inner, type) and issubclass(inner, Struct) and depth < _DEPTH_MAX:
            yield from _columns(inner, f"{name}.", depth + 1)
        else:
            yield name


def _found(plain: Any, column: str) -> Any:
    """What is at a path; a name may itself hold dots."""
    if column in plain:
        return plain[column]
    for name in column.split("."):
        plain = plain.get(name) if isinstance(plain, dict) else None
    return plain


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) and not _NUMBER.fullmatch(value) else value
    if isinstance(value, int | float):
        return str(value)
    return msgspec.json.encode(value).decode("utf-8")
