"""Escalations: what two rules find for people to look at, and what operators say of it.

Families ESC, ESCI and ESCP; ESCN, ESCR and ESCS, which hold what the rules
count.  Most claims concern no rule, and cost nothing here: only anecdotal ones,
those of tier 0 to 2, and those that name a parent are looked at.

Source: docs/governance.md, "Escalations".
"""

from typing import Final, NamedTuple

import msgspec

from episteme.folds.authority import authorised, operator_among, signers_of
from episteme.folds.event import ASSERTION, LoggedEvent
from episteme.folds.regulatory import conflict_micros
from keycodec import any_pair_numbers_key
from model import TIER_BY_SOURCE_CLASS, EscalationAck
from stores import (
    MICROS,
    NO_NUMBERS,
    Acknowledgement,
    AssertionStore,
    ClaimRow,
    EscalationLevel,
    EscalationRow,
    EscalationWriter,
    IndexStore,
    LogPlace,
    OperatorStore,
    PairNumbers,
    Staging,
    make_escalation_id,
)

SUPERSESSION: Final = "supersession"
ESCALATION_ACK: Final = "escalation_ack"
ANECDOTAL_CLUSTER: Final = "anecdotal_cluster"
REGULATORY_CONFLICT: Final = "regulatory_conflict"
LOOKED_AT_MAX: Final = 256  # regulatory claims of a pair that are read at each: a few milliseconds

_LEVELS: Final[dict[str, EscalationLevel]] = {ANECDOTAL_CLUSTER: "warning", REGULATORY_CONFLICT: "critical"}
_ANY_NUMBERS: Final = any_pair_numbers_key()
_BETTER_TIER_MAX: Final = 2
_ANECDOTAL_TIER: Final = 5
_PAGE: Final = 256


