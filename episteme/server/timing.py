"""Numbers that grow, as cheap as they can be: plain integers in the thread that has them.

A scrape may see one observation in the count and not yet in the sum, which no
rate shows.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
COUNTS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


class Timing:
    """A histogram.  Counted in one thread at a time, read in any."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        """bounds: upper ones, included, ascending."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    @property
    def counts(self) -> list[int]:
        """How many there were up to each bound and above the one before; the last above all of them."""
        return self._counts

    def merge(self, counts: Sequence[int], total: float) -> None:
        """Count what another one of the same bounds has counted."""
        self._counts = [mine + theirs for mine, theirs in zip(self._counts, counts, strict=True)]
        self.sum += total

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds, as Prometheus writes them, with how many observations are at most that."""
        bounds = [*(f"{float(bound)}" for bound in self._bounds), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self._counts)), strict=True))
