"""Builders and prefix builders of what is kept for those who oversee: audits and escalations.

Source: docs/format-keys.md.
"""

from keycodec.grammar import (
    COLON,
    SEPARATOR,
    encode_hex_id,
    encode_predicate,
    encode_short_id,
    encode_subject,
    encode_time,
)

_AUD = SEPARATOR + b"AUD:"
_AUDA = SEPARATOR + b"AUDA:"
_AUDH = SEPARATOR + b"AUDH:"
_ESC = SEPARATOR + b"ESC:"
_ESCI = SEPARATOR + b"ESCI:"
_ESCP = SEPARATOR + b"ESCP:"


def audit_key(query_id: str) -> bytes:
    """``NUL AUD:{query_id}``."""
    return _AUD + encode_short_id(query_id)


def audit_prefix() -> bytes:
    """All audits, in the order of their ids."""
    return _AUD


def agent_audit_key(agent_hex: str, time: int, query_id: str) -> bytes:
    """``NUL AUDA:{agent}:{time}:{query_id}``."""
    return agent_audit_start(agent_hex, time) + encode_short_id(query_id)


def agent_audit_prefix(agent_hex: str) -> bytes:
    """The queries of one agent, oldest first."""
    return _AUDA + encode_hex_id(agent_hex) + COLON


def agent_audit_start(agent_hex: str, time: int) -> bytes:
    """Before every query of the agent at this log time or later, after every earlier one."""
    return agent_audit_prefix(agent_hex) + encode_time(time) + COLON


def assertion_audit_key(hash_hex: str, time: int, query_id: str) -> bytes:
    """``NUL AUDH:{hash}:{time}:{query_id}``."""
    return assertion_audit_prefix(hash_hex) + encode_time(time) + COLON + encode_short_id(query_id)


def assertion_audit_prefix(hash_hex: str) -> bytes:
    """The queries whose answers used an assertion, oldest first."""
    return _AUDH + encode_hex_id(hash_hex) + COLON


def escalation_key(time: int, escalation_id: str) -> bytes:
    """``NUL ESC:{time}:{id}``."""
    return escalation_start(time) + encode_short_id(escalation_id)


def escalation_prefix() -> bytes:
    """All escalations, oldest first."""
    return _ESC


def escalation_start(time: int) -> bytes:
    """Before every escalation of this log time or later, after every earlier one."""
    return _ESC + encode_time(time) + COLON


def escalation_time_key(escalation_id: str) -> bytes:
    """``NUL ESCI:{id}``."""
    return _ESCI + encode_short_id(escalation_id)


def escalation_time_prefix() -> bytes:
    """The times of all escalations, in the order of their ids."""
    return _ESCI


def pair_escalations_key(subject: str, predicate: str) -> bytes:
    """``{subject} NUL ESCP:{predicate}``."""
    return encode_subject(subject) + _ESCP + encode_predicate(predicate)


def pair_escalations_prefix(subject: str) -> bytes:
    """The unresolved escalations of all of a subject's pairs."""
    return encode_subject(subject) + _ESCP
