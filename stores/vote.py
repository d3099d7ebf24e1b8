"""Ballots: every vote, the live one of each agent, and the totals: families V, VL, VC, VW, VT.

Totals live under the subject that the vote names.  A reader joins them with
the assertion's own subject, so a vote with a wrong subject has no effect, and
one that comes before its assertion counts as soon as the assertion is there.

VC and VW are the raw numbers that other programs read; VT holds the exact sums
in millionths from which VW is rounded.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from keycodec import (
    live_vote_key,
    live_vote_prefix,
    parse,
    vote_count_key,
    vote_key,
    vote_prefix,
    vote_tally_key,
    vote_tally_keys,
    vote_tally_prefix,
    vote_weight_key,
)
from model import Signature, Vote
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging

MICROS: Final = 1_000_000
_SCAN_INSTEAD_ABOVE: Final = 4  # measured: a scan that finds nothing costs about as much as five gets
_COUNT: Final = struct.Struct("<Q")
_WEIGHT: Final = struct.Struct("<f")


class VoteRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A vote as it was signed, with its first position."""

    event: Vote
    signatures: tuple[Signature, ...]
    seq: int
    time: int


class LiveVote(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The vote of an agent that counts: the latest by timestamp, then by position."""

    timestamp: int
    seq: int
    weight_micros: int
    digest: bytes


class Tally(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Live votes of non-zero weight: how many, their sum, and the sum of the positive ones."""

    count: int
    sum_micros: int
    positive_micros: int

    def plus(self, weight_micros: int) -> "Tally":
        """With one more live vote."""
        return self._changed(weight_micros, 1)

    def minus(self, weight_micros: int) -> "Tally":
        """With one live vote fewer."""
        return self._changed(weight_micros, -1)

    def _changed(self, weight_micros: int, sign: int) -> "Tally":
        if weight_micros == 0:
            return self
        return Tally(
            self.count + sign,
            self.sum_micros + sign * weight_micros,
            self.positive_micros + sign * max(weight_micros, 0),
        )


NO_VOTES: Final = Tally(0, 0, 0)
_VOTE: Final = RecordCodec(VoteRow, version=1)
_LIVE: Final = RecordCodec(LiveVote, version=1)
_TALLY: Final = RecordCodec(Tally, version=1)


class VoteStore:
    """Reads ballots."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, subject: str, assertion_hex: str, vote_hex: str) -> VoteRow | None:
        """One vote."""
        data = self._reader.get(vote_key(subject, assertion_hex, vote_hex))
        return None if data is None else _VOTE.decode(data)

    def votes(self, subject: str, assertion_hex: str, *, after: str | None = None, count_max: int) -> Iterator[VoteRow]:
        """All votes on an assertion, live or not, in hash order, at most count_max; after is an exclusive hash."""
        start = None if after is None else vote_key(subject, assertion_hex, after)
        for _, data in self._reader.scan(vote_prefix(subject, assertion_hex), after=start, count_max=count_max):
            yield _VOTE.decode(data)

    def live(self, subject: str, assertion_hex: str, agent_hex: str) -> LiveVote | None:
        """The agent's live vote on an assertion."""
        data = self._reader.get(live_vote_key(subject, assertion_hex, agent_hex))
        return None if data is None else _LIVE.decode(data)

    def live_votes(
        self, subject: str, assertion_hex: str, *, after: str | None = None, count_max: int
    ) -> Iterator[tuple[str, LiveVote]]:
        """Agents with their live votes on an assertion, in agent order, at most count_max; after is exclusive."""
        start = None if after is None else live_vote_key(subject, assertion_hex, after)
        for key, data in self._reader.scan(live_vote_prefix(subject, assertion_hex), after=start, count_max=count_max):
            yield parse(key).text("agent"), _LIVE.decode(data)

    def tally(self, subject: str, assertion_hex: str) -> Tally:
        """The totals of an assertion."""
        data = self._reader.get(vote_tally_key(subject, assertion_hex))
        return NO_VOTES if data is None else _TALLY.decode(data)

    def tallies(self, subject: str, digests: Sequence[bytes]) -> list[Tally]:
        """The totals of several assertions of a subject, in the order asked."""
        if len(digests) > _SCAN_INSTEAD_ABOVE:
            return self._scan_tallies(subject, digests)
        found = self._reader.get_many(vote_tally_keys(subject, digests))
        return [NO_VOTES if data is None else _TALLY.decode(data) for data in found]

    def _scan_tallies(self, subject: str, digests: Sequence[bytes]) -> list[Tally]:
        """Most assertions have no votes, so one short scan beats a get for each."""
        keys = vote_tally_keys(subject, digests)
        found: dict[bytes, bytes | None] = dict(
            self._reader.scan(vote_tally_prefix(subject), count_max=len(digests) + 1)
        )
        if len(found) > len(digests):  # the subject has many votes under other predicates
            found = dict(zip(keys, self._reader.get_many(keys), strict=True))
        if not found:
            return [NO_VOTES] * len(digests)
        return [NO_VOTES if (data := found.get(key)) is None else _TALLY.decode(data) for key in keys]

    def count(self, subject: str, assertion_hex: str) -> int:
        """VC: live votes of non-zero weight."""
        data = self._reader.get(vote_count_key(subject, assertion_hex))
        return 0 if data is None else int(_COUNT.unpack(data)[0])

    def weight(self, subject: str, assertion_hex: str) -> float:
        """VW: their weight as a single-precision float."""
        data = self._reader.get(vote_weight_key(subject, assertion_hex))
        return 0.0 if data is None else float(_WEIGHT.unpack(data)[0])


class VoteWriter(VoteStore):
    """Stages ballots."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, digest: bytes, row: VoteRow) -> None:
        """Keep a vote."""
        key = vote_key(row.event.subject, row.event.assertion, digest.hex())
        self._staging.put(key, _VOTE.encode(row))

    def put_live(self, subject: str, assertion_hex: str, agent_hex: str, live: LiveVote) -> None:
        """Make a vote the agent's live one."""
        self._staging.put(live_vote_key(subject, assertion_hex, agent_hex), _LIVE.encode(live))

    def put_tally(self, subject: str, assertion_hex: str, tally: Tally) -> None:
        """Set the totals of an assertion, VC and VW with them."""
        self._staging.put(vote_tally_key(subject, assertion_hex), _TALLY.encode(tally))
        self._staging.put(vote_count_key(subject, assertion_hex), _COUNT.pack(tally.count))
        self._staging.put(vote_weight_key(subject, assertion_hex), _WEIGHT.pack(tally.sum_micros / MICROS))
