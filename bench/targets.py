"""What the figures are held to, and whether they reach it.

A ratio is taken within a round, between figures that were measured beside each
other, and the median of the rounds' ratios is what is judged: a machine that
was slow in one round was slow for both.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from bench.measured import (
    BARE,
    BUNDLES,
    FULL,
    HELD,
    INGEST,
    LIMIT,
    OURS,
    POST_MANY,
    POST_ONE,
    QUERY,
    READABLE,
    Key,
)

Values = Mapping[Key, Sequence[float | None]]  # one of each round, None where there is none
POSTGRESQL: Final = "PostgreSQL"
FDATASYNC: Final = "fdatasync"
VERIFY: Final = "verify"
HELD_SHARE: Final = 0.8


class Target(NamedTuple):
    """A figure against others: at least, or at most, factor times their sum; without others, factor itself."""

    row: str
    bound: Literal["at least", "at most"]
    factor: float
    against: tuple[Key, ...] = ()
    of: str = ""  # what the others are, in words


class Verdict(NamedTuple):
    """One target, judged for one of those who did the work."""

    target: Target
    who: str
    ratios: tuple[float, ...]  # of the rounds that have all figures; seconds, where there are no others
    met: bool | None  # None: not measured

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)


TARGETS: Final = (
    Target(POST_MANY, "at least", 0.40, (Key(POST_MANY, BARE),), "the bare POST"),
    Target(POST_MANY, "at least", 3.0, (Key(POST_MANY, POSTGRESQL),), "the PostgreSQL service"),
    Target(POST_ONE, "at most", 1.6, (Key(FDATASYNC, LIMIT), Key(POST_ONE, BARE)), "fdatasync + bare round trip"),
    Target(INGEST, "at least", 0.50, (Key(VERIFY, LIMIT),), "libsodium on all cores"),
    Target(BUNDLES, "at least", 2.0, (Key(INGEST, OURS),), "individually signed claims"),
    Target(QUERY, "at least", 0.40, (Key(QUERY, BARE),), "the bare GET"),
    Target(FULL, "at least", 0.5, (Key(FULL, POSTGRESQL),), "the PostgreSQL service"),
    Target(READABLE, "at most", 0.005),
)
_RATES: Final = (POST_MANY, INGEST, BUNDLES, QUERY, FULL)
HELD_TARGETS: Final = (
    *(Target(row, "at least", HELD_SHARE, (Key(row, OURS),), "the empty store") for row in _RATES),
    *(Target(row, "at most", 1 / HELD_SHARE, (Key(row, OURS),), "the empty store") for row in (POST_ONE, READABLE)),
)


def verdicts(values: Values) -> list[Verdict]:
    """Every target, judged for each who has done its work; for ours in any case."""
    whos = dict.fromkeys(key.who for key in values if key.who.startswith(OURS))
    found = []
    for target in TARGETS:
        doing = [who for who in whos if who != HELD and Key(target.row, who) in values]
        found += [judge(target, who, values) for who in dict.fromkeys((OURS, *doing))]
    return found + [judge(target, HELD, values) for target in HELD_TARGETS]


def judge(target: Target, who: str, values: Values) -> Verdict:
    """Whether the median of the rounds' ratios is within the target."""
    # Bundles are held against the claims that the same processes took one by one.
    keys = [Key(key.row, who) if key.who == OURS and who != HELD else key for key in target.against]
    series = [values.get(key, ()) for key in (Key(target.row, who), *keys)]
    ratios = []
    for value, *others in zip(*series, strict=False):
        if value is not None and None not in others:
            ratios.append(value / sum(other for other in others if other is not None) if others else value)
    return Verdict(target, who, tuple(ratios), _met(target, ratios))


def _met(target: Target, ratios: Sequence[float]) -> bool | None:
    if not ratios:
        return None
    median = statistics.median(ratios)
    return median >= target.factor if target.bound == "at least" else median <= target.factor
