"""What makes two values the same, by the rule of their predicate.  Pure.

A key stands for a value: equal keys, equal values.  Numbers are compared as
exact decimals, never as doubles, and no exponent is ever written out.

Source: docs/lenses.md, "From claims to groups".
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec import Struct

from model import AnyValue, BooleanValue, NumberValue, ReferenceValue, TextValue
from stores import ClaimObject

ValueKey = tuple[str, str]

_SHORT: Final = 64  # characters of a value that is worth remembering: the caches hold a few hundred kilobytes at most
_REMEMBERED: Final = 4096
# A number is below 1e309 and has at most 400 digits, whose last is at 1e-10399 or above; a tolerance is within that.
_EXACT: Final = Context(
    prec=12_000,
    Emax=MAX_EMAX,
    Emin=MIN_EMIN,
    traps=[Inexact, InvalidOperation, Overflow, DivisionByZero],
)


class Comparison(Struct, frozen=True):
    """How the values of a predicate are compared.

    many: a claim says a set.  tolerance: by how much numbers of one value may differ, as a decimal.
    separator: where a text is taken apart, if many.  same_as: a reference to the subject that stands for it.
    """

    many: bool = False
    tolerance: str | None = None
    separator: str | None = None
    same_as: Mapping[str, str] = {}


PLAIN: Final = Comparison()


class Element(NamedTuple):
    """One of the values that a claim says, and its spelling."""

    key: ValueKey
    object: ClaimObject


def value_key(value: AnyValue) -> ValueKey:
    """What makes two values the same: text after NFC and trimming, numbers as exact decimals."""
    return key_of(str(value.__struct_config__.tag), value.value)


def key_of(kind: str, value: str | bool) -> ValueKey:
    """The same from a value's type and what it holds."""
    match kind:
        case "text":
            return (kind, _plain_text(str(value)))
        case "number":
            return (kind, _exact_number(str(value)))
        case "boolean":
            return (kind, "true" if value else "false")
    return (kind, str(value))


def plain_key(said: ClaimObject) -> ValueKey:
    """The key of what a claim says where nothing is declared."""
    value = said.value
    if value is True or value is False or len(value) <= _SHORT:
        return _remembered_key(said.type, value)
    return key_of(said.type, value)


def key_under(said: ClaimObject, comparison: Comparison, elements: tuple[Element, ...]) -> ValueKey:
    """The key of what a claim says, tolerance aside; elements: as elements_of gives them, none unless many."""
    if comparison.many:
        return _key_of_set(elements)
    return _element_key(said, comparison)


def elements_of(said: ClaimObject, comparison: Comparison) -> tuple[Element, ...]:
    """The set that a claim of a many-valued predicate says: no two of one key, in the order of keys.

    Text is taken apart at the separator; parts are trimmed, empty ones dropped.
    """
    if said.type != "text":
        return (Element(_element_key(said, comparison), said),)
    text = unicodedata.normalize("NFC", str(said.value))
    separator = comparison.separator
    parts = text.split(unicodedata.normalize("NFC", separator)) if separator else [text]
    words = sorted({word for part in parts if (word := part.strip())})
    return tuple(Element(("text", word), ClaimObject("text", word)) for word in words)


def lowest_within(levels: Sequence[Iterable[ValueKey]], tolerance: str) -> Mapping[ValueKey, ValueKey]:
    """For each number that is one value with a lower one, the key of the lowest of that value.

    A value takes in all numbers from its lowest on that differ from it by at most the tolerance.  levels: one after
    another; a number of a later one joins an earlier one's value if it can, so that it changes none of those.
    """
    width = Decimal(tolerance)
    lowest: dict[ValueKey, ValueKey] = {}
    settled: list[_Spans] = []
    for keys in levels:
        spans = _Spans()
        for number, key in sorted([(Decimal(key[1]), key) for key in set(keys) if key[0] == "number"]):
            known = next((found for earlier in settled if (found := earlier.find(number)) is not None), None)
            if known is None:
                known = spans.find(number)
            if known is None:
                spans.begin(number, _EXACT.add(number, width), key)
            elif known != key:
                lowest[key] = known
        settled.append(spans)
    return lowest


def same_value(one: ClaimObject, other: ClaimObject, comparison: Comparison) -> bool:
    """Whether two claims say the same: equal values, or equal sets, or two numbers within the tolerance."""
    elements = [elements_of(said, comparison) if comparison.many else () for said in (one, other)]
    keys = (key_under(one, comparison, elements[0]), key_under(other, comparison, elements[1]))
    if keys[0] == keys[1]:
        return True
    return comparison.tolerance is not None and bool(lowest_within([keys], comparison.tolerance))


def value_of(said: ClaimObject) -> AnyValue:
    """What a claim says as a value of the model, as it was spelled."""
    value = said.value
    if value is True or value is False or len(value) <= _SHORT:
        return _remembered_value(said.type, value)
    return _value(said.type, value)


class _Spans:
    """From which number to which each value of one level reaches; they come in rising order and do not overlap."""

    def __init__(self) -> None:
        self._lows: list[Decimal] = []
        self._highs: list[Decimal] = []
        self._keys: list[ValueKey] = []

    def begin(self, low: Decimal, high: Decimal, key: ValueKey) -> None:
        """A value whose lowest number this is."""
        self._lows.append(low)
        self._highs.append(high)
        self._keys.append(key)

    def find(self, number: Decimal) -> ValueKey | None:
        """The key of the value that takes a number in."""
        place = bisect_right(self._lows, number) - 1
        return self._keys[place] if place >= 0 and number <= self._highs[place] else None


def _element_key(said: ClaimObject, comparison: Comparison) -> ValueKey:
    if said.type == "reference":
        subject = str(said.value)
        return ("reference", comparison.same_as.get(subject, subject))
    return plain_key(said)


def _key_of_set(elements: tuple[Element, ...]) -> ValueKey:
    """Of one element its own key; else the words with their lengths, so that no two sets share a key."""
    if len(elements) == 1:
        return elements[0].key
    return ("set", "".join([f"{len(element.key[1])}:{element.key[1]}" for element in elements]))


def _value(kind: str, value: str | bool) -> AnyValue:
    match kind:
        case "boolean":
            return BooleanValue(value is True)
        case "number":
            return NumberValue(str(value))
        case "reference":
            return ReferenceValue(str(value))
    return TextValue(str(value))


def _plain_text(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _exact_number(text: str) -> str:
    """A decimal's one spelling: sign, digits without zeros at either end, exponent of ten."""
    mantissa, _, exponent = text.lower().partition("e")
    sign, mantissa = ("-", mantissa[1:]) if mantissa.startswith("-") else ("", mantissa)
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "0"
    stripped = digits.rstrip("0")
    power = int(exponent or "0") - len(fraction) + len(digits) - len(stripped)
    return f"{sign}{stripped}e{power}"


_remembered_key = lru_cache(maxsize=_REMEMBERED)(key_of)  # values repeat
_remembered_value = lru_cache(maxsize=_REMEMBERED)(_value)
