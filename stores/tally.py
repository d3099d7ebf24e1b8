"""Running tallies behind a pair's view: families PT, PG, PA and PR, and the layout of the rows beside them.

A pair of few claims is one row that holds what counts of each of them.  A pair
of many is totals, and rows of their own for groups, agents and chains.  What
the numbers mean is the view fold's; every row is a function of the claims, of what
supersedes them and of the votes, not of how they came.
"""

import struct
from typing import Final

from blake3 import blake3
from msgspec import Struct

from keycodec import any_early_votes_key, early_votes_key, pair_tally_key
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging

SHORT_ID_BYTES: Final = 16
GROUND_NAMES_MAX: Final = 16  # epochs, and sources, of a pair that each read of its view may have to look up
_TIE: Final = struct.Struct(">BQ32s")
_DIGEST_AT: Final = 9
_U64_MAX: Final = (1 << 64) - 1
_UNIT: Final = struct.Struct(">41sq")  # tie, votes in millionths
_FORMER: Final = struct.Struct(">41sQ")  # tie, how many others
_EARLIER: Final = struct.Struct(">QQ16s41s")  # timestamp, position, value, tie

Said = tuple[int, int, bytes, bytes]  # an agent's claim: timestamp, position, value, tie
Member = tuple[int, bytes, int]  # a group's claim: position, tie, votes in millionths


