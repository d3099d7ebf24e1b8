"""Builders and prefix builders of the lists by parent, source, epoch and signer.

All four have one shape: an id, then the log position of the event that put the
assertion on the list.  One event names one parent, source and epoch, and each
signer once, so a key is never used twice, and a list reads in log order.
Source: docs/format-keys.md.
"""

from keycodec.grammar import COLON, SEPARATOR, encode_hex_id, encode_seq

_CHILD = SEPARATOR + b"CHILD:"
_SRCA = SEPARATOR + b"SRCA:"
_EA = SEPARATOR + b"EA:"
_AA = SEPARATOR + b"AA:"


def child_key(parent_hex: str, seq: int) -> bytes:
    """``NUL CHILD:{parent}:{seq}``."""
    return child_prefix(parent_hex) + encode_seq(seq)


def child_prefix(parent_hex: str) -> bytes:
    """The assertions whose parent_hash this is, in log order."""
    return _CHILD + encode_hex_id(parent_hex) + COLON


def source_assertion_key(source_hex: str, seq: int) -> bytes:
    """``NUL SRCA:{source_hash}:{seq}``."""
    return source_assertion_prefix(source_hex) + encode_seq(seq)


def source_assertion_prefix(source_hex: str) -> bytes:
    """The assertions that rest on a source, in log order."""
    return _SRCA + encode_hex_id(source_hex) + COLON


def epoch_assertion_key(epoch_hex: str, seq: int) -> bytes:
    """``NUL EA:{epoch}:{seq}``."""
    return epoch_assertion_prefix(epoch_hex) + encode_seq(seq)


def epoch_assertion_prefix(epoch_hex: str) -> bytes:
    """The assertions that belong to an epoch, in log order."""
    return _EA + encode_hex_id(epoch_hex) + COLON


def agent_assertion_key(agent_hex: str, seq: int) -> bytes:
    """``NUL AA:{agent}:{seq}``."""
    return agent_assertion_prefix(agent_hex) + encode_seq(seq)


def agent_assertion_prefix(agent_hex: str) -> bytes:
    """The assertions that an agent has signed, in the log order of its signatures."""
    return _AA + encode_hex_id(agent_hex) + COLON
