"""How right answers are: shares of right ones, calibration, and sets against true sets.  Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

BINS_COUNT: Final = 10
_DIGITS: Final = 4  # of shares that may be sums of many rounded ones


class Judged(NamedTuple):
    """One answer: how sure it was, 0 to 1, and whether it was right."""

    confidence: float
    right: bool


class Bin(Struct, frozen=True):
    """Answers of about the same confidence, from low up to, not including, high (the last one: including).

    said: their mean confidence.  right: how many of them were right, as a part.
    """

    low: float
    high: float
    answers: int
    said: float
    right: float


class Overlap(NamedTuple):
    """A set of answers beside the true set: how many are in the one, in the other, in both."""

    found: int
    true: int
    both: int


class SetScore(NamedTuple):
    """Sets against true sets: over all their members, mean_f1 the mean over sets, exact the part of equal sets."""

    precision: float
    recall: float
    f1: float
    mean_f1: float
    exact: float


class Plain(NamedTuple):
    """A plain majority: the values that most sources claim, in the order of their text, and the part that does."""

    values: tuple[str, ...]
    share: float


def part(count: float, of: int) -> float:
    """A part; 0 of nothing."""
    return count / of if of else 0.0


def right_part(judged: Sequence[Judged]) -> float:
    """How many were right, as a part."""
    return part(sum(one.right for one in judged), len(judged))


def calibration(judged: Iterable[Judged], bins_count: int = BINS_COUNT) -> list[Bin]:
    """Bins of equal width that have answers, rising; sums of rounded shares fall where the exact ones would."""
    members: dict[int, list[Judged]] = {}
    for one in judged:
        at = int(round(one.confidence, _DIGITS) * bins_count + 1e-9)
        members.setdefault(min(at, bins_count - 1), []).append(one)
    return [
        Bin(
            at / bins_count,
            (at + 1) / bins_count,
            len(found),
            round(part(sum(one.confidence for one in found), len(found)), _DIGITS),
            right_part(found),
        )
        for at, found in sorted(members.items())
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """The expected calibration error: how far confidence is from truth, bin by bin, weighed by how many it has."""
    total = sum(one.answers for one in bins)
    return part(sum(one.answers * abs(one.said - one.right) for one in bins), total)


def score_sets(overlaps: Sequence[Overlap]) -> SetScore:
    """Precision, recall and F1 over all members of all sets, and over the sets."""
    found, true, both = (sum(column) for column in zip(*overlaps, strict=True)) if overlaps else (0, 0, 0)
    return SetScore(
        precision=part(both, found),
        recall=part(both, true),
        f1=part(2 * both, found + true),
        mean_f1=part(sum(part(2 * one.both, one.found + one.true) for one in overlaps), len(overlaps)),
        exact=part(sum(one.found == one.true == one.both for one in overlaps), len(overlaps)),
    )


def plain_majority(claims: Iterable[tuple[str, str]]) -> Plain:
    """From (source, value); a source that claims a value twice counts once.  Several values: a tie."""
    counts = Counter(value for _, value in set(claims))
    most = max(counts.values(), default=0)
    values = tuple(sorted(value for value, count in counts.items() if count == most))
    return Plain(values, part(most, sum(counts.values())))


def at_random(chances: Iterable[float]) -> tuple[float, float]:
    """Mean and standard deviation of the part that is right, if each answer is right with a chance of its own."""
    chances = list(chances)
    deviation = math.sqrt(sum(chance * (1 - chance) for chance in chances))
    return part(sum(chances), len(chances)), part(deviation, len(chances))
