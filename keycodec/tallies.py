"""Keys of the running tallies behind a pair's view: totals, and for many claims groups, agents and chains.

A predicate and a value enter as short ids, so that no key outgrows an engine.
A tie is 41 bytes whose order is the order among equals (tier, inverted
timestamp, hash); a rank is an inverted support and a recency an inverted
moment and position, so what counts most comes first.

The functions check their parts.  A fold that writes many rows of one pair uses
TallyKeys, which builds the same keys from raw bytes and checks nothing.
Source: docs/format-keys.md.
"""

from binascii import hexlify
from collections.abc import Callable
from typing import Final

from keycodec.grammar import (
    COLON,
    COMPONENTS,
    SEPARATOR,
    encode_hex_id,
    encode_predicate,
    encode_seq,
    encode_short_id,
    encode_subject,
)

_EARLY: Final = SEPARATOR + b"EARLY:"
_VE: Final = SEPARATOR + b"VE:"
_PT: Final = SEPARATOR + b"PT:"
_PG: Final = SEPARATOR + b"PG:"
_PO: Final = SEPARATOR + b"PO:"
_PS: Final = SEPARATOR + b"PS:"
_PU: Final = SEPARATOR + b"PU:"
_PB: Final = SEPARATOR + b"PB:"
_PA: Final = SEPARATOR + b"PA:"
_PE: Final = SEPARATOR + b"PE:"
_PF: Final = SEPARATOR + b"PF:"
_PX: Final = SEPARATOR + b"PX:"
_PR: Final = SEPARATOR + b"PR:"
_PL: Final = SEPARATOR + b"PL:"
_PW: Final = SEPARATOR + b"PW:"
_TIE: Final[Callable[[str], bytes]] = COMPONENTS["tie"].check
_TIE_DIGITS: Final = COMPONENTS["tie"].bytes_max
_U64_MAX: Final = (1 << 64) - 1


def early_votes_key(subject: str) -> bytes:
    """``{subject} NUL VE:``."""
    return encode_subject(subject) + _VE


def any_early_votes_key() -> bytes:
    """``NUL EARLY:``."""
    return _EARLY


def pair_tally_key(subject: str, predicate: str) -> bytes:
    """``{subject} NUL PT:{predicate}``."""
    return encode_subject(subject) + _PT + encode_predicate(predicate)


def pair_tally_prefix(subject: str) -> bytes:
    """The tallies of all of a subject's pairs."""
    return encode_subject(subject) + _PT


def tally_group_key(subject: str, pair: str, value: str) -> bytes:
    """``{subject} NUL PG:{pair}:{value}``."""
    return encode_subject(subject) + _PG + encode_short_id(pair) + COLON + encode_short_id(value)


def tally_order_key(subject: str, pair: str, rank: int, tie: str) -> bytes:
    """``{subject} NUL PO:{pair}:{rank}:{tie}``."""
    return encode_subject(subject) + _PO + encode_short_id(pair) + COLON + encode_seq(rank) + COLON + _TIE(tie)


def tally_support_key(subject: str, pair: str, value: str, tie: str, agent_hex: str) -> bytes:
    """``{subject} NUL PS:{pair}:{value}:{tie}:{agent}``."""
    group = encode_subject(subject) + _PS + encode_short_id(pair) + COLON + encode_short_id(value)
    return group + COLON + _TIE(tie) + COLON + encode_hex_id(agent_hex)


def tally_unit_key(subject: str, pair: str, value: str, seq: int) -> bytes:
    """``{subject} NUL PU:{pair}:{value}:{seq}``."""
    group = encode_subject(subject) + _PU + encode_short_id(pair) + COLON + encode_short_id(value)
    return group + COLON + encode_seq(seq)


def tally_best_key(subject: str, pair: str, value: str, tie: str) -> bytes:
    """``{subject} NUL PB:{pair}:{value}:{tie}``."""
    group = encode_subject(subject) + _PB + encode_short_id(pair) + COLON + encode_short_id(value)
    return group + COLON + _TIE(tie)


def tally_agent_key(subject: str, pair: str, agent_hex: str) -> bytes:
    """``{subject} NUL PA:{pair}:{agent}``."""
    return encode_subject(subject) + _PA + encode_short_id(pair) + COLON + encode_hex_id(agent_hex)


def tally_earlier_key(subject: str, pair: str, agent_hex: str, recency: str) -> bytes:
    """``{subject} NUL PE:{pair}:{agent}:{recency}``."""
    agent = encode_subject(subject) + _PE + encode_short_id(pair) + COLON + encode_hex_id(agent_hex)
    return agent + COLON + encode_short_id(recency)


def tally_former_key(subject: str, pair: str, agent_hex: str, value: str) -> bytes:
    """``{subject} NUL PF:{pair}:{agent}:{value}``."""
    agent = encode_subject(subject) + _PF + encode_short_id(pair) + COLON + encode_hex_id(agent_hex)
    return agent + COLON + encode_short_id(value)


def tally_worse_key(subject: str, pair: str, agent_hex: str, value: str, tie: str) -> bytes:
    """``{subject} NUL PX:{pair}:{agent}:{value}:{tie}``."""
    agent = encode_subject(subject) + _PX + encode_short_id(pair) + COLON + encode_hex_id(agent_hex)
    return agent + COLON + encode_short_id(value) + COLON + _TIE(tie)


