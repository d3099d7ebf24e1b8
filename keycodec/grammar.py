"""The grammar of keys: separators, the components and their rules, and what ends a prefix.

Owns the NUL and the colon; no other package knows them.  A key is either
``{subject} NUL {TAG} : {suffix}`` (subject scope) or ``NUL {TAG} : {suffix}``
(global scope).  A subject is never empty and never holds a NUL, so a global
key sorts before every subject key, and a subject's prefix matches that subject
alone.

A suffix is a list of components.  One of fixed width is closed by a colon, one
of text by a NUL, which no text holds and which sorts before every other byte;
the last is closed by the end of the key.  So parts never run into each other,
and keys sort by their parts in order.  Numbers are lower-case hex of fixed
width, so they sort in number order.

Invariant: every key that a valid event can lead to fits in KEY_BYTES_MAX.
Source: docs/format-keys.md.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from keycodec.errors import InvalidKeyPart

SEPARATOR: Final = b"\x00"
COLON: Final = b":"

SUBJECT_BYTES_MAX: Final = 256
PREDICATE_BYTES_MAX: Final = 128
NAME_BYTES_MAX: Final = 64
KEY_BYTES_MAX: Final = 511  # LMDB's limit on a key, as it is built by default

HEX_ID_LENGTH: Final = 64  # a hash or an agent: 32 bytes
SHORT_ID_LENGTH: Final = 32  # an id that a program made up: 16 bytes
TIE_LENGTH: Final = 82  # the order among equals: a tier, an inverted timestamp and a hash, 41 bytes
U64_LENGTH: Final = 16  # a log position, or a log time
WINDOW_LENGTH: Final = 8  # hours since 1970; the log's clock of 48 bits of milliseconds ends in hour 78,187,493

_HEX_DIGITS: Final = b"0123456789abcdef"

_REMEMBERED_MAX: Final = 8192  # subjects, and predicates: the rows of a batch name each of its own several times


@lru_cache(maxsize=_REMEMBERED_MAX)
def encode_subject(subject: str) -> bytes:
    """Check a subject and give its bytes.

    Raises: InvalidKeyPart if it is empty, holds a NUL, or exceeds SUBJECT_BYTES_MAX bytes.
    """
    try:
        encoded = subject.encode()
    except UnicodeEncodeError as error:
        raise InvalidKeyPart("subject holds a lone surrogate") from error
    if not 1 <= len(encoded) <= SUBJECT_BYTES_MAX or 0 in encoded:
        raise _bad_text("subject", encoded, SUBJECT_BYTES_MAX)
    return encoded


@lru_cache(maxsize=_REMEMBERED_MAX)
def encode_predicate(predicate: str) -> bytes:
    """Check a predicate and give its bytes.

    Raises: InvalidKeyPart if it is empty, holds a NUL, or exceeds PREDICATE_BYTES_MAX bytes.
    """
    try:
        encoded = predicate.encode()
    except UnicodeEncodeError as error:
        raise InvalidKeyPart("predicate holds a lone surrogate") from error
    if not 1 <= len(encoded) <= PREDICATE_BYTES_MAX or 0 in encoded:
        raise _bad_text("predicate", encoded, PREDICATE_BYTES_MAX)
    return encoded


def encode_hex_id(value: str) -> bytes:
    """Check a hash or an agent in hex and give its 64 bytes of ASCII.

    Raises: InvalidKeyPart if it is not 64 lower-case hex digits.
    """
    return _encode_hex(value, HEX_ID_LENGTH)


def encode_digest(digest: bytes) -> bytes:
    """The 64 hex digits of a raw hash of 32 bytes: the same key part as encode_hex_id, and quicker.

    Raises: InvalidKeyPart for another length.
    """
    if len(digest) != HEX_ID_LENGTH // 2:
        raise InvalidKeyPart(f"expected {HEX_ID_LENGTH // 2} bytes, found {len(digest)}")
    return digest.hex().encode()


def encode_short_id(value: str) -> bytes:
    """Check the id of a query or an escalation and give its 32 bytes of ASCII.

    Raises: InvalidKeyPart if it is not 32 lower-case hex digits.
    """
    return _encode_hex(value, SHORT_ID_LENGTH)


def encode_seq(seq: int) -> bytes:
    """A log position as 16 lower-case hex digits.

    Raises: InvalidKeyPart if it is not in 0 to 2**64 - 1.
    """
    if not 0 <= seq < 1 << 64:
        raise InvalidKeyPart(f"expected a position of 64 bits, found {seq}")
    return b"%016x" % seq


def encode_time(time: int) -> bytes:
    """A time of a log's clock, counter included, as 16 lower-case hex digits.

    Raises: InvalidKeyPart if it is not in 0 to 2**64 - 1.
    """
    if not 0 <= time < 1 << 64:
        raise InvalidKeyPart(f"expected a log time of 64 bits, found {time}")
    return b"%016x" % time


def encode_window(window: int) -> bytes:
    """An hour, counted from 1970, as 8 lower-case hex digits.

    Raises: InvalidKeyPart if it is not in 0 to 2**32 - 1.
    """
    if not 0 <= window < 1 << 32:
        raise InvalidKeyPart(f"expected an hour of 32 bits, found {window}")
    return b"%08x" % window


def encode_name(name: str) -> bytes:
    """Check a short ASCII name, as META uses, and give its bytes.

    Raises: InvalidKeyPart if it is empty, not printable ASCII, or longer than 64.
    """
    if not 1 <= len(name) <= NAME_BYTES_MAX or not name.isascii() or not name.isprintable():
        raise InvalidKeyPart(f"expected 1 to {NAME_BYTES_MAX} printable ASCII characters, found {name!r:.80}")
    return name.encode("ascii")


def prefix_end(prefix: bytes) -> bytes | None:
    """The smallest key greater than every key under prefix; None if there is none."""
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return None
    return stripped[:-1] + bytes([stripped[-1] + 1])


class Component(NamedTuple):
    """What a name in a family's list of components stands for.

    bytes_max: its length in a key; of text the longest.  check: from the key's text to its bytes, or InvalidKeyPart.
    """

    bytes_max: int
    is_fixed: bool
    is_number: bool
    check: Callable[[str], bytes]


def _encode_hex(value: str, length: int) -> bytes:
    try:
        encoded = value.encode("ascii")
    except UnicodeEncodeError as error:
        raise InvalidKeyPart(f"expected {length} lower-case hex digits, found {value!r:.80}") from error
    if len(encoded) != length or encoded.translate(None, _HEX_DIGITS):
        raise InvalidKeyPart(f"expected {length} lower-case hex digits, found {value!r:.80}")
    return encoded


def _bad_text(name: str, encoded: bytes, bytes_max: int) -> InvalidKeyPart:
    if not 1 <= len(encoded) <= bytes_max:
        return InvalidKeyPart(f"{name} has {len(encoded)} bytes; expected 1 to {bytes_max}")
    return InvalidKeyPart(f"{name} holds a NUL")


def _number(length: int) -> Component:
    return Component(length, is_fixed=True, is_number=True, check=lambda text: _encode_hex(text, length))


_SUBJECT: Final = Component(SUBJECT_BYTES_MAX, is_fixed=False, is_number=False, check=encode_subject)
_PREDICATE: Final = Component(PREDICATE_BYTES_MAX, is_fixed=False, is_number=False, check=encode_predicate)
_NAME: Final = Component(NAME_BYTES_MAX, is_fixed=False, is_number=False, check=encode_name)
_HEX_ID: Final = Component(HEX_ID_LENGTH, is_fixed=True, is_number=False, check=encode_hex_id)
_SHORT_ID: Final = Component(SHORT_ID_LENGTH, is_fixed=True, is_number=False, check=encode_short_id)

_TIE: Final = Component(TIE_LENGTH, is_fixed=True, is_number=False, check=lambda text: _encode_hex(text, TIE_LENGTH))

# By the name that a family's row uses.
COMPONENTS: Final[dict[str, Component]] = {
    "subject": _SUBJECT,
    "predicate": _PREDICATE,
    "name": _NAME,
    "hash": _HEX_ID,
    "vh": _HEX_ID,
    "parent": _HEX_ID,
    "gold": _HEX_ID,
    "source_hash": _HEX_ID,
    "epoch": _HEX_ID,
    "pack": _HEX_ID,
    "agent": _HEX_ID,
    "query_id": _SHORT_ID,
    "pair": _SHORT_ID,
    "value": _SHORT_ID,
    "recency": _SHORT_ID,
    "tie": _TIE,
    "alias": _SHORT_ID,
    "rank": _number(U64_LENGTH),
    "inverse": _number(U64_LENGTH),
    "id": _SHORT_ID,
    "seq": _number(U64_LENGTH),
    "time": _number(U64_LENGTH),
    "window": _number(WINDOW_LENGTH),
}
