"""Ballots: every vote, the live one of each agent, and the totals: families V, VL, VC, VW, VT and VOTED.

Totals live under the subject that the vote names.  A reader joins them with
the assertion's own subject, so a vote with a wrong subject has no effect, and
one that comes before its assertion counts as soon as the assertion is there.
Either of them is listed under its assertion in VOTED, with the subject that it
names: so all votes on an assertion can be found, wherever they lie.  A vote by
a key that was revoked by then is kept and is never live.

As of an earlier position the live votes are found from V, which has all votes
with their positions, by the rule of the fold; votes after it do not exist.

VC and VW are the raw numbers that other programs read; VT holds the exact sums
in millionths from which VW is rounded.
"""

import struct
from collections.abc import Container, Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from keycodec import (
    doubtful_vote_key,
    doubtful_vote_prefix,
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
from model import Signature, Vote, is_any_by_bundle, to_micros
from stores.errors import UnsupportedValue
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging

MICROS: Final = 1_000_000
_SCAN_INSTEAD_ABOVE: Final = 4  # measured: a scan that finds nothing costs about as much as five gets
_PAGE: Final = 1000  # votes that are read at a time where all on an assertion are: about a megabyte
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

    @property
    def place(self) -> tuple[int, int]:
        """The order of an agent's votes on an assertion: the last of them is live."""
        return (self.timestamp, self.seq)


VoteEffect = Literal["counts", "withdraws", "replaced", "other-subject", "revoked-key"]


class CastVote(NamedTuple):
    """A vote and what it does.

    counts: it is its agent's live vote; withdraws: so it is, with weight 0; replaced: another of the agent's is, the
    one whose hash is replaced_by.  Without effect: other-subject, it names a subject that is not its assertion's;
    revoked-key, its agent's key was revoked when it came.
    """

    digest: bytes
    row: VoteRow
    effect: VoteEffect
    replaced_by: bytes | None = None


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
_BUNDLED_VERSION: Final = 2
_VOTE_OWN: Final = RecordCodec(VoteRow, version=1)
# The same fields; written where a signature is by bundle, so that a reader that knows none refuses the row.
_VOTE_BUNDLED: Final = RecordCodec(
    VoteRow, version=_BUNDLED_VERSION, older={1: msgspec.msgpack.Decoder(VoteRow).decode}
)
_LIVE: Final = RecordCodec(LiveVote, version=1)
_TALLY: Final = RecordCodec(Tally, version=1)


def live_vote(digest: bytes, vote: Vote, seq: int) -> LiveVote:
    """What is kept of a vote, first logged at seq, while it is live."""
    return LiveVote(vote.timestamp, seq, to_micros(vote.weight), digest)


class VoteStore:
    """Reads ballots."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, subject: str, assertion_hex: str, vote_hex: str) -> VoteRow | None:
        """One vote."""
        data = self._reader.get(vote_key(subject, assertion_hex, vote_hex))
        return None if data is None else _decode_vote(data)

    def votes(self, subject: str, assertion_hex: str, *, after: str | None = None, count_max: int) -> Iterator[VoteRow]:
        """All votes on an assertion, live or not, in hash order, at most count_max; after is an exclusive hash."""
        start = None if after is None else vote_key(subject, assertion_hex, after)
        for _, data in self._reader.scan(vote_prefix(subject, assertion_hex), after=start, count_max=count_max):
            yield _decode_vote(data)

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
        found = self._tally_rows(subject, digests)
        return [NO_VOTES if data is None else _TALLY.decode(data) for data in found]

    def tallies_at(self, subject: str, digests: Sequence[bytes], at: int) -> list[Tally]:
        """The totals of several assertions of a subject as of position at, in the order asked.

        Costs what tallies does where no votes are.  Of an assertion with votes the live ones are read, and all of
        them if an agent has voted on it since.
        """
        found = self._tally_rows(subject, digests)
        return [
            NO_VOTES if data is None else self._tally_at(subject, digest.hex(), at)
            for digest, data in zip(digests, found, strict=True)
        ]

    def ballot(self, subject: str, assertion_hex: str, *, after: str | None = None, count_max: int) -> list[CastVote]:
        """Every vote on an assertion with what it does, also those that name another subject than this, its own.

        In hash order, at most count_max; after is an exclusive hash.
        """
        found = merge(
            self._cast_here(subject, assertion_hex, after, min(count_max, _PAGE)),
            self._cast_elsewhere(subject, assertion_hex, after, min(count_max, _PAGE)),
            key=lambda cast: cast.digest,
        )
        return list(islice(found, count_max))

    def _tally_rows(self, subject: str, digests: Sequence[bytes]) -> list[bytes | None]:
        """Most assertions have no votes, so one short scan beats a get for each."""
        keys = vote_tally_keys(subject, digests)
        if len(digests) <= _SCAN_INSTEAD_ABOVE:
            return self._reader.get_many(keys)
        found = dict(self._reader.scan(vote_tally_prefix(subject), count_max=len(digests) + 1))
        if len(found) > len(digests):  # the subject has many votes under other predicates
            return self._reader.get_many(keys)
        return [found.get(key) for key in keys] if found else [None] * len(digests)

    def _tally_at(self, subject: str, assertion_hex: str, at: int) -> Tally:
        tally, since = NO_VOTES, set()
        for key, data in self._pages(live_vote_prefix(subject, assertion_hex), None, _PAGE):
            live = _LIVE.decode(data)
            if live.seq <= at:  # what is the latest of all now was the latest of those that were there
                tally = tally.plus(live.weight_micros)
            else:
                since.add(parse(key).text("agent"))
        for live in self._live_at(subject, assertion_hex, since, at) if since else ():
            tally = tally.plus(live.weight_micros)
        return tally

    def _live_at(self, subject: str, assertion_hex: str, agents: Container[str], at: int) -> Iterable[LiveVote]:
        """What was live then of agents who have voted since; their keys spoke, or they would not have."""
        latest: dict[str, LiveVote] = {}
        for digest, row in self._all_votes(subject, assertion_hex, None, _PAGE):
            if row.seq <= at and row.event.agent in agents:
                live = live_vote(digest, row.event, row.seq)
                known = latest.get(row.event.agent)
                if known is None or known.place < live.place:
                    latest[row.event.agent] = live
        return latest.values()

    def _cast_here(self, subject: str, assertion_hex: str, after: str | None, page_count: int) -> Iterator[CastVote]:
        for digest, row in self._all_votes(subject, assertion_hex, after, page_count):
            live = self.live(subject, assertion_hex, row.event.agent)
            if live is not None and live.digest == digest:
                yield CastVote(digest, row, "counts" if live.weight_micros else "withdraws")
            elif live is not None and (row.event.timestamp, row.seq) < live.place:
                yield CastVote(digest, row, "replaced", live.digest)
            else:
                yield CastVote(digest, row, "revoked-key")

    def _cast_elsewhere(
        self, subject: str, assertion_hex: str, after: str | None, page_count: int
    ) -> Iterator[CastVote]:
        start = None if after is None else doubtful_vote_key(assertion_hex, after)
        for key, data in self._pages(doubtful_vote_prefix(assertion_hex), start, page_count):
            vote_hex, named = parse(key).text("vh"), data.decode("utf-8")
            if named != subject:
                row = self.get(named, assertion_hex, vote_hex)
                assert row is not None, f"vote {vote_hex} is listed but not there"
                yield CastVote(bytes.fromhex(vote_hex), row, "other-subject")

    def _all_votes(
        self, subject: str, assertion_hex: str, after: str | None, page_count: int
    ) -> Iterator[tuple[bytes, VoteRow]]:
        start = None if after is None else vote_key(subject, assertion_hex, after)
        for key, data in self._pages(vote_prefix(subject, assertion_hex), start, page_count):
            yield bytes.fromhex(parse(key).text("vh")), _decode_vote(data)

    def _pages(self, prefix: bytes, after: bytes | None, page_count: int) -> Iterator[tuple[bytes, bytes]]:
        while page := list(self._reader.scan(prefix, after=after, count_max=page_count)):
            yield from page
            if len(page) < page_count:
                return
            after = page[-1][0]

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
        codec = _VOTE_BUNDLED if is_any_by_bundle(row.signatures) else _VOTE_OWN
        self._staging.put(key, codec.encode(row))

    def put_doubtful(self, digest: bytes, vote: Vote) -> None:
        """List a vote under its assertion, which is not known to be of the subject that the vote names."""
        self._staging.put(doubtful_vote_key(vote.assertion, digest.hex()), vote.subject.encode("utf-8"))

    def put_live(self, subject: str, assertion_hex: str, agent_hex: str, live: LiveVote) -> None:
        """Make a vote the agent's live one."""
        self._staging.put(live_vote_key(subject, assertion_hex, agent_hex), _LIVE.encode(live))

    def put_tally(self, subject: str, assertion_hex: str, tally: Tally) -> None:
        """Set the totals of an assertion, VC and VW with them."""
        self._staging.put(vote_tally_key(subject, assertion_hex), _TALLY.encode(tally))
        self._staging.put(vote_count_key(subject, assertion_hex), _COUNT.pack(tally.count))
        self._staging.put(vote_weight_key(subject, assertion_hex), _WEIGHT.pack(tally.sum_micros / MICROS))


def _decode_vote(data: bytes) -> VoteRow:
    row = _VOTE_BUNDLED.decode(data)
    if is_any_by_bundle(row.signatures) is not (data[0] == _BUNDLED_VERSION):
        raise UnsupportedValue(f"VoteRow: version {data[0]} with signatures of the other version")
    return row
