"""A tree of places by name, and how claims of places are read with it.  Pure.

Who was born in a place was born in those that contain it, so two claims agree if the one's place contains the other's.
Several places may share a name; a name contains another if any place of the one does any of the other.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

_ROOT = "-1"


class Places:
    """Which names of places contain which."""

    def __init__(self, rows: Iterable[Mapping[str, str]]) -> None:
        """rows: with id, name and parent_id; the root's parent is -1."""
        by_id = {row["id"]: row for row in rows}
        self._above: dict[str, set[str]] = {}
        for row in by_id.values():
            above = self._above.setdefault(row["name"], set())
            parent = by_id.get(row["parent_id"])
            while parent is not None and parent["parent_id"] != _ROOT:
                above.add(parent["name"])
                parent = by_id.get(parent["parent_id"])
            above.discard(row["name"])

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a CSV file."""
        with path.open(encoding="utf-8", newline="") as file:
            return cls(csv.DictReader(file))

    def contains(self, outer: str, inner: str) -> bool:
        """Whether one name's place contains the other's."""
        return outer in self._above.get(inner, ())

    def agree(self, one: str, other: str) -> bool:
        """Whether two claims do not contradict each other."""
        return one == other or self.contains(one, other) or self.contains(other, one)

    def by_agreement(self, shares: Mapping[str, float], *, smallest: bool = False) -> str:
        """The value of the largest share; of several, the one that most of all claims agree with.

        shares: of values, the lens's first one first, which decides what still ties; with smallest, only after the
        place that lies within most others.
        """
        order = {name: at for at, name in enumerate(shares)}

        def rank(name: str) -> tuple[float, float, int, int]:
            agreed = sum(share for other, share in shares.items() if self.agree(name, other))
            depth = sum(self.contains(other, name) for other in shares) if smallest else 0
            return (round(shares[name], 4), round(agreed, 4), depth, -order[name])

        return max(shares, key=rank)

    def by_entailment(self, shares: Mapping[str, float]) -> str:
        """The value of the largest share if who claims a place claims those that contain it; the smallest of several.

        shares: as by_agreement takes them.
        """
        order = {name: at for at, name in enumerate(shares)}

        def rank(name: str) -> tuple[float, int, int]:
            entailed = sum(share for other, share in shares.items() if other == name or self.contains(name, other))
            depth = sum(self.contains(other, name) for other in shares)
            return (round(entailed, 4), depth, -order[name])

        return max(shares, key=rank)
