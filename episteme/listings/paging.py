"""Pages: so many items of a list, and an opaque cursor for those that follow.

A cursor says where in the order of its list a page ended, and holds a seal of
the question: given with another question it is refused, for it would skip
items without a word.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from blake3 import blake3
from msgspec import Struct

from episteme.errors import InvalidParameter
from episteme.parameters import invalid_parameter

PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1000  # items of a page: at 2 KB each, a body of 2 MB
CURSOR_CHARS_MAX: Final = 1024  # the longest holds a subject and a predicate
UNPAGED: Final = frozenset({"limit", "cursor", "min_seq", "wait"})  # parameters that do not change what is listed

_SEAL_BYTES: Final = 6  # one in 281 million million others would pass
_NO_CURSOR: Final = "is not one that this list gave for this question"

Item = TypeVar("Item")
Place = TypeVar("Place")


class Paging(Struct, frozen=True):
    """Which page is wanted: at most limit items, after a place in the list's order; None: from the start.

    seal: tells the question from every other.
    """

    limit: int = PAGE_DEFAULT
    place: Any = None
    seal: bytes = b""

    def after(self, kind: Callable[[Any], Place]) -> Place | None:
        """The place to go on after, exclusive.

        kind: makes one of this list's own places of what a cursor held, or raises TypeError or ValueError.
        Raises: InvalidParameter for a cursor that this list did not give.
        """
        if self.place is None:
            return None
        try:
            return kind(self.place)
        except (TypeError, ValueError) as error:
            raise bad_cursor() from error

    def next(self, place: Any) -> str:
        """The cursor of what follows a place."""
        return urlsafe_b64encode(msgspec.msgpack.encode((self.seal, place))).rstrip(b"=").decode("ascii")

    def cut(self, found: Sequence[Item], place_of: Callable[[Item], Any]) -> tuple[Sequence[Item], str | None]:
        """The page, and the cursor of the next, from one item more than the page may hold, if there are as many."""
        if len(found) <= self.limit:
            return found, None
        return found[: self.limit], self.next(place_of(found[self.limit - 1]))


def open_cursor(cursor: str, seal: bytes) -> Any:
    """The place that a cursor holds.  Raises: InvalidParameter for one that was not given for this question."""
    try:
        found, place = msgspec.msgpack.decode(urlsafe_b64decode(cursor.encode("ascii") + b"=="))
    except (binascii.Error, msgspec.DecodeError, TypeError, ValueError, RecursionError) as error:
        raise bad_cursor() from error
    if found != seal or place is None:
        raise bad_cursor()
    return place


def seal_of(path: str, asked: Mapping[str, str]) -> bytes:
    """What tells a question from every other: its path and its parameters, but for those that choose a page."""
    told = sorted((name, text) for name, text in asked.items() if name not in UNPAGED)
    return blake3(msgspec.msgpack.encode((path, told))).digest(length=_SEAL_BYTES)


def bad_cursor() -> InvalidParameter:
    """The refusal of a cursor."""
    return invalid_parameter("cursor", _NO_CURSOR)


def text_place(place: Any) -> str:
    """A place that is one text."""
    if not isinstance(place, str):
        raise TypeError(place)
    return place


def number_place(place: Any) -> int:
    """A place that is a number: a log position."""
    if not isinstance(place, int) or not 0 <= place < 1 << 63:
        raise TypeError(place)
    return place
