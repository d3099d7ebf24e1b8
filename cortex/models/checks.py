"""Bounds of what the domain models take: texts, ids, tags, numbers.  Pure.

The same checks run on a command before it is written and on an event that is
read, so that no row can become longer than the store takes.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from cortex.models.refusals import InvalidCommand

ID_CHARACTERS_MAX: Final = 64
KEY_BYTES_MAX: Final = 128
LINE_BYTES_MAX: Final = 400  # of a title, also when case is folded: index keys hold it, and LMDB's end at 511
TAG_BYTES_MAX: Final = 64
TAGS_MAX: Final = 32  # each is a row of an index
TEXT_BYTES_MAX: Final = 64 * 1024  # a frame holds it, and every read of the row; larger things belong in files

_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")


def is_id(value: object) -> bool:
    """Whether a record can have this id."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def check_id(name: str, value: str) -> None:
    """Raises: InvalidCommand."""
    if not is_id(value):
        raise InvalidCommand(f"{name} is {_shown(value)}; it must be 1 to {ID_CHARACTERS_MAX} of A-Z a-z 0-9 . _ : -")


def check_line(name: str, value: str, bytes_max: int = LINE_BYTES_MAX) -> None:
    """A text of one line, not empty.  Raises: InvalidCommand."""
    if isinstance(value, str) and value.isascii() and value.isprintable() and 1 <= len(value) <= bytes_max:
        return  # nearly all of them
    size = _size(name, value)
    if not 1 <= size <= bytes_max:
        raise InvalidCommand(f"{name} takes {size} bytes; it may take 1 to {bytes_max}")
    if _CONTROL.search(value):
        raise InvalidCommand(f"{name} is {_shown(value)}; it may hold no control characters, line ends included")


def check_text(name: str, value: str, bytes_max: int = TEXT_BYTES_MAX, bytes_min: int = 0) -> None:
    """A text of any lines.  Raises: InvalidCommand."""
    size = _size(name, value)
    if not bytes_min <= size <= bytes_max:
        raise InvalidCommand(
            f"{name} takes {size} bytes; it may take {bytes_min} to {bytes_max}. Keep more in a file and name that"
        )


def check_tags(tags: Sequence[str]) -> None:
    """Raises: InvalidCommand."""
    if len(tags) > TAGS_MAX:
        raise InvalidCommand(f"there are {len(tags)} tags; there may be {TAGS_MAX}")
    for tag in tags:
        check_line("a tag", tag, TAG_BYTES_MAX)
    if any(one >= next_ for one, next_ in pairwise(tags)):
        raise InvalidCommand("tags must be in order, each once")


def sorted_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags in order, each once.  Raises: InvalidCommand for what is no sequence of texts."""
    if not isinstance(tags, str) and isinstance(tags, Iterable):
        listed = list(tags)
        if all(isinstance(tag, str) for tag in listed):
            return tuple(sorted(set(listed)))
    raise InvalidCommand(f"tags are {_shown(tags)}; they must be a list of texts")


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Raises: InvalidCommand."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidCommand(f"{name} is {_shown(value)}; it must be a whole number from {low} to {high}")


def _size(name: str, value: str) -> int:
    if not isinstance(value, str):
        raise InvalidCommand(f"{name} is {_shown(value)}; it must be a text")
    try:
        return len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidCommand(
            f"{name} holds half a surrogate pair at character {error.start}; send whole text"
        ) from error


def _shown(value: object) -> str:
    return f"{value!r:.80}"
