"""Lists that are read page by page, keys that no other test has, and a position that no log has."""

from collections.abc import Callable
from typing import Any

from model import SigningKey

FAR = 10**12


def key_of(number: int) -> SigningKey:
    """A key that no other test has."""
    return SigningKey(number.to_bytes(32, "big"))


def items_of(read: Callable[..., Any], limit: int, **asked: Any) -> list[Any]:
    """All items of a list, page by page; no page is larger than the limit, and none but the last is short."""
    items: list[Any] = []
    cursor = None
    while True:
        page = read(limit=limit, cursor=cursor, **asked)
        assert len(page.items) <= limit
        items += page.items
        if page.next is None:
            return items
        assert len(page.items) == limit
        cursor = page.next
