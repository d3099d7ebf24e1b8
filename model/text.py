"""The rules for strings, and the string types that need nothing but a pattern.

Every string of an event is Unicode NFC.  Short labels hold no control
characters, so they never hold a NUL, a line break or a terminal escape; long
texts may.  Source: docs/format-events.md.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Annotated, Final

from msgspec import Meta

from model.errors import FieldRule

SUBJECT_BYTES_MAX: Final = 256
PREDICATE_BYTES_MAX: Final = 128
LABEL_BYTES_MAX: Final = 256  # names and titles: room for a sentence, small enough for any list
TEXT_BYTES_MAX: Final = 16 * 1024
NOTE_BYTES_MAX: Final = 8 * 1024
URL_BYTES_MAX: Final = 2 * 1024  # what browsers and proxies are sure to carry
NUMBER_CHARS_MAX: Final = 400  # the longest double written out takes 309 digits before the point

# JSON numbers above this are not exact in every language (RFC 8785, section 3.2.2.3).
INT_MAX: Final = 2**53 - 1

HexHash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", description="32 bytes in lower-case hex")]
HexAgent = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", description="an Ed25519 public key in lower-case hex")]
HexSignature = Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z", description="64 bytes in lower-case hex")]
UnitDecimal = Annotated[str, Meta(pattern=r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)\Z", description="0 to 1")]
SignedUnitDecimal = Annotated[str, Meta(pattern=r"^-?(0(\.[0-9]{1,6})?|1(\.0{1,6})?)\Z", description="-1 to 1")]
Tolerance = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?\Z", description="0 or more")]
Timestamp = Annotated[int, Meta(ge=0, le=INT_MAX, description="milliseconds since 1970, UTC")]
Moment = Annotated[int, Meta(ge=-INT_MAX, le=INT_MAX, description="milliseconds since 1970, UTC; may lie before it")]
Count = Annotated[int, Meta(ge=0, le=INT_MAX)]

# What a value that misses a pattern is told, keyed by the pattern as msgspec prints it.
PATTERN_MEANINGS: Final = {
    repr(pattern): meaning
    for pattern, meaning in (
        (r"^[0-9a-f]{64}\Z", "is not 64 lower-case hex digits"),
        (r"^[0-9a-f]{128}\Z", "is not 128 lower-case hex digits"),
        (r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)\Z", "is not a decimal string from 0 to 1 with at most 6 digits"),
        (
            r"^-?(0(\.[0-9]{1,6})?|1(\.0{1,6})?)\Z",
            "is not a decimal string from -1 to 1 with at most 6 digits",
        ),
        (
            r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?\Z",
            "is not a decimal string of 0 or more with at most 6 digits",
        ),
    )
}

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
# Four digits of exponent reach beyond every double; more would only be a way to write 0 or to stall a
# reader that takes the number at its word.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,63})(?:\.[0-9]{1,63})?").fullmatch  # as most are: finite as it stands


@lru_cache(maxsize=4096)  # confidences and weights repeat
def to_micros(text: str) -> int:
    """A decimal string of at most 6 digits after the point, in exact millionths."""
    whole, _, fraction = text.lstrip("-").partition(".")
    micros = int(whole) * 1_000_000 + int(fraction.ljust(6, "0"))
    return -micros if text.startswith("-") else micros


def check_label(field: str, text: str, bytes_max: int = LABEL_BYTES_MAX) -> None:
    """Refuse an empty or long label, and one with control characters.

    Raises: FieldRule.
    """
    if not isinstance(text, str):
        raise FieldRule(field, "is not text")
    if text.isascii() and text.isprintable() and 1 <= len(text) <= bytes_max:
        return
    if not text:
        raise FieldRule(field, f"is empty; expected 1 to {bytes_max} bytes of UTF-8")
    found = _CONTROL.search(text)
    if found:
        raise FieldRule(field, f"holds the control character U+{ord(found.group()):04X} at {found.start()}")
    check_text(field, text, bytes_max)


def check_form(field: str, text: str) -> None:
    """Refuse a text that is not in Unicode NFC, or holds a code point that Unicode has not assigned.

    Normal forms of assigned code points never change, those of others may: what is taken today must
    be in NFC under every later version too.  Asked at the gate alone, so that a log can be read with
    other tables than it was written with.
    Raises: FieldRule.
    """
    if text.isascii():
        return
    if not unicodedata.is_normalized("NFC", text):
        raise FieldRule(field, "is not in Unicode NFC; normalise it before you sign")
    for character in sorted(set(text)):
        if unicodedata.category(character) == "Cn":
            raise FieldRule(field, f"holds U+{ord(character):04X}, which Unicode {unicodedata.unidata_version} lacks")


def check_text(field: str, text: str, bytes_max: int) -> None:
    """Refuse a text that is too long.

    Raises: FieldRule.
    """
    if not isinstance(text, str):
        raise FieldRule(field, "is not text")
    if text.isascii():
        size_bytes = len(text)
    else:
        try:
            size_bytes = len(text.encode("utf-8"))
        except UnicodeEncodeError as error:
            raise FieldRule(field, "holds a lone surrogate, which is not text") from error
    if size_bytes > bytes_max:
        raise FieldRule(field, f"has {size_bytes} bytes of UTF-8; at most {bytes_max} are allowed")


def check_number(field: str, text: str) -> None:
    """Refuse what is not a JSON number in decimal, or not finite as a double.

    Raises: FieldRule.
    """
    if _PLAIN_NUMBER(text):
        return
    if len(text) > NUMBER_CHARS_MAX:
        raise FieldRule(field, f"has {len(text)} characters; a number has at most {NUMBER_CHARS_MAX}")
    if not _NUMBER.fullmatch(text):
        raise FieldRule(field, "is not a decimal number such as '96.7' or '-1.5e9'")
    if float(text) in (float("inf"), float("-inf")):
        raise FieldRule(field, "is not finite as a double")
