"""Builders and prefix builders: one small function a family, so that a reader can grep its name.

Every builder checks its parts and raises InvalidKeyPart.  Hashes and agents
are 64 lower-case hex digits.  Source: docs/format-keys.md.
"""

from collections.abc import Iterable

from keycodec.grammar import COLON, SEPARATOR, encode_hex_id, encode_name, encode_predicate, encode_seq, encode_subject

_H = SEPARATOR + b"H:"
_S = SEPARATOR + b"S:"
_SP = SEPARATOR + b"SP:"
_MV = SEPARATOR + b"MV:"
_V = SEPARATOR + b"V:"
_VL = SEPARATOR + b"VL:"
_VC = SEPARATOR + b"VC:"
_VW = SEPARATOR + b"VW:"
_VT = SEPARATOR + b"VT:"
_VOTED = SEPARATOR + b"VOTED:"
_EVENT = SEPARATOR + b"EVENT:"
_HASH_SUBJECT = SEPARATOR + b"HASH_SUBJECT:"
_SUBJECTS = SEPARATOR + b"SUBJECTS:"
_DEAD = SEPARATOR + b"DEAD:"
_META = SEPARATOR + b"META:"


def subject_prefix(subject: str) -> bytes:
    """All keys about one subject, and about no other."""
    return encode_subject(subject) + SEPARATOR


def assertion_key(subject: str, hash_hex: str) -> bytes:
    """``{subject} NUL H:{hash}``."""
    return encode_subject(subject) + _H + encode_hex_id(hash_hex)


def assertion_keys(subject: str, digests: Iterable[bytes]) -> list[bytes]:
    """The keys of several assertions of one subject; digests are raw hashes of 32 bytes."""
    prefix = assertion_prefix(subject)
    return [prefix + digest.hex().encode() for digest in digests]


def assertion_prefix(subject: str) -> bytes:
    """All assertions of a subject, in hash order."""
    return encode_subject(subject) + _H


def subject_postings_key(subject: str) -> bytes:
    """``{subject} NUL S:``."""
    return encode_subject(subject) + _S


def pair_postings_key(subject: str, predicate: str) -> bytes:
    """``{subject} NUL SP:{predicate}``."""
    return encode_subject(subject) + _SP + encode_predicate(predicate)


def pair_postings_prefix(subject: str) -> bytes:
    """The posting lists of all of a subject's pairs."""
    return encode_subject(subject) + _SP


def view_key(subject: str, predicate: str) -> bytes:
    """``{subject} NUL MV:{predicate}``."""
    return encode_subject(subject) + _MV + encode_predicate(predicate)


def view_prefix(subject: str) -> bytes:
    """The materialized views of all of a subject's pairs."""
    return encode_subject(subject) + _MV


def vote_key(subject: str, hash_hex: str, vote_hash_hex: str) -> bytes:
    """``{subject} NUL V:{hash}:{vote hash}``."""
    return vote_prefix(subject, hash_hex) + encode_hex_id(vote_hash_hex)


def vote_prefix(subject: str, hash_hex: str) -> bytes:
    """All votes on one assertion, in vote-hash order."""
    return encode_subject(subject) + _V + encode_hex_id(hash_hex) + COLON


def live_vote_key(subject: str, hash_hex: str, agent_hex: str) -> bytes:
    """``{subject} NUL VL:{hash}:{agent}``."""
    return live_vote_prefix(subject, hash_hex) + encode_hex_id(agent_hex)


def live_vote_prefix(subject: str, hash_hex: str) -> bytes:
    """The live votes on one assertion, in agent order."""
    return encode_subject(subject) + _VL + encode_hex_id(hash_hex) + COLON


def vote_count_key(subject: str, hash_hex: str) -> bytes:
    """``{subject} NUL VC:{hash}``."""
    return encode_subject(subject) + _VC + encode_hex_id(hash_hex)


def vote_count_prefix(subject: str) -> bytes:
    """The vote counts of all of a subject's assertions."""
    return encode_subject(subject) + _VC


def vote_weight_key(subject: str, hash_hex: str) -> bytes:
    """``{subject} NUL VW:{hash}``."""
    return encode_subject(subject) + _VW + encode_hex_id(hash_hex)


def vote_weight_prefix(subject: str) -> bytes:
    """The vote weights of all of a subject's assertions."""
    return encode_subject(subject) + _VW


def doubtful_vote_key(hash_hex: str, vote_hash_hex: str) -> bytes:
    """``NUL VOTED:{hash}:{vote hash}``."""
    return doubtful_vote_prefix(hash_hex) + encode_hex_id(vote_hash_hex)


def doubtful_vote_prefix(hash_hex: str) -> bytes:
    """The votes on an assertion whose subject was not known to be its own, in vote-hash order."""
    return _VOTED + encode_hex_id(hash_hex) + COLON


def vote_tally_key(subject: str, hash_hex: str) -> bytes:
    """``{subject} NUL VT:{hash}``."""
    return encode_subject(subject) + _VT + encode_hex_id(hash_hex)


def vote_tally_keys(subject: str, digests: Iterable[bytes]) -> list[bytes]:
    """The tally keys of several assertions of one subject; digests are raw hashes of 32 bytes."""
    prefix = vote_tally_prefix(subject)
    return [prefix + digest.hex().encode() for digest in digests]


def vote_tally_prefix(subject: str) -> bytes:
    """The exact vote sums of all of a subject's assertions."""
    return encode_subject(subject) + _VT


def event_key(hash_hex: str) -> bytes:
    """``NUL EVENT:{hash}``."""
    return _EVENT + encode_hex_id(hash_hex)


def event_prefix() -> bytes:
    """All events that are not assertions, in hash order."""
    return _EVENT


def hash_subject_key(hash_hex: str) -> bytes:
    """``NUL HASH_SUBJECT:{hash}``."""
    return _HASH_SUBJECT + encode_hex_id(hash_hex)


def hash_subject_keys(digests: Iterable[bytes]) -> list[bytes]:
    """The keys of the subjects of several assertions; digests are raw hashes of 32 bytes."""
    return [_HASH_SUBJECT + digest.hex().encode() for digest in digests]


def hash_subject_prefix() -> bytes:
    """The subjects of all assertions, in hash order."""
    return _HASH_SUBJECT


def known_subject_key(subject: str) -> bytes:
    """``NUL SUBJECTS:{subject}``."""
    return _SUBJECTS + encode_subject(subject)


def known_subject_prefix(start: str = "") -> bytes:
    """Known subjects that begin with start, in byte order; all of them if it is empty."""
    return _SUBJECTS + (encode_subject(start) if start else b"")


def dead_letter_key(seq: int) -> bytes:
    """``NUL DEAD:{seq}``."""
    return _DEAD + encode_seq(seq)


def dead_letter_prefix() -> bytes:
    """All events that a fold could not take, in log order."""
    return _DEAD


def meta_key(name: str) -> bytes:
    """``NUL META:{name}``."""
    return _META + encode_name(name)


def meta_prefix() -> bytes:
    """All meta rows of an engine."""
    return _META
