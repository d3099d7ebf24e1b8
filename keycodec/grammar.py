"""The grammar of keys: separators, component rules, and what ends a prefix.

Owns the NUL and the colon; no other package knows them.  A key is either
``{subject} NUL {TAG} : {suffix}`` (subject scope) or ``NUL {TAG} : {suffix}``
(global scope).  A subject is never empty and never holds a NUL, so a global
key sorts before every subject key, and a subject's prefix matches that subject
alone.

Invariant: every key that a valid event can lead to fits in KEY_BYTES_MAX.
Source: docs/format-keys.md.
"""

import re

from keycodec.errors import InvalidKeyPart

SEPARATOR = b"\x00"
COLON = b":"

SUBJECT_BYTES_MAX = 256
PREDICATE_BYTES_MAX = 128
HEX_ID_LENGTH = 64
KEY_BYTES_MAX = 511  # LMDB's limit on a key, as it is built by default

_HEX_ID = re.compile(r"[0-9a-f]{64}")


def encode_subject(subject: str) -> bytes:
    """Check a subject and give its bytes.

    Raises: InvalidKeyPart if it is empty, holds a NUL, or exceeds SUBJECT_BYTES_MAX bytes.
    """
    return _encode_text("subject", subject, SUBJECT_BYTES_MAX)


def encode_predicate(predicate: str) -> bytes:
    """Check a predicate and give its bytes.

    Raises: InvalidKeyPart if it is empty, holds a NUL, or exceeds PREDICATE_BYTES_MAX bytes.
    """
    return _encode_text("predicate", predicate, PREDICATE_BYTES_MAX)


def encode_hex_id(value: str) -> bytes:
    """Check a hash or an agent in hex and give its 64 bytes of ASCII.

    Raises: InvalidKeyPart if it is not 64 lower-case hex digits.
    """
    if not _HEX_ID.fullmatch(value):
        raise InvalidKeyPart(f"expected {HEX_ID_LENGTH} lower-case hex digits, found {value!r:.80}")
    return value.encode("ascii")


def encode_name(name: str) -> bytes:
    """Check a short ASCII name, as META uses, and give its bytes.

    Raises: InvalidKeyPart if it is empty, not printable ASCII, or longer than 64.
    """
    if not 1 <= len(name) <= 64 or not name.isascii() or not name.isprintable():
        raise InvalidKeyPart(f"expected 1 to 64 printable ASCII characters, found {name!r:.80}")
    return name.encode("ascii")


def prefix_end(prefix: bytes) -> bytes | None:
    """The smallest key greater than every key under prefix; None if there is none."""
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return None
    return stripped[:-1] + bytes([stripped[-1] + 1])


def _encode_text(name: str, text: str, bytes_max: int) -> bytes:
    try:
        encoded = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidKeyPart(f"{name} holds a lone surrogate") from error
    if not 1 <= len(encoded) <= bytes_max:
        raise InvalidKeyPart(f"{name} has {len(encoded)} bytes; expected 1 to {bytes_max}")
    if SEPARATOR in encoded:
        raise InvalidKeyPart(f"{name} holds a NUL")
    return encoded
