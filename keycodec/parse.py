"""From bytes back to a family and its parts: the inverse of every builder."""

from typing import Final, NamedTuple

from keycodec.errors import UnknownKey
from keycodec.families import FAMILIES, Engine, Family, Scope
from keycodec.grammar import COLON, COMPONENTS, KEY_BYTES_MAX, SEPARATOR, encode_subject

_SUBJECT_FAMILIES: Final = {family.tag.encode(): family for family in FAMILIES if family.scope is Scope.SUBJECT}
_GLOBAL_FAMILIES: Final = {family.tag.encode(): family for family in FAMILIES if family.scope is Scope.GLOBAL}

_NO_ENGINES: Final[dict[bytes, Engine]] = {}
_SUBJECT_ENGINES: Final = {tag + COLON: family.engine for tag, family in _SUBJECT_FAMILIES.items()}
_GLOBAL_ENGINES: Final = {tag + COLON: family.engine for tag, family in _GLOBAL_FAMILIES.items()}


class ParsedKey(NamedTuple):
    """A key taken apart; subject is None in the global scope, parts are as the key spells them."""

    family: Family
    subject: str | None
    parts: tuple[str, ...]

    def text(self, component: str) -> str:
        """The part with this name."""
        return self.parts[self.family.components.index(component)]

    def number(self, component: str) -> int:
        """The part with this name, a position, a time or a window, as the number that it is."""
        assert COMPONENTS[component].is_number, component
        return int(self.text(component), 16)

    def arguments(self) -> tuple[str | int, ...]:
        """What the family's builder made the key of."""
        named = zip(self.family.components, self.parts, strict=True)
        values = tuple(int(part, 16) if COMPONENTS[name].is_number else part for name, part in named)
        return values if self.subject is None else (self.subject, *values)


def parse(key: bytes) -> ParsedKey:
    """Take a key apart.

    Raises: UnknownKey if no builder could have made these bytes; InvalidKeyPart if a part breaks its rule.
    """
    family = family_of(key)
    subject_bytes, _, rest = key.partition(SEPARATOR)
    subject = None
    if family.scope is Scope.SUBJECT:
        subject = _decode(subject_bytes)
        encode_subject(subject)
    return ParsedKey(family, subject, _parse_suffix(family, rest[len(family.tag) + 1 :]))


def family_of(key: bytes) -> Family:
    """The family alone: what routing asks for, once for each key written.

    Raises: UnknownKey.
    """
    subject, _, rest = key.partition(SEPARATOR)
    tag, colon, _ = rest.partition(COLON)
    family = (_SUBJECT_FAMILIES if subject else _GLOBAL_FAMILIES).get(tag)
    if family is None or not colon or len(key) > KEY_BYTES_MAX:
        raise UnknownKey(f"not a key of this store: {key!r:.120}")
    return family


def engine_of(key: bytes) -> Engine:
    """The engine of a key's rows: its family's, and WRITE for keys of no family, which folds of others' may have.

    Made for routing, once for each row: checks nothing.
    """
    start = key.find(SEPARATOR)
    engines = _SUBJECT_ENGINES if start > 0 else _GLOBAL_ENGINES if start == 0 else _NO_ENGINES
    return engines.get(key[start + 1 : key.find(COLON, start) + 1], Engine.WRITE)


def engine_under(prefix: bytes) -> Engine | None:
    """The engine of all rows whose keys begin with a prefix; None for one that no whole tag is in."""
    start = prefix.find(SEPARATOR)
    return None if start < 0 or prefix.find(COLON, start) < 0 else engine_of(prefix)


def family_prefix(key: bytes) -> bytes:
    """The part of a key up to its tag's colon: what all keys of the same subject and family share.

    Raises: UnknownKey.
    """
    start = key.find(SEPARATOR)
    end = key.find(COLON, start)
    if start < 0 or end < 0:
        raise UnknownKey(f"not a key of this store: {key!r:.120}")
    return key[: end + 1]


def _parse_suffix(family: Family, suffix: bytes) -> tuple[str, ...]:
    parts: list[str] = []
    rest = suffix
    for name in family.components[:-1]:
        head, rest = _cut(family, name, rest)
        parts.append(_decode(head))
    if family.components:
        parts.append(_decode(rest))
    elif rest:
        raise UnknownKey(f"{family.tag} takes no suffix, found {rest!r:.80}")
    for name, part in zip(family.components, parts, strict=True):
        COMPONENTS[name].check(part)
    return tuple(parts)


def _cut(family: Family, name: str, rest: bytes) -> tuple[bytes, bytes]:
    """A part that is not the last, and what follows what closes it."""
    component = COMPONENTS[name]
    closing = COLON if component.is_fixed else SEPARATOR
    end = component.bytes_max if component.is_fixed else rest.find(SEPARATOR)
    if end < 0 or rest[end : end + 1] != closing:
        raise UnknownKey(f"{family.tag}: {name} is not followed by {closing!r}")
    return rest[:end], rest[end + 1 :]


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnknownKey(f"not UTF-8: {data!r:.80}") from error
