"""What the queries of the domain models share, and their checks.  Pure."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from cortex.models.checks import TAG_BYTES_MAX, TAGS_MAX, check_line, check_range
from cortex.models.refusals import InvalidCommand, InvalidQuery
from wal.format import TIME_MS_MAX

TEXT_BYTES_MAX: Final = 256


class Question(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records; what is not given does not matter."""

    tags_any: Sequence[str] = ()  # at least one of them
    tags_all: Sequence[str] = ()  # and all of these
    text: str | None = None
    created_from_ms: int | None = None
    created_before_ms: int | None = None


Asked = TypeVar("Asked", bound=Question)


def checked_question(query: Any, type_: type[Asked], **line_bytes_max: int) -> Asked:
    """A query whose fields are what their types say and within their bounds.

    line_bytes_max: of the texts by which this type of query asks beside those of all.
    Raises: InvalidQuery.
    """
    if not isinstance(query, type_):
        raise InvalidQuery(f"the query is {query!r:.80}; it must be a {type_.__name__}")
    try:
        checked: Asked = msgspec.convert(msgspec.to_builtins(query), type_)
        _check_bounds(checked)
        for name, bytes_max in {"text": TEXT_BYTES_MAX, **line_bytes_max}.items():
            if getattr(checked, name) is not None:
                check_line(name, getattr(checked, name), bytes_max)
    except (TypeError, msgspec.ValidationError, InvalidCommand) as error:
        raise InvalidQuery(f"the query cannot be: {error}") from error
    return checked


def has_tags(query: Question, tags: Sequence[str]) -> bool:
    """Whether a record with these tags is asked for."""
    return all(tag in tags for tag in query.tags_all) and (
        not query.tags_any or any(tag in tags for tag in query.tags_any)
    )


def labels_of(query: Question, prefix: bytes = b"") -> list[bytes]:
    """The labels under one of which every record is that has the tags; none if any record may be asked for."""
    tags = query.tags_all[:1] or sorted(set(query.tags_any))
    return [prefix + tag.encode() for tag in tags]


def _check_bounds(query: Question) -> None:
    for tags in (query.tags_any, query.tags_all):
        if len(tags) > TAGS_MAX:
            raise InvalidCommand(f"there are {len(tags)} tags; there may be {TAGS_MAX}")
        for tag in tags:
            check_line("a tag", tag, TAG_BYTES_MAX)
    for name in ("created_from_ms", "created_before_ms"):
        if getattr(query, name) is not None:
            check_range(name, getattr(query, name), 0, TIME_MS_MAX)
