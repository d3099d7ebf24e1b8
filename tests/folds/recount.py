"""What a history means, written once more from the rules and in the plainest way: the reference for the folds."""

import struct
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec import UNSET

from episteme.folds import LoggedEvent
from model import Assertion, Vote, kind_of
from stores import AssertionRow, EventRow, Posting, RowSignature, Tally, VoteRow

Pair = tuple[str, str]
Ballot = tuple[str, str]  # the subject that the vote names, the assertion's hash


class Live(NamedTuple):
    """An agent's vote that counts."""

    timestamp: int
    seq: int
    weight: Decimal
    digest: bytes


class Recount:
    """Everything that the events say, from the first to the last of them."""

    def __init__(self, events: Sequence[LoggedEvent]) -> None:
        self.assertions: dict[bytes, AssertionRow] = {}
        self.others: dict[bytes, EventRow] = {}
        self.votes: dict[tuple[str, str, bytes], VoteRow] = {}
        self.live: dict[tuple[str, str, str], Live] = {}
        self.touched: dict[Pair, LoggedEvent] = {}
        self.early: set[str] = set()  # subjects of votes on what they did not have yet
        self.doubtful: dict[tuple[str, bytes], str] = {}  # what such a vote is on, and the vote: the subject
        for event in events:
            self._count(event)

    def _count(self, event: LoggedEvent) -> None:
        content, digest = event.event, event.digest
        if isinstance(content, Assertion):
            self._count_assertion(event, content)
            return
        known = self.others.get(digest)
        agents = list(known.agents) if known else []
        agents += [one.agent for one in event.signatures if one.agent not in agents]
        self.others[digest] = EventRow(known.seq if known else event.seq, kind_of(content), tuple(agents), None)
        if isinstance(content, Vote):
            self._count_vote(event, content, first=known is None)

    def _count_assertion(self, event: LoggedEvent, assertion: Assertion) -> None:
        digest = event.digest
        known = self.assertions.get(digest)
        signatures = list(known.signatures) if known else []
        signers = {one.agent for one in signatures}
        signatures += [
            RowSignature(one.agent, one.signature, event.seq) for one in event.signatures if one.agent not in signers
        ]
        seq, time = (known.seq, known.time) if known else (event.seq, event.time)
        self.assertions[digest] = AssertionRow(assertion, tuple(signatures), seq, time)
        self.touched[assertion.subject, assertion.predicate] = event

    def _count_vote(self, event: LoggedEvent, vote: Vote, *, first: bool) -> None:
        target = self.assertions.get(bytes.fromhex(vote.assertion))
        if target is not None and target.event.subject == vote.subject:
            self.touched[vote.subject, target.event.predicate] = event
        else:
            self.early.add(vote.subject)
        if not first:
            return
        digest = event.digest
        if target is None or target.event.subject != vote.subject:
            self.doubtful[vote.assertion, digest] = vote.subject
        self.votes[vote.subject, vote.assertion, digest] = VoteRow(vote, event.signatures, event.seq, event.time)
        ballot = (vote.subject, vote.assertion, vote.agent)
        live = Live(vote.timestamp, event.seq, Decimal(vote.weight), digest)
        if ballot not in self.live or self.live[ballot][:2] < live[:2]:
            self.live[ballot] = live

    @property
    def ballots(self) -> set[Ballot]:
        return {(subject, assertion) for subject, assertion, _ in self.live}

    def weights(self, ballot: Ballot) -> list[Decimal]:
        """The weights that count, of a subject's assertion."""
        found = [live.weight for (subject, assertion, _), live in self.live.items() if (subject, assertion) == ballot]
        return [weight for weight in found if weight != 0]

    def tally(self, ballot: Ballot) -> Tally:
        weights = self.weights(ballot)
        positive = [weight for weight in weights if weight > 0]
        return Tally(len(weights), _micros(weights), _micros(positive))

    def count_bytes(self, ballot: Ballot) -> bytes:
        return len(self.weights(ballot)).to_bytes(8, "little")

    def weight_bytes(self, ballot: Ballot) -> bytes:
        return struct.pack("<f", sum(self.weights(ballot), Decimal(0)))

    @property
    def subjects(self) -> list[str]:
        return sorted({row.event.subject for row in self.assertions.values()}, key=str.encode)

    @property
    def pairs(self) -> set[Pair]:
        return {(row.event.subject, row.event.predicate) for row in self.assertions.values()}

    def postings(self, subject: str, predicate: str | None = None) -> list[Posting]:
        """The subject's, or the pair's, assertions in log order."""
        return sorted(
            Posting(row.seq, digest)
            for digest, row in self.assertions.items()
            if row.event.subject == subject and predicate in (None, row.event.predicate)
        )

    @property
    def children(self) -> dict[str, list[Posting]]:
        """Assertions by the parent that they name, in log order."""
        found: dict[str, list[Posting]] = {}
        for digest, row in self.assertions.items():
            if row.event.parent_hash is not UNSET:
                found.setdefault(row.event.parent_hash, []).append(Posting(row.seq, digest))
        return {parent: sorted(postings) for parent, postings in found.items()}

    @property
    def signed(self) -> dict[str, list[Posting]]:
        """Assertions by their signers, in the log order of the signatures."""
        found: dict[str, list[Posting]] = {}
        for digest, row in self.assertions.items():
            for signature in row.signatures:
                found.setdefault(signature.agent.hex(), []).append(Posting(signature.seq, digest))
        return {agent: sorted(postings) for agent, postings in found.items()}


def _micros(weights: Sequence[Decimal]) -> int:
    return int(sum(weights, Decimal(0)) * 1_000_000)
