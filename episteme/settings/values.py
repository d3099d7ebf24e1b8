"""Values of settings as people write them: sizes with units, times with units, truths; and back."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from episteme.settings.table import Setting, Unit, Value

NONE: Final = "none"

_TRUTHS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_NUMBER: Final = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?)\s*([A-Za-z]*)")
_DIGITS_MAX: Final = 40  # of a number: longer ones are no size and no time
_SHOWN_MAX: Final = 80

_SIZES: Final = {
    "tib": 2**40,
    "gib": 2**30,
    "mib": 2**20,
    "kib": 2**10,
    "tb": 10**12,
    "gb": 10**9,
    "mb": 10**6,
    "kb": 1000,
}
_SPANS_MS: Final = {"d": 86_400_000, "h": 3_600_000, "min": 60_000, "m": 60_000, "s": 1000, "ms": 1}
# How many of the setting's own unit a unit is.
_UNITS: Final[Mapping[Unit, Mapping[str, Decimal]]] = {
    "bytes": {"b": Decimal(1), "bytes": Decimal(1)} | {name: Decimal(size) for name, size in _SIZES.items()},
    "ms": {name: Decimal(span) for name, span in _SPANS_MS.items()},
    "s": {name: Decimal(span) / 1000 for name, span in _SPANS_MS.items()},
}


def value_of(setting: Setting, given: object) -> Value:
    """What a text, or a value of the file, says.

    given: a text of a flag or a variable, or what TOML has: a text, a number, a truth, a list of texts.
    Raises: ValueError, which says what it is and what it may be.
    """
    if setting.may_be_none and isinstance(given, str) and given.strip().lower() == NONE:
        return None
    found = _list(given) if setting.is_list else _single(setting, given)
    if found is None:
        raise ValueError(f"is {_said(given)}; it takes {takes(setting)}")
    return found


def takes(setting: Setting) -> str:
    """What a setting takes, for a person."""
    if setting.is_list:
        return "texts, with commas between"
    if setting.kind == "choice":
        return " or ".join(setting.choices)
    base = {
        "text": "a text",
        "truth": "true or false",
        "whole": "a whole number",
        "number": "a number",
    }[setting.kind]
    if setting.unit == "bytes":
        base = "a size such as 64MiB, or a number of bytes"
    elif setting.unit is not None:
        named = "seconds" if setting.unit == "s" else "milliseconds"
        base = f"a time such as 30s or 500ms, or a number of {named}"
    if setting.kind in ("whole", "number") and (setting.low or setting.has_high):
        low, high = _in_units(setting, setting.low), _in_units(setting, setting.high)
        base += f", {low} to {high}" if setting.has_high else f", {low} or more"
    return f"{base}; or {NONE}" if setting.may_be_none else base


def shown_value(setting: Setting, value: Value) -> str:
    """A value as it may be written: 64MiB, 30s, true, none."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    return value if isinstance(value, str) else _in_units(setting, value)


def _single(setting: Setting, given: object) -> str | int | float | bool | None:
    if setting.kind == "truth":
        return given if isinstance(given, bool) else _TRUTHS.get(str(given).strip().lower())
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        return None
    if setting.kind == "choice":
        return given if isinstance(given, str) and given in setting.choices else None
    if setting.kind == "text":
        return given if isinstance(given, str) and given.strip() else None
    return _number(setting, str(given).strip())


def _number(setting: Setting, text: str) -> int | float | None:
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > _DIGITS_MAX:
        return None
    units: Mapping[str, Decimal] = {} if setting.unit is None else _UNITS[setting.unit]
    factor = units.get(match[2].lower()) if match[2] else Decimal(1)
    if factor is None:
        return None
    number = Decimal(match[1].replace("_", "")) * factor
    if not Decimal(str(setting.low)) <= number <= setting.high or (setting.kind == "whole" and number % 1):
        return None
    return int(number) if setting.kind == "whole" else float(number)


def _list(given: object) -> tuple[str, ...] | None:
    """Texts, each of which may hold several with commas between."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return None
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


def _in_units(setting: Setting, number: float) -> str:
    """In the largest unit that leaves no fraction, else in the smallest."""
    exact = Decimal(str(number))
    if setting.unit is None or not number:
        return _digits(exact)
    if setting.unit == "bytes":
        named = next((name for name in ("TiB", "GiB", "MiB", "KiB") if exact % _SIZES[name.lower()] == 0), None)
        return _digits(exact) if named is None else f"{_digits(exact / _SIZES[named.lower()])}{named}"
    milliseconds = exact * (1000 if setting.unit == "s" else 1)
    named = next((name for name in ("d", "h", "min", "s") if milliseconds % _SPANS_MS[name] == 0), "ms")
    return f"{_digits(milliseconds / _SPANS_MS[named])}{named}"


def _digits(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _said(given: object) -> str:
    text = repr(given)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
