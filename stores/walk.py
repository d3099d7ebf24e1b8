"""Following links from one thing to the next, with a bound, and round no loop twice."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

Node = TypeVar("Node")


class Walk(NamedTuple, Generic[Node]):
    """The nodes in the order of the links, the start first.

    loop_start: the index at which the last node's link leads back; None if the links ended, or the bound came first.
    """

    nodes: list[Node]
    loop_start: int | None


def walk(start: Node, follow: Callable[[Node], Node | None], *, count_max: int) -> Walk[Node]:
    """Follow links from start until they end, lead back, or count_max nodes were seen; nodes are hashable."""
    seen = {start: 0}
    node = start
    while len(seen) < count_max:
        following = follow(node)
        if following is None:
            break
        if following in seen:
            return Walk(list(seen), seen[following])
        seen[following] = len(seen)
        node = following
    return Walk(list(seen), None)