class PairClaim(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What of a claim has a say in its pair's answer; signers are agents with the positions of their signatures."""

    tie: bytes  # tier, inverted timestamp and hash: the order among equals
    seq: int
    timestamp: int
    is_hidden: bool  # by its stage of the lifecycle, or superseded
    parent: bytes | None
    value: bytes  # id of what it says: claims that say the same share it
    signers: tuple[tuple[bytes, int], ...]
    votes_micros: int
    object: bytes  # its spelling, in msgpack; empty if it is too long to be kept twice

    @property
    def digest(self) -> bytes:
        """The claim's hash."""
        return self.tie[_DIGEST_AT:]


class PairTotals(Struct, array_like=True, forbid_unknown_fields=True):
    """The totals of a large pair."""

    candidates_count: int = 0
    supports: list[tuple[int, int]] = []  # each support that a group has, and how many have it; ascending
    waiting_count: int = 0  # claims whose parent the pair does not have
    chained_count: int = 0  # claims in chains
    claims_count: int = 0  # all that there are, hidden ones too
    has_revoked: bool = False  # whether a signer of any of them was revoked
    checked_seq: int = -1  # the position up to which revocations were looked at for that


class PairGround(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What claims of a pair have ever named: epochs and sources (32 bytes each, ascending), subjects as values.

    None: more than GROUND_NAMES_MAX.
    """

    epochs: tuple[bytes, ...] | None = ()
    sources: tuple[bytes, ...] | None = ()
    references: bool = False


NO_GROUND: Final = PairGround()


class PairTally(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is kept of a pair: all of its claims in log order while they are few, totals from then on."""

    claims: list[PairClaim]
    totals: PairTotals | None = None
    ground: PairGround = NO_GROUND


class GroupTally(Struct, array_like=True, forbid_unknown_fields=True):
    """A value of a large pair."""

    count: int = 0
    support: int = 0
    tiers: list[int] = []  # how many candidates there are of each tier
    votes_micros: int = 0
    best: bytes = b""  # the tie of the candidate that represents it
    object: bytes = b""  # that one's spelling; empty if it is too long to be kept twice
    first: list[Member] = []  # the first candidates in log order; the others have rows


class AgentTally(Struct, array_like=True, forbid_unknown_fields=True):
    """An agent in a large pair: the last of its latest claims says what it stands for."""

    latest: list[Said] = []  # oldest first; still earlier ones have rows; none if all that it signed is hidden
    earlier_count: int = 0
    best: bytes = b""  # the best tie among its claims of the value that it stands for


class ChainTally(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A chain of lifecycle moves in a large pair, two claims or more, in log order."""

    claims: list[PairClaim]


_PAIR: Final = RecordCodec(PairTally, version=2)
_GROUP: Final = RecordCodec(GroupTally, version=1)
_AGENT: Final = RecordCodec(AgentTally, version=1)
_CHAIN: Final = RecordCodec(ChainTally, version=1)


def short_id(data: bytes) -> bytes:
    """The id under which a predicate or a value enters a key."""
    return blake3(data).digest(SHORT_ID_BYTES)


def make_tie(tier: int, timestamp: int, digest: bytes) -> bytes:
    """41 bytes whose order is the order among equals: lower tier, then later timestamp, then smaller hash."""
    return _TIE.pack(tier, _U64_MAX - timestamp, digest)


def digest_of(tie: bytes) -> bytes:
    """The hash that a tie ends in."""
    return tie[_DIGEST_AT:]


def pack_unit(tie: bytes, votes_micros: int) -> bytes:
    """The value of a PU row."""
    return _UNIT.pack(tie, votes_micros)


def unpack_unit(data: bytes) -> tuple[bytes, int]:
    """Tie and votes of a PU row."""
    tie, votes_micros = _UNIT.unpack(data)
    return tie, votes_micros


def pack_earlier(timestamp: int, seq: int, value: bytes, tie: bytes) -> bytes:
    """The value of a PE row."""
    return _EARLIER.pack(timestamp, seq, value, tie)


def unpack_earlier(data: bytes) -> Said:
    """What a PE row says."""
    timestamp, seq, value, tie = _EARLIER.unpack(data)
    return timestamp, seq, value, tie


def pack_former(best: bytes, others_count: int) -> bytes:
    """The value of a PF row."""
    return _FORMER.pack(best, others_count)


def unpack_former(data: bytes) -> tuple[bytes, int]:
    """Tie of the best claim of a PF row, and how many others there are."""
    best, others_count = _FORMER.unpack(data)
    return best, others_count


class TallyStore:
    """Reads tallies; keys but for the pair's own come from keycodec.TallyKeys."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def pair(self, subject: str, predicate: str) -> PairTally | None:
        """What is kept of a pair."""
        data = self._reader.get(pair_tally_key(subject, predicate))
        return None if data is None else _PAIR.decode(data)

    def group(self, key: bytes) -> GroupTally | None:
        """A value of a large pair."""
        data = self._reader.get(key)
        return None if data is None else _GROUP.decode(data)

    def groups(self, keys: list[bytes]) -> list[GroupTally | None]:
        """Several values of a large pair, in the order asked."""
        return [None if data is None else _GROUP.decode(data) for data in self._reader.get_many(keys)]

    def agent(self, key: bytes) -> AgentTally | None:
        """An agent in a large pair."""
        data = self._reader.get(key)
        return None if data is None else _AGENT.decode(data)

    def chain(self, key: bytes) -> ChainTally | None:
        """A chain of a large pair."""
        data = self._reader.get(key)
        return None if data is None else _CHAIN.decode(data)

    def has_any_early_votes(self) -> bool:
        """Whether has_early_votes is true of any subject."""
        return self._reader.get(any_early_votes_key()) is not None

    def has_early_votes(self, subject: str) -> bool:
        """Whether a vote has ever come that named this subject and an assertion it did not have yet."""
        return self._reader.get(early_votes_key(subject)) is not None


class TallyWriter(TallyStore):
    """Stages tallies."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put_pair(self, subject: str, predicate: str, tally: PairTally) -> None:
        """Set what is kept of a pair."""
        self._staging.put(pair_tally_key(subject, predicate), _PAIR.encode(tally))

    def put_group(self, key: bytes, tally: GroupTally) -> None:
        """Set a value's tallies."""
        self._staging.put(key, _GROUP.encode(tally))

    def put_agent(self, key: bytes, tally: AgentTally) -> None:
        """Set an agent's tallies."""
        self._staging.put(key, _AGENT.encode(tally))

    def put_chain(self, key: bytes, tally: ChainTally) -> None:
        """Set a chain."""
        self._staging.put(key, _CHAIN.encode(tally))

    def put_early_votes(self, subject: str) -> None:
        """Note that a vote came before its assertion."""
        self._staging.put(early_votes_key(subject), b"")
        self._staging.put(any_early_votes_key(), b"")