class EscalationFold:
    """Runs after all folds that say which claims are there and which of them are hidden."""

    name = "escalation"
    version = 1
    kinds = frozenset((ASSERTION, SUPERSESSION, ESCALATION_ACK))

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Look at the pair that an event touches, if a rule may find something there."""
        kind = event.kind
        if kind == ASSERTION:
            tier = TIER_BY_SOURCE_CLASS[event.source_class]  # type: ignore[index]
            if tier in (0, _ANECDOTAL_TIER) or (
                (tier <= _BETTER_TIER_MAX or event.parent_hash) and state.get_often(_ANY_NUMBERS) is not None
            ):
                _Pair(event, event.subject, event.predicate, state).look_at_claim(tier)
        elif kind == SUPERSESSION:
            _look_at_superseded(event, state)
        elif kind == ESCALATION_ACK and authorised(event, state):
            _acknowledge(event, state)


def _look_at_superseded(event: LoggedEvent, state: Staging) -> None:
    if state.get_often(_ANY_NUMBERS) is None:
        return
    (row,) = AssertionStore(state).claims(event.subject, (bytes.fromhex(event.assertion),))
    if row is not None:
        _Pair(event, event.subject, row.claim.predicate, state).look_again(row.seq)


def _acknowledge(event: LoggedEvent, state: Staging) -> None:
    """Of an open one; what is resolved stays so, and the first acknowledgement stays."""
    ack = event.event
    assert isinstance(ack, EscalationAck), event.kind
    store = EscalationWriter(state)
    row = store.get(ack.escalation)
    if row is None or row.status != "open":
        return
    operator = operator_among(signers_of(event, state), event.seq, state)
    assert operator is not None, "an operator's signature made it count"
    acknowledged = Acknowledgement(operator, ack.verdict, event.digest, event.seq, event.time)
    store.put(ack.escalation, msgspec.structs.replace(row, status="acknowledged", acknowledged=acknowledged))


class _Parent(NamedTuple):
    digest: bytes
    row: ClaimRow


class _Pair:
    """A pair at one event."""

    def __init__(self, event: LoggedEvent, subject: str, predicate: str, state: Staging) -> None:
        self._event = event
        self._subject = subject
        self._predicate = predicate
        self._state = state
        self._store = EscalationWriter(state)
        self._claims = AssertionStore(state)

    def look_at_claim(self, tier: int) -> None:
        """The event is a claim of this pair."""
        numbers = self._store.numbers(self._subject, self._predicate)
        if numbers is None and tier not in (0, _ANECDOTAL_TIER):
            return
        (row,) = self._claims.claims(self._subject, (self._event.digest,))
        assert row is not None, f"{self._event.digest.hex()} is not kept"
        if row.seq == self._event.seq:
            self._take(row, tier, numbers or NO_NUMBERS)
        elif numbers is not None and numbers.regulatory_count:
            self.look_again(row.seq)

    def look_again(self, seq: int) -> None:
        """Something has changed about the claim that first stood at seq."""
        numbers = self._store.numbers(self._subject, self._predicate)
        if numbers is None or not 1 < numbers.regulatory_count <= LOOKED_AT_MAX:
            return
        if self._is_listed(seq):
            self._look_for_conflict(numbers.regulatory_count)

    def _take(self, row: ClaimRow, tier: int, before: PairNumbers) -> None:
        """Count a new claim, and go by the numbers."""
        numbers = before
        if tier == _ANECDOTAL_TIER:
            numbers = self._look_for_cluster(
                msgspec.structs.replace(before, anecdotal_count=before.anecdotal_count + 1)
            )
        elif tier <= _BETTER_TIER_MAX:
            numbers = self._end_cluster(before)
        listed = self._list_regulatory(row, tier, numbers.regulatory_count)
        numbers = msgspec.structs.replace(numbers, regulatory_count=numbers.regulatory_count + listed)
        if numbers != before:
            self._store.put_numbers(self._subject, self._predicate, numbers)
        if listed and _is_due(before.regulatory_count, numbers.regulatory_count):
            self._look_for_conflict(numbers.regulatory_count)

    # Many anecdotal claims, and none that is better

    def _look_for_cluster(self, numbers: PairNumbers) -> PairNumbers:
        if numbers.is_cluster or numbers.has_better:
            return numbers
        count = numbers.anecdotal_count
        if count < OperatorStore(self._state).rules().anecdotal_cluster_count:
            return numbers
        if numbers.has_better is None:
            numbers = msgspec.structs.replace(numbers, has_better=self._has_better())
        if numbers.has_better:
            return numbers
        self._raise(ANECDOTAL_CLUSTER, f"{count} anecdotal claims and none of tier 0 to {_BETTER_TIER_MAX}")
        return msgspec.structs.replace(numbers, is_cluster=True)

    def _end_cluster(self, numbers: PairNumbers) -> PairNumbers:
        if numbers.is_cluster:
            self._resolve(ANECDOTAL_CLUSTER)
        return msgspec.structs.replace(numbers, has_better=True, is_cluster=False)

    def _has_better(self) -> bool:
        """Whether any claim of the pair is of tier 0 to 2: they are read once in the pair's life."""
        after = None
        while page := IndexStore(self._state).of_pair(self._subject, self._predicate, after=after, count_max=_PAGE):
            for row in self._claims.claims(self._subject, [posting.digest for posting in page]):
                if row is not None and TIER_BY_SOURCE_CLASS[row.claim.source_class] <= _BETTER_TIER_MAX:
                    return True
            after = page[-1]
        return False

    # Regulatory claims against each other

    def _list_regulatory(self, row: ClaimRow, tier: int, known_count: int) -> int:
        """List a claim that is regulatory, or moves on one that is listed; how many are listed by it.

        With a regulatory one, those that it moves on: their signers stand for it too.  A stage of another class that
        comes later than the one that follows it is not seen.
        """
        parent = self._parent_of(row) if tier == 0 or known_count else None
        is_parent_listed = parent is not None and self._is_listed(parent.row.seq)
        if tier != 0 and not is_parent_listed:
            return 0
        listed = [(self._event.digest, row.seq)]
        while parent is not None and not self._is_listed(parent.row.seq) and len(listed) < LOOKED_AT_MAX:
            listed.append((parent.digest, parent.row.seq))
            parent = self._parent_of(parent.row)
        for digest, seq in listed:
            self._store.add_regulatory(self._subject, self._predicate, seq, digest)
        return len(listed)

    def _is_listed(self, seq: int) -> bool:
        return self._store.is_regulatory(self._subject, self._predicate, seq)

    def _parent_of(self, row: ClaimRow) -> _Parent | None:
        """The claim of the same pair that a claim names as its parent."""
        if not isinstance(row.claim.parent_hash, str):
            return None
        digest = bytes.fromhex(row.claim.parent_hash)
        (parent,) = self._claims.claims(self._subject, (digest,))
        return None if parent is None or parent.claim.predicate != self._predicate else _Parent(digest, parent)

    def _look_for_conflict(self, count: int) -> None:
        digests = self._store.regulatory(self._subject, self._predicate, count_max=count)
        found_micros = conflict_micros(self._state, self._subject, self._predicate, digests, self._event.seq)
        is_conflict = found_micros >= OperatorStore(self._state).rules().regulatory_conflict_micros
        if not is_conflict:
            self._resolve(REGULATORY_CONFLICT)
        elif not self._unresolved(REGULATORY_CONFLICT):
            self._raise(REGULATORY_CONFLICT, f"a conflict of {found_micros / MICROS:.6f} among regulatory claims")

    # What was found

    def _unresolved(self, rule: str) -> list[tuple[str, EscalationRow]]:
        return [one for one in self._store.unresolved(self._subject, self._predicate) if one[1].rule == rule]

    def _raise(self, rule: str, detail: str) -> None:
        raised = LogPlace(self._event.seq, self._event.time)
        row = EscalationRow(rule, _LEVELS[rule], "open", self._subject, self._predicate, detail, raised, None, None)
        self._store.put(make_escalation_id(rule, self._subject, self._predicate, raised.seq), row)

    def _resolve(self, rule: str) -> None:
        resolved = LogPlace(self._event.seq, self._event.time)
        for escalation_id, row in self._unresolved(rule):
            self._store.put(escalation_id, msgspec.structs.replace(row, status="resolved", resolved=resolved))


def _is_due(before: int, now: int) -> bool:
    """Whether a pair that has more regulatory claims than before is looked at: beyond the bound, when they doubled."""
    if now <= LOOKED_AT_MAX:
        return now > 1
    return (before // LOOKED_AT_MAX).bit_length() < (now // LOOKED_AT_MAX).bit_length()
