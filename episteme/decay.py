"""Halving by age, for claims and for trust, in integers alone: the same on any machine.

2^-x for 0 <= x < 1 is the product of 2^-(1/2), 2^-(1/4) ... over the bits of x;
each factor is the square root of the one before, taken once, in fixed point.
What that leaves out is some 10^-19 of the result, and a millisecond of the
longest half-life allowed changes more, so that nothing ever grows with age.

Source: docs/lenses.md, "Decay"; docs/governance.md, "Trust".
"""

import re
from math import isqrt
from typing import Final

from msgspec import Struct

from episteme.errors import FieldProblem, InvalidParameter
from stores import TRUST_START_MICROS

DAY_MS: Final = 86_400_000
TRUST_HALF_LIFE_MS: Final = 30 * DAY_MS
HALF_LIFE_MS_MAX: Final = 36_525 * DAY_MS  # a century: slower is as good as never
TIERS: Final = "tiers"
TIER_HALF_LIVES_DAYS: Final = (None, 730, 365, 180, 90, 30)  # of tiers 0 to 5; None: never

_POINT_BITS: Final = 128
_AGE_BITS: Final = 64  # of the part of a half-life, in binary places
_UNIT_MS: Final = {"m": 60_000, "h": 3_600_000, "d": DAY_MS}
_SPAN = re.compile(r"([0-9]{1,9})([mhd])")


def _factors() -> tuple[tuple[int, int], ...]:
    """For each binary place of an age, the highest first: its bit, and two to the minus of what it stands for."""
    factors = []
    factor = 1 << _POINT_BITS - 1
    for place in range(1, _AGE_BITS + 1):
        factor = isqrt(factor << _POINT_BITS)
        factors.append((1 << _AGE_BITS - place, factor))
    return tuple(factors)


_FACTORS: Final = _factors()


def halve(micros: int, age_ms: int, half_life_ms: int) -> int:
    """Micros times 2^(-age / half-life), rounded half up; exact at whole half-lives, never more at a higher age.

    micros, age_ms: 0 or more.  half_life_ms: above 0.
    """
    assert micros >= 0 <= age_ms, f"{micros} millionths, {age_ms} ms"
    times, rest_ms = divmod(age_ms, half_life_ms)
    if times > micros.bit_length():
        return 0
    part = (rest_ms << _AGE_BITS) // half_life_ms
    value = micros << _POINT_BITS
    for bit, factor in _FACTORS:
        if part & bit:
            value = value * factor >> _POINT_BITS
    shift = _POINT_BITS + times
    return (value + (1 << shift - 1)) >> shift


def drifted(score_micros: int, from_ms: int, to_ms: int) -> int:
    """Trust that nothing has judged from one moment to another: back to 0.5, by half every 30 days."""
    age_ms = max(0, to_ms - from_ms)
    away = score_micros - TRUST_START_MICROS
    left = halve(abs(away), age_ms, TRUST_HALF_LIFE_MS)
    return TRUST_START_MICROS + (left if away >= 0 else -left)


class Decay(Struct, frozen=True):
    """How confidence fades with age: by one half-life for all claims, or by tier.

    half_lives_ms: of tiers 0 to 5; None: never.
    """

    half_lives_ms: tuple[int | None, ...]

    @classmethod
    def parse(cls, text: str) -> "Decay":
        """From 'tiers', or one half-life such as '30d', '12h' or '90m'.  Raises: InvalidParameter."""
        if text == TIERS:
            return cls(tuple(None if days is None else days * DAY_MS for days in TIER_HALF_LIVES_DAYS))
        match = _SPAN.fullmatch(text)
        if match is None:
            raise _invalid(f"is {text[:40]!r}; write {TIERS}, or a half-life such as 30d, 12h or 90m")
        half_life_ms = int(match[1]) * _UNIT_MS[match[2]]
        if not 0 < half_life_ms <= HALF_LIFE_MS_MAX:
            raise _invalid(f"is {text}; a half-life is above 0, at most {HALF_LIFE_MS_MAX // DAY_MS}d")
        return cls((half_life_ms,) * len(TIER_HALF_LIVES_DAYS))

    def confidence(self, micros: int, tier: int, age_ms: int) -> int:
        """What age leaves of a confidence, in millionths; a claim from the future is as good as new."""
        half_life_ms = self.half_lives_ms[tier]
        return micros if half_life_ms is None else halve(micros, max(0, age_ms), half_life_ms)


def _invalid(detail: str) -> InvalidParameter:
    return InvalidParameter(f"decay {detail}", errors=(FieldProblem("decay", detail),))
