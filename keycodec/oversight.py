"""Builders and prefix builders of what is kept for those who oversee: audits and escalations.

Source: docs/format-keys.md.
"""

from collections.abc import Sequence

from keycodec.grammar import (
    COLON,
    SEPARATOR,
    encode_hex_id,
    encode_predicate,
    encode_seq,
    encode_short_id,
    encode_subject,
    encode_time,
)

_AUD = SEPARATOR + b"AUD:"
_AUDA = SEPARATOR + b"AUDA:"
_AUDP = SEPARATOR + b"AUDP:"
_ESC = SEPARATOR + b"ESC:"
_ESCI = SEPARATOR + b"ESCI:"
_ESCP = SEPARATOR + b"ESCP:"
_ESCN = SEPARATOR + b"ESCN:"
_ESCR = SEPARATOR + b"ESCR:"
_ESCS = SEPARATOR + b"ESCS:"

_MS_DIGITS = 12  # of a time: the milliseconds, without the counter behind them


def audit_key(query_id: str) -> bytes:
    """``NUL AUD:{query_id}``."""
    return _AUD + encode_short_id(query_id)


def audit_prefix() -> bytes:
    """All audits, oldest first: an id begins with its time."""
    return _AUD


def audit_start(time: int) -> bytes:
    """Before every audit whose id begins with this time or a later one, in its first 12 digits; after every earlier."""
    return _AUD + encode_time(time)[:_MS_DIGITS]


def agent_audit_key(agent_hex: str, time: int, query_id: str) -> bytes:
    """``NUL AUDA:{agent}:{time}:{query_id}``."""
    return agent_audit_start(agent_hex, time) + encode_short_id(query_id)


def agent_audit_prefix(agent_hex: str) -> bytes:
    """The queries of one agent, oldest first."""
    return _AUDA + encode_hex_id(agent_hex) + COLON


def agent_audit_start(agent_hex: str, time: int) -> bytes:
    """Before every query of the agent at this log time or later, after every earlier one."""
    return agent_audit_prefix(agent_hex) + encode_time(time) + COLON


def audit_row_keys(
    query_id: str, time: int, agents: Sequence[str], subject: str, predicates: Sequence[str]
) -> list[bytes]:
    """The keys of all rows of an audit: its own, then its lines under agents, then those under a subject's pairs.

    As audit_key, agent_audit_key and pair_audit_key make them one by one, and quicker.
    """
    own = encode_short_id(query_id)
    place = encode_time(time) + COLON + own
    keys = [_AUD + own]
    keys += [_AUDA + encode_hex_id(agent_hex) + COLON + place for agent_hex in agents]
    of_subject = encode_subject(subject) + _AUDP
    keys += [of_subject + encode_predicate(predicate) + SEPARATOR + place for predicate in predicates]
    return keys


def pair_audit_key(subject: str, predicate: str, time: int, query_id: str) -> bytes:
    """``{subject} NUL AUDP:{predicate} NUL {time}:{query_id}``."""
    return pair_audit_start(subject, predicate, time) + encode_short_id(query_id)


def pair_audit_prefix(subject: str, predicate: str) -> bytes:
    """The queries about one pair, oldest first."""
    return encode_subject(subject) + _AUDP + encode_predicate(predicate) + SEPARATOR


def pair_audit_start(subject: str, predicate: str, time: int) -> bytes:
    """Before every query about the pair at this log time or later, after every earlier one."""
    return pair_audit_prefix(subject, predicate) + encode_time(time) + COLON


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


def pair_numbers_key(subject: str, predicate: str) -> bytes:
    """``{subject} NUL ESCN:{predicate}``."""
    return encode_subject(subject) + _ESCN + encode_predicate(predicate)


def pair_numbers_prefix(subject: str) -> bytes:
    """What rules count of all of a subject's pairs."""
    return encode_subject(subject) + _ESCN


def any_pair_numbers_key() -> bytes:
    """``NUL ESCS:``."""
    return _ESCS


def regulatory_claim_key(subject: str, pair: str, seq: int) -> bytes:
    """``{subject} NUL ESCR:{pair}:{seq}``."""
    return regulatory_claim_prefix(subject, pair) + encode_seq(seq)


def regulatory_claim_prefix(subject: str, pair: str) -> bytes:
    """A pair's regulatory claims in log order; pair is the short id of its predicate."""
    return encode_subject(subject) + _ESCR + encode_short_id(pair) + COLON
