"""What becomes of each event of a batch: refused, known already, or to be appended, and who pays for it.

Events are judged in their order, each as if those before it were in the log.
Nothing here is charged for what is refused or known, and what is charged is
given back if the append fails.
"""

from collections.abc import Sequence
from typing import NamedTuple

from episteme.errors import EpistemeError, FieldProblem, KeyRevoked, QuotaExceeded
from episteme.gate.admission import envelope_line
from episteme.gate.known import Known, RecentEvents, find_known
from episteme.gate.meter import Charge, Meter, write_tokens
from episteme.gate.revoked import RevokedKeys, RevokedNow
from episteme.receipts import Receipt
from model import Receipt as ReceiptFacts
from model import SignedEvent
from stores import Reader

Outcome = Receipt | EpistemeError


class Submission(NamedTuple):
    """An event on its way in; body_bytes: of the request, or the line, that brought it, None if there was none."""

    signed: SignedEvent
    via: str
    body_bytes: int | None = None


class Fresh(NamedTuple):
    """An event to append, and what the log is to say of how it came."""

    signed: SignedEvent
    facts: ReceiptFacts


class Plan:
    """One batch, under the lock of the log's one way in."""

    def __init__(self, reader: Reader, recent: RecentEvents, revoked: RevokedKeys, meter: Meter | None) -> None:
        """recent, revoked: what is not folded into the reader's state."""
        self._reader = reader
        self._recent = recent
        self._revoked = revoked
        self._revoked_now = RevokedNow(reader)
        self._meter = meter
        self._said: dict[bytes, _Said] = {}
        self._revoked_here: dict[bytes, int] = {}  # by an event of this batch: its index in fresh
        self._steps: list[EpistemeError | tuple[SignedEvent, _Said, int | None]] = []  # an index into fresh
        self.fresh: list[Fresh] = []
        self.charges: list[Charge] = []

    def add(self, submission: Submission, refusal: EpistemeError | None) -> None:
        """Judge the next event; refusal: what its signatures came to."""
        if refusal is not None:
            self._steps.append(refusal)
            return
        signed = submission.signed
        said = self._said.get(signed.digest)
        if said is None:
            said = self._said[signed.digest] = _Said(find_known(self._reader, self._recent, signed))
        known = said.known_places(signed)
        if len(known) == len(signed.signatures):
            self._steps.append((signed, said, None))
            return
        facts = self._admit(submission, known)
        if isinstance(facts, EpistemeError):
            self._steps.append(facts)
            return
        index = len(self.fresh)
        said.join(signed, index)
        revoked = self._revoked_now.revoked_by(signed, said.agents)
        if revoked is not None:
            self._revoked_here.setdefault(revoked, index)
        self.fresh.append(Fresh(signed, facts))
        self._steps.append((signed, said, index))

    def appended(self, first_seq: int) -> list[Outcome]:
        """What to tell, once the first of the fresh events has its position."""
        for seq, fresh in enumerate(self.fresh, first_seq):
            digest = fresh.signed.digest
            self._recent.add(seq, fresh.signed, self._recent.find(digest) or self._said[digest].known)
        for agent, index in self._revoked_here.items():
            self._revoked.add(agent, first_seq + index)
        return [
            step if isinstance(step, EpistemeError) else step[1].receipt(step[0], step[2], first_seq)
            for step in self._steps
        ]

    def give_back(self) -> None:
        """Nothing of it is in the log."""
        give_back(self._meter, self.charges)

    def _admit(self, submission: Submission, known: tuple[int, ...]) -> ReceiptFacts | EpistemeError:
        agents = [signature.agent for signature in submission.signed.signatures]
        revoked = self._find_revoked(agents)
        if revoked is not None:
            return _key_revoked(agents.index(revoked), revoked)
        if self._meter is None:
            return ReceiptFacts(via=submission.via)
        paying = tuple(agent for place, agent in enumerate(agents) if place not in known)
        charge = self._meter.charge(paying, _tokens(submission), self._reader)
        if isinstance(charge, QuotaExceeded):
            return charge
        self.charges.append(charge)
        return ReceiptFacts(via=submission.via, tokens=charge.tokens, known=known)

    def _find_revoked(self, agents: list[bytes]) -> bytes | None:
        here = next((agent for agent in agents if agent in self._revoked_here), None) if self._revoked_here else None
        return here or self._revoked.find(agents) or self._revoked_now.find(agents)


class _Said:
    """What has been said of one hash: before this batch, and by the events of it so far."""

    def __init__(self, known: Known | None) -> None:
        self.known = known
        self.agents = set() if known is None else set(known.agents)
        self._first_index: int | None = None  # in the batch, if it was not known before

    def known_places(self, signed: SignedEvent) -> tuple[int, ...]:
        """The places of the signatures that say nothing new."""
        agents = self.agents
        return tuple([place for place, one in enumerate(signed.signatures) if one.agent in agents]) if agents else ()

    def join(self, signed: SignedEvent, index: int) -> None:
        """Take an event that is the one of this index among those to append."""
        self.agents.update(signature.agent for signature in signed.signatures)
        if self._first_index is None:
            self._first_index = index

    def receipt(self, signed: SignedEvent, index: int | None, first_seq: int) -> Receipt:
        """The receipt, once the batch's first position is known."""
        if index is not None:
            return Receipt(signed.hash_hex, first_seq + index)
        if self.known is not None:
            return Receipt(signed.hash_hex, self.known.seq, "duplicate")
        assert self._first_index is not None, "a duplicate repeats something"
        return Receipt(signed.hash_hex, first_seq + self._first_index, "duplicate")


def give_back(meter: Meter | None, charges: Sequence[Charge]) -> None:
    """Undo charges for what is not in the log."""
    for charge in charges:
        assert meter is not None, "only a meter charges"
        meter.give_back(charge)


def _tokens(submission: Submission) -> int:
    body_bytes = submission.body_bytes
    size = len(envelope_line(submission.signed)) if body_bytes is None else body_bytes
    return write_tokens(submission.signed.event, size)


def _key_revoked(place: int, agent: bytes) -> KeyRevoked:
    detail = f"key {agent.hex()} is revoked: what it signs has no effect here"
    return KeyRevoked(detail, errors=(FieldProblem(f"/signatures/{place}/agent", detail),))
