"""What becomes of each event of a batch: refused, known already, or to be appended, and who pays for it.

Events are judged in their order, each as if those before it were in the log.
Nothing here is charged for what is refused or known, and what is charged is
given back if the append fails.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from episteme.errors import EpistemeError, FieldProblem, KeyRevoked, QuotaExceeded, translate
from episteme.gate.admission import envelope_line
from episteme.gate.bundles import LoggedBundles
from episteme.gate.known import Known, RecentEvents, find_known
from episteme.gate.meter import Charge, Meter, write_tokens
from episteme.gate.revoked import RevokedKeys
from episteme.gate.verification import Submission
from episteme.receipts import Receipt
from model import Bundle, InvalidField, SignedEvent, Voucher, check_vouched, is_any_by_bundle, voucher_of
from model import Receipt as ReceiptFacts
from stores import Snapshot

Outcome = Receipt | EpistemeError


class Fresh(NamedTuple):
    """An event to append, and what the log is to say of how it came."""

    signed: SignedEvent
    facts: ReceiptFacts


class Plan:
    """One batch, under the lock of the log's one way in."""

    def __init__(
        self,
        reader: Snapshot,
        recent: RecentEvents,
        revoked: RevokedKeys,
        bundles: LoggedBundles,
        meter: Meter | None,
        vouchers: Mapping[bytes, Voucher],
    ) -> None:
        """recent, revoked: what is not folded into the reader's state.  bundles: those of the log.

        vouchers: of those of them that are known to be there, as far as they matter to this batch.
        """
        self._reader = reader
        self._recent = recent
        self._revoked = revoked
        self._revoked_now = revoked.now(reader)
        self._bundles = bundles
        self._logged_vouchers = vouchers
        self._meter = meter
        self._vouchers: dict[bytes, Voucher] = {}  # of the bundles of this batch that were not refused
        self._known: dict[bytes, Known] = {}
        self._said: dict[bytes, _Said] = {}
        self._facts: dict[str, ReceiptFacts] = {}  # of events that nobody pays for, by how they came
        self._revoked_here: dict[bytes, int] = {}  # by an event of this batch: its index in fresh
        self._steps: list[EpistemeError | tuple[SignedEvent, _Said, int | None]] = []  # an index into fresh
        self.fresh: list[Fresh] = []
        self.charges: list[Charge] = []

    def add_all(self, entries: Sequence[Submission | EpistemeError]) -> None:
        """Judge events in their order whose own signatures are good; the others were refused before."""
        good = [one.signed for one in entries if isinstance(one, Submission)]
        self._known.update(find_known(self._reader, self._recent, good))
        for one in entries:
            if isinstance(one, EpistemeError):
                self._steps.append(one)
            else:
                self._add(one)

    def _add(self, submission: Submission) -> None:
        signed = submission.signed
        agents = [signature.agent for signature in signed.signatures]
        if is_any_by_bundle(signed.signatures):
            refusal = self._vouched(signed)
            if refusal is not None:
                self._steps.append(refusal)
                return
        said = self._said.get(signed.digest)
        if said is None:
            said = self._said[signed.digest] = _Said(self._known.get(signed.digest))
        known = said.known_places(agents)
        if len(known) == len(agents):
            self._steps.append((signed, said, None))
            return
        facts = self._admit(submission, agents, known)
        if isinstance(facts, EpistemeError):
            self._steps.append(facts)
            return
        index = len(self.fresh)
        said.join(agents)
        self._offer(signed)
        revoked = self._revoked_now.revoked_by(signed, said.agents)
        if revoked is not None:
            self._revoked_here.setdefault(revoked, index)
        self.fresh.append(Fresh(signed, facts))
        self._steps.append((signed, said, index))

    def appended(self, first_seq: int) -> list[Outcome]:
        """What to tell, once the first of the fresh events has its position."""
        for seq, fresh in enumerate(self.fresh, first_seq):
            said = self._said[fresh.signed.digest]
            said.known = self._recent.add(seq, fresh.signed, said.known)
        for agent, index in self._revoked_here.items():
            self._revoked.add(agent, first_seq + index)
        for bundle, voucher in self._vouchers.items():
            self._bundles.add(bundle, voucher)
        return [
            step if isinstance(step, EpistemeError) else step[1].receipt(step[0], step[2], first_seq)
            for step in self._steps
        ]

    def give_back(self) -> None:
        """Nothing of it is in the log."""
        give_back(self._meter, self.charges)

    def _offer(self, signed: SignedEvent) -> None:
        """A bundle that the log has, or will have in front of what follows, vouches for its events."""
        if isinstance(signed.event, Bundle):
            self._vouchers[signed.digest] = voucher_of(signed.event)

    def _vouched(self, signed: SignedEvent) -> EpistemeError | None:
        """Why the bundles that this event names do not vouch for it."""
        try:
            check_vouched(signed.digest, signed.signatures, self._voucher)
        except InvalidField as error:
            return translate(error)
        return None

    def _voucher(self, bundle: bytes) -> Voucher | None:
        voucher = self._vouchers.get(bundle) or self._logged_vouchers.get(bundle)
        return voucher or self._bundles.find(bundle, self._reader, self._recent)

    def _admit(
        self, submission: Submission, agents: list[bytes], known: tuple[int, ...]
    ) -> ReceiptFacts | EpistemeError:
        revoked = self._find_revoked(agents)
        if revoked is not None:
            return _key_revoked(agents.index(revoked), revoked)
        if self._meter is None:
            return self._facts.setdefault(submission.via, ReceiptFacts(via=submission.via))
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
    """What has been said of one hash: agents, by the events of this batch too; known, by those that have positions."""

    __slots__ = ("agents", "known")

    def __init__(self, known: Known | None) -> None:
        self.known = known
        self.agents: Collection[bytes] = () if known is None else known.agents

    def known_places(self, agents: Sequence[bytes]) -> tuple[int, ...]:
        """The places of the signers who say nothing new."""
        said = self.agents
        return tuple([place for place, agent in enumerate(agents) if agent in said]) if said else ()

    def join(self, agents: Collection[bytes]) -> None:
        """Take an event by these signers that is to be appended."""
        self.agents = {*self.agents, *agents} if self.agents else agents

    def receipt(self, signed: SignedEvent, index: int | None, first_seq: int) -> Receipt:
        """The receipt, once the batch's events have their positions."""
        if index is not None:
            return Receipt(signed.hash_hex, first_seq + index)
        assert self.known is not None, "a duplicate repeats something"
        return Receipt(signed.hash_hex, self.known.seq, "duplicate")


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
