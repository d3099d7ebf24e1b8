"""Builders and prefix builders of the lists by parent, source, epoch, signer and replacement.

All have one shape: an id, then the first position of a block of the log.  A row
holds what the events of its block put on the list, so a list that nearly every
event adds to costs a row a block and not a row an event; blocks have the same
bounds whatever is in them.
Source: docs/format-keys.md.
"""

from binascii import hexlify
from typing import Final

from keycodec.grammar import COLON, SEPARATOR, encode_hex_id, encode_seq

BLOCK_SEQS: Final = 256  # a row of a signer of everything has 10 kB, and is written once a batch

_CHILD = SEPARATOR + b"CHILD:"
_SRCA = SEPARATOR + b"SRCA:"
_EA = SEPARATOR + b"EA:"
_AA = SEPARATOR + b"AA:"
_SUPR = SEPARATOR + b"SUPR:"


def block_of(seq: int) -> int:
    """The first position of the block that a position is in."""
    return seq - seq % BLOCK_SEQS


def of_block(prefix: bytes, seq: int) -> bytes:
    """The key of a list's row that a position is in; prefix: the list's."""
    return prefix + encode_seq(block_of(seq))


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


def signer_list(agent: bytes) -> bytes:
    """As agent_assertion_prefix, from a raw key of 32 bytes, which is not checked."""
    return _AA + hexlify(agent) + COLON


def replaced_key(hash_hex: str, seq: int) -> bytes:
    """``NUL SUPR:{hash}:{seq}``; the hash is the replacement's."""
    return replaced_prefix(hash_hex) + encode_seq(seq)


def replaced_prefix(hash_hex: str) -> bytes:
    """The assertions that this one replaces, in the log order of the positions from which on it does."""
    return _SUPR + encode_hex_id(hash_hex) + COLON
