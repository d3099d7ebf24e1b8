"""From bytes back to a family and its parts: the inverse of every builder."""

from typing import NamedTuple

from keycodec.errors import UnknownKey
from keycodec.families import FAMILY_BY_TAG, Family, Scope
from keycodec.grammar import (
    COLON,
    HEX_ID_LENGTH,
    KEY_BYTES_MAX,
    SEPARATOR,
    encode_hex_id,
    encode_name,
    encode_predicate,
    encode_subject,
)


class ParsedKey(NamedTuple):
    """A key taken apart; subject is None in the global scope."""

    family: Family
    subject: str | None
    parts: tuple[str, ...]


def parse(key: bytes) -> ParsedKey:
    """Take a key apart.

    Raises: UnknownKey if no builder could have made these bytes; InvalidKeyPart if a part breaks its rule.
    """
    family, subject_bytes, suffix = _split(key)
    subject = None
    if family.scope is Scope.SUBJECT:
        subject = _decode(subject_bytes)
        encode_subject(subject)
    return ParsedKey(family, subject, _parse_suffix(family, suffix))


def family_of(key: bytes) -> Family:
    """The family alone: what routing asks for, once for each key written.

    Raises: UnknownKey.
    """
    return _split(key)[0]


def family_prefix(key: bytes) -> bytes:
    """The part of a key up to its tag's colon: what all keys of the same subject and family share.

    Raises: UnknownKey.
    """
    start = key.find(SEPARATOR)
    end = key.find(COLON, start)
    if start < 0 or end < 0:
        raise UnknownKey(f"not a key of this store: {key!r:.120}")
    return key[: end + 1]


def _split(key: bytes) -> tuple[Family, bytes, bytes]:
    start = key.find(SEPARATOR)
    end = key.find(COLON, start)
    if start < 0 or end < 0 or len(key) > KEY_BYTES_MAX:
        raise UnknownKey(f"not a key of this store: {key!r:.120}")
    family = _FAMILY_BY_TAG_BYTES.get(key[start + 1 : end])
    if family is None or (start == 0) is not (family.scope is Scope.GLOBAL):
        raise UnknownKey(f"no such family: {key!r:.120}")
    return family, key[:start], key[end + 1 :]


_FAMILY_BY_TAG_BYTES = {tag.encode(): family for tag, family in FAMILY_BY_TAG.items()}
_CHECKS = {
    "hash": encode_hex_id,
    "agent": encode_hex_id,
    "predicate": encode_predicate,
    "subject": encode_subject,
    "name": encode_name,
}


def _parse_suffix(family: Family, suffix: bytes) -> tuple[str, ...]:
    """Fixed-width parts come first, each closed by a colon; the last part takes the rest."""
    parts: list[str] = []
    rest = suffix
    for name in family.components[:-1]:
        assert name in ("hash", "agent"), f"{family.tag}: only the last part may vary in width"
        head, rest = rest[:HEX_ID_LENGTH], rest[HEX_ID_LENGTH:]
        if rest[:1] != COLON:
            raise UnknownKey(f"{family.tag}: {name} is not followed by a colon")
        parts.append(_decode(head))
        rest = rest[1:]
    if family.components:
        parts.append(_decode(rest))
    elif rest:
        raise UnknownKey(f"{family.tag} takes no suffix, found {rest!r:.80}")
    for name, part in zip(family.components, parts, strict=True):
        _CHECKS[name](part)
    return tuple(parts)


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnknownKey(f"not UTF-8: {data!r:.80}") from error
