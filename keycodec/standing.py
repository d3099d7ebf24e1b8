"""Builders and prefix builders of what an agent's standing rests on: gold standards, trust, packs, quota, revocation.

Source: docs/format-keys.md.
"""

from keycodec.grammar import (
    COLON,
    SEPARATOR,
    encode_hex_id,
    encode_predicate,
    encode_seq,
    encode_subject,
    encode_window,
)

_GS = SEPARATOR + b"GS:"
_GS_LIST = SEPARATOR + b"GS_LIST:"
_GOLD = SEPARATOR + b"GOLD:"
_J = SEPARATOR + b"J:"
_TRUST = SEPARATOR + b"TRUST:"
_TRUSTH = SEPARATOR + b"TRUSTH:"
_TP = SEPARATOR + b"TP:"
_QUOTA = SEPARATOR + b"QUOTA:"
_QLIMIT = SEPARATOR + b"QLIMIT:"
_REVOKED = SEPARATOR + b"REVOKED:"


def gold_key(subject: str, predicate: str) -> bytes:
    """``{subject} NUL GS:{predicate}``."""
    return encode_subject(subject) + _GS + encode_predicate(predicate)


def gold_prefix(subject: str) -> bytes:
    """The gold standards of all of a subject's pairs."""
    return encode_subject(subject) + _GS


def gold_list_key(subject: str, predicate: str) -> bytes:
    """``NUL GS_LIST:{subject} NUL {predicate}``."""
    return gold_list_prefix(subject) + encode_predicate(predicate)


def gold_list_prefix(subject: str) -> bytes:
    """The listed pairs of one subject, in predicate order."""
    return _GS_LIST + encode_subject(subject) + SEPARATOR


def gold_list_start(start: str = "") -> bytes:
    """The listed pairs whose subjects begin with start, by subject, then predicate; all of them if it is empty."""
    return _GS_LIST + (encode_subject(start) if start else b"")


def any_gold_key() -> bytes:
    """``NUL GOLD:``."""
    return _GOLD


def judgement_key(subject: str, hash_hex: str, gold_hex: str, agent_hex: str) -> bytes:
    """``{subject} NUL J:{hash}:{gold}:{agent}``."""
    return judgement_prefix(subject, hash_hex) + encode_hex_id(gold_hex) + COLON + encode_hex_id(agent_hex)


def judgement_prefix(subject: str, hash_hex: str) -> bytes:
    """What gold standards made of an assertion's signers, by gold standard, then agent."""
    return encode_subject(subject) + _J + encode_hex_id(hash_hex) + COLON


def trust_key(agent_hex: str) -> bytes:
    """``NUL TRUST:{agent}``."""
    return _TRUST + encode_hex_id(agent_hex)


def trust_prefix() -> bytes:
    """All trust ranks, in agent order."""
    return _TRUST


def trust_change_key(agent_hex: str, seq: int) -> bytes:
    """``NUL TRUSTH:{agent}:{seq}``."""
    return trust_change_prefix(agent_hex) + encode_seq(seq)


def trust_change_prefix(agent_hex: str) -> bytes:
    """The changes of one agent's trust rank, in log order."""
    return _TRUSTH + encode_hex_id(agent_hex) + COLON


def pack_key(pack_hex: str) -> bytes:
    """``NUL TP:{pack}``."""
    return _TP + encode_hex_id(pack_hex)


def pack_prefix() -> bytes:
    """All trust packs, in the order of their ids."""
    return _TP


def quota_key(agent_hex: str, window: int) -> bytes:
    """``NUL QUOTA:{agent}:{window}``; window is an hour, counted from 1970."""
    return quota_prefix(agent_hex) + encode_window(window)


def quota_prefix(agent_hex: str) -> bytes:
    """What one agent used in each hour, oldest first."""
    return _QUOTA + encode_hex_id(agent_hex) + COLON


def quota_limit_key(agent_hex: str) -> bytes:
    """``NUL QLIMIT:{agent}``."""
    return _QLIMIT + encode_hex_id(agent_hex)


def quota_limit_prefix() -> bytes:
    """All limits, in agent order."""
    return _QLIMIT


def revocation_key(agent_hex: str) -> bytes:
    """``NUL REVOKED:{agent}``."""
    return _REVOKED + encode_hex_id(agent_hex)


def revocation_prefix() -> bytes:
    """All revoked keys, in agent order."""
    return _REVOKED
