"""Builders and prefix builders of what rules claims: epochs, supersession, sources, aliases, predicates.

What a subject's alias, a predicate's rule or a trust pack was before is kept
under inverted positions: the latest comes first, so what held as of a position
is the first row from there.
Source: docs/format-keys.md.
"""

from typing import Final

from keycodec.grammar import (
    COLON,
    SEPARATOR,
    encode_hex_id,
    encode_predicate,
    encode_seq,
    encode_short_id,
    encode_subject,
)

_SEQ_MAX: Final = (1 << 64) - 1

_E = SEPARATOR + b"E:"
_SUPERSEDED = SEPARATOR + b"SUPERSEDED:"
_SUP = SEPARATOR + b"SUP:"
_SUPS = SEPARATOR + b"SUPS:"
_SRC = SEPARATOR + b"SRC:"
_ALIAS = SEPARATOR + b"ALIAS:"
_PRED = SEPARATOR + b"PRED:"
_RULES = SEPARATOR + b"RULES:"
_RULED = SEPARATOR + b"RULED:"
_SUPW = SEPARATOR + b"SUPW:"
_SUPWS = SEPARATOR + b"SUPWS:"
_SRCT = SEPARATOR + b"SRCT:"
_ALIASH = SEPARATOR + b"ALIASH:"
_ALIASR = SEPARATOR + b"ALIASR:"
_PREDH = SEPARATOR + b"PREDH:"
_TPH = SEPARATOR + b"TPH:"


def inverse_of(seq: int) -> int:
    """A position as lists that begin with the latest have it; also back again."""
    return _SEQ_MAX - seq


def rules_key() -> bytes:
    """``NUL RULES:``."""
    return _RULES


def rulings_key() -> bytes:
    """``NUL RULED:``."""
    return _RULED


def epoch_key(epoch_hex: str) -> bytes:
    """``NUL E:{epoch}``."""
    return _E + encode_hex_id(epoch_hex)


def epoch_prefix() -> bytes:
    """All epochs, in the order of their ids."""
    return _E


def superseded_epoch_key(epoch_hex: str) -> bytes:
    """``NUL SUPERSEDED:{epoch}``; the epoch is the older one."""
    return _SUPERSEDED + encode_hex_id(epoch_hex)


def superseded_epoch_prefix() -> bytes:
    """All superseded epochs, in the order of their ids."""
    return _SUPERSEDED


def supersession_key(hash_hex: str) -> bytes:
    """``NUL SUP:{hash}``; the hash is that of the assertion that is superseded."""
    return _SUP + encode_hex_id(hash_hex)


def supersession_prefix() -> bytes:
    """All superseded assertions, in hash order."""
    return _SUP


def said_supersession_key(hash_hex: str, seq: int) -> bytes:
    """``NUL SUPS:{hash}:{seq}``; seq is the position of the supersession."""
    return said_supersession_prefix(hash_hex) + encode_seq(seq)


def said_supersession_prefix(hash_hex: str) -> bytes:
    """All that was said to supersede an assertion, with effect or without, in log order."""
    return _SUPS + encode_hex_id(hash_hex) + COLON


def waiting_supersession_key(subject: str, hash_hex: str, agent_hex: str) -> bytes:
    """``{subject} NUL SUPW:{hash}:{agent}``; the subject is the one that the supersession names."""
    return waiting_supersession_prefix(subject, hash_hex) + encode_hex_id(agent_hex)


def waiting_supersession_prefix(subject: str, hash_hex: str) -> bytes:
    """By whose signatures an assertion of this subject may be superseded, in agent order."""
    return encode_subject(subject) + _SUPW + encode_hex_id(hash_hex) + COLON


def any_waiting_supersession_key() -> bytes:
    """``NUL SUPWS:``."""
    return _SUPWS


def source_key(source_hex: str) -> bytes:
    """``NUL SRC:{source_hash}``."""
    return _SRC + encode_hex_id(source_hex)


def source_prefix() -> bytes:
    """All sources, in hash order."""
    return _SRC


def tainted_sources_key() -> bytes:
    """``NUL SRCT:``."""
    return _SRCT


def alias_key(subject: str) -> bytes:
    """``NUL ALIAS:{subject}``."""
    return _ALIAS + encode_subject(subject)


def alias_prefix(start: str = "") -> bytes:
    """Subjects with an alias that begin with start, in byte order; all of them if it is empty."""
    return _ALIAS + (encode_subject(start) if start else b"")


def predicate_key(predicate: str) -> bytes:
    """``NUL PRED:{predicate}``."""
    return _PRED + encode_predicate(predicate)


def predicate_prefix(start: str = "") -> bytes:
    """Declared predicates that begin with start, in byte order; all of them if it is empty."""
    return _PRED + (encode_predicate(start) if start else b"")


def past_alias_key(subject: str, inverse: int) -> bytes:
    """``NUL ALIASH:{subject} NUL {inverse}``."""
    return past_alias_prefix(subject) + encode_seq(inverse)


def past_alias_prefix(subject: str) -> bytes:
    """The aliases that a subject had before, the latest first."""
    return _ALIASH + encode_subject(subject) + SEPARATOR


def linked_subject_key(subject: str, alias: str) -> bytes:
    """``NUL ALIASR:{subject} NUL {alias}``; the alias is the short id of the subject that was made the same."""
    return linked_subject_prefix(subject) + encode_short_id(alias)


def linked_subject_prefix(subject: str) -> bytes:
    """The subjects that were ever made the same as this one, in the order of their short ids."""
    return _ALIASR + encode_subject(subject) + SEPARATOR


def past_predicate_key(predicate: str, inverse: int) -> bytes:
    """``NUL PREDH:{predicate} NUL {inverse}``."""
    return past_predicate_prefix(predicate) + encode_seq(inverse)


def past_predicate_prefix(predicate: str) -> bytes:
    """The rules that a predicate had before, the latest first."""
    return _PREDH + encode_predicate(predicate) + SEPARATOR


def past_pack_key(pack_hex: str, inverse: int) -> bytes:
    """``NUL TPH:{pack}:{inverse}``."""
    return past_pack_prefix(pack_hex) + encode_seq(inverse)


def past_pack_prefix(pack_hex: str) -> bytes:
    """The versions that a trust pack had before, the latest first."""
    return _TPH + encode_hex_id(pack_hex) + COLON
