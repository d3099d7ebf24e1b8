"""A sorted set of keys that stays quick to add to, whatever its size: blocks of a bounded length."""

from bisect import bisect_left, insort
from typing import Final

_BLOCK_MAX: Final = 1024  # a longer block is cut in two: moving its rest must cost less than finding the place


class SortedKeys:
    """Keys in byte order, none twice."""

    def __init__(self) -> None:
        self._blocks: list[list[bytes]] = []
        self._lasts: list[bytes] = []  # of each block, its greatest key

    def add(self, key: bytes) -> None:
        """Add a key that is not there."""
        if not self._blocks:
            self._blocks.append([key])
            self._lasts.append(key)
            return
        place = min(bisect_left(self._lasts, key), len(self._lasts) - 1)
        block = self._blocks[place]
        insort(block, key)
        if len(block) > _BLOCK_MAX:
            half = len(block) // 2
            self._blocks[place : place + 1] = [block[:half], block[half:]]
            self._lasts[place : place + 1] = [block[half - 1], block[-1]]
        else:
            self._lasts[place] = block[-1]

    def remove(self, key: bytes) -> None:
        """Remove a key that is there."""
        place = bisect_left(self._lasts, key)
        block = self._blocks[place]
        del block[bisect_left(block, key)]
        if block:
            self._lasts[place] = block[-1]
        else:
            del self._blocks[place], self._lasts[place]

    def between(self, start: bytes, end: bytes | None, count_max: int) -> list[bytes]:
        """Keys from start on and before end, in order, at most count_max."""
        found: list[bytes] = []
        for place in range(bisect_left(self._lasts, start), len(self._blocks)):
            block = self._blocks[place]
            first = 0 if found else bisect_left(block, start)
            last = len(block) if end is None else bisect_left(block, end)
            found += block[first : min(last, first + count_max - len(found))]
            if last < len(block) or len(found) == count_max:
                break
        return found
