"""Builders and prefix builders of what rules claims: epochs, supersession, sources, aliases, predicates.

Source: docs/format-keys.md.
"""

from keycodec.grammar import COLON, SEPARATOR, encode_hex_id, encode_predicate, encode_seq, encode_subject

_E = SEPARATOR + b"E:"
_SUPERSEDED = SEPARATOR + b"SUPERSEDED:"
_SUP = SEPARATOR + b"SUP:"
_SUPS = SEPARATOR + b"SUPS:"
_SRC = SEPARATOR + b"SRC:"
_ALIAS = SEPARATOR + b"ALIAS:"
_PRED = SEPARATOR + b"PRED:"


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


def source_key(source_hex: str) -> bytes:
    """``NUL SRC:{source_hash}``."""
    return _SRC + encode_hex_id(source_hex)


def source_prefix() -> bytes:
    """All sources, in hash order."""
    return _SRC


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