def tally_chain_key(subject: str, pair: str, hash_hex: str) -> bytes:
    """``{subject} NUL PR:{pair}:{hash}``."""
    return encode_subject(subject) + _PR + encode_short_id(pair) + COLON + encode_hex_id(hash_hex)


def tally_link_key(subject: str, pair: str, hash_hex: str) -> bytes:
    """``{subject} NUL PL:{pair}:{hash}``."""
    return encode_subject(subject) + _PL + encode_short_id(pair) + COLON + encode_hex_id(hash_hex)


def tally_waiting_key(subject: str, pair: str, parent_hex: str, hash_hex: str) -> bytes:
    """``{subject} NUL PW:{pair}:{parent}:{hash}``."""
    parent = encode_subject(subject) + _PW + encode_short_id(pair) + COLON + encode_hex_id(parent_hex)
    return parent + COLON + encode_hex_id(hash_hex)


class TallyKeys:
    """The same keys for one pair, from raw bytes.

    A set of rows that is read in order has a prefix, which ends in a colon, and a suffix for each row.
    pair, value: 16 bytes; agent, digest, parent: 32; tie: 41.
    """

    __slots__ = (
        "_agent",
        "_best",
        "_chain",
        "_earlier",
        "_former",
        "_group",
        "_link",
        "_support",
        "_unit",
        "_waiting",
        "_worse",
        "order",
    )

    def __init__(self, subject: str, pair: bytes) -> None:
        """Raises: InvalidKeyPart for a subject that breaks its rule."""
        head, tail = encode_subject(subject), hexlify(pair) + COLON
        self._group = head + _PG + tail
        self.order = head + _PO + tail  # the prefix of the groups in their order
        self._support = head + _PS + tail
        self._unit = head + _PU + tail
        self._best = head + _PB + tail
        self._agent = head + _PA + tail
        self._earlier = head + _PE + tail
        self._former = head + _PF + tail
        self._worse = head + _PX + tail
        self._chain = head + _PR + tail
        self._link = head + _PL + tail
        self._waiting = head + _PW + tail

    def group(self, value: bytes) -> bytes:
        """As tally_group_key."""
        return self._group + hexlify(value)

    def agent(self, agent: bytes) -> bytes:
        """As tally_agent_key."""
        return self._agent + hexlify(agent)

    def chain(self, digest: bytes) -> bytes:
        """As tally_chain_key."""
        return self._chain + hexlify(digest)

    def link(self, digest: bytes) -> bytes:
        """As tally_link_key."""
        return self._link + hexlify(digest)

    def support(self, value: bytes) -> bytes:
        """The prefix of who stands for a value, the best claim first."""
        return self._support + hexlify(value) + COLON

    def unit(self, value: bytes) -> bytes:
        """The prefix of a group's further claims in log order."""
        return self._unit + hexlify(value) + COLON

    def best(self, value: bytes) -> bytes:
        """The prefix of the same claims, the best first."""
        return self._best + hexlify(value) + COLON

    def earlier(self, agent: bytes) -> bytes:
        """The prefix of an agent's earlier claims, the latest first."""
        return self._earlier + hexlify(agent) + COLON

    def former(self, agent: bytes, value: bytes) -> bytes:
        """As tally_former_key."""
        return self._former + hexlify(agent) + COLON + hexlify(value)

    def worse(self, agent: bytes, value: bytes) -> bytes:
        """The prefix of an agent's earlier claims for a value but the best of them, the next best first."""
        return self._worse + hexlify(agent) + COLON + hexlify(value) + COLON

    def waiting(self, parent: bytes) -> bytes:
        """The prefix of the claims that wait for their parent."""
        return self._waiting + hexlify(parent) + COLON

    @staticmethod
    def of_order(support: int, tie: bytes) -> bytes:
        """The suffix of a group in the order."""
        return b"%016x:%b" % (_U64_MAX - support, hexlify(tie))

    @staticmethod
    def of_support(tie: bytes, agent: bytes) -> bytes:
        """The suffix of an agent among those who stand for a value."""
        return b"%b:%b" % (hexlify(tie), hexlify(agent))

    @staticmethod
    def of_seq(seq: int) -> bytes:
        """The suffix of a claim in log order."""
        return b"%016x" % seq

    @staticmethod
    def of_recency(timestamp: int, seq: int) -> bytes:
        """The suffix of an agent's claim: the latest timestamp, then the latest position, comes first."""
        return b"%016x%016x" % (_U64_MAX - timestamp, _U64_MAX - seq)

    @staticmethod
    def of_bytes(raw: bytes) -> bytes:
        """The suffix that is a tie or a hash alone."""
        return hexlify(raw)

    @staticmethod
    def tie_in(suffix: bytes) -> bytes:
        """The tie that a suffix begins with."""
        return bytes.fromhex(suffix[:_TIE_DIGITS].decode())

    @staticmethod
    def seq_in(suffix: bytes) -> int:
        """The position that a suffix is."""
        return int(suffix, 16)

    @staticmethod
    def digest_in(suffix: bytes) -> bytes:
        """The hash that a suffix is."""
        return bytes.fromhex(suffix.decode())
