"""What held as of a position: the newest row in a place of its own, earlier ones under inverted positions.

Of those the latest comes first, so what held as of a position is the newest
row, or else the first of one short scan.  A row that comes late, after newer
ones, takes its place among the earlier.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from keycodec import inverse_of, parse
from stores.kv import Reader


class Placed(Protocol):
    """A row that holds from a position of the log on."""

    @property
    def seq(self) -> int:
        """That position."""


Row = TypeVar("Row", bound=Placed)


def in_turn(newest: Row | None, row: Row) -> tuple[Row, Row | None]:
    """Which row holds now, and which one does no more: the later position holds."""
    if newest is None or newest.seq == row.seq:
        return row, None
    return (row, newest) if newest.seq < row.seq else (newest, row)


def past_row(reader: Reader, prefix: bytes, key_of: Callable[[int], bytes], at: int) -> bytes | None:
    """The row of the last position up to `at`; key_of: the key under prefix of an inverted position."""
    inverse = inverse_of(at)
    start = key_of(inverse - 1) if inverse else None
    for _, data in reader.scan(prefix, after=start, count_max=1):
        return data
    return None


def past_positions(reader: Reader, prefix: bytes, newest: Placed | None, *, count_max: int) -> list[int]:
    """The positions of the newest row and the earlier ones, in log order; of more than count_max the last ones."""
    if newest is None or count_max < 1:
        return []
    keys = [key for key, _ in reader.scan(prefix, count_max=count_max - 1)]
    return sorted([newest.seq, *(inverse_of(parse(key).number("inverse")) for key in keys)])
