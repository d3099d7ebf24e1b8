"""Materialized views: the answer of every pair that a batch touched, kept exact from running tallies.

A view is what a full read of the pair's claims would give as of the last event
that touched the pair, and costs what has changed: a pair of few claims is
resolved as a whole from one row, a pair of many moves its totals.  Tallies are
kept for every pair; where governance says more of one than they know, its view
is made by a full read, or there is none.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from episteme.folds.event import ASSERTION, VOTE, LoggedEvent
from episteme.folds.ground import Governance, full_view
from episteme.folds.large import LargePair
from episteme.folds.ranking import Ranking, rank, view_of
from episteme.folds.small import changed
from episteme.folds.tally import Ground, predicate_of, units_of
from stores import (
    AssertionStore,
    MetaStore,
    PairClaim,
    PairTally,
    PairTotals,
    Staging,
    TallyWriter,
    ViewWriter,
)

SMALL_COUNT_MAX = 32  # claims of a pair whose tallies are one row: about 5 kB, resolved in a fraction of a millisecond
SMALL_SIGNATURES_MAX = 256  # of all of them together, which grow too: about as much again
FULL_CLAIMS_MAX = 256  # of a pair that is read as a whole at every event that touches it: about 10 ms
REVOKED_MAX = 1000  # revoked keys that are looked for among the signers of a large pair, each once
_SUPERSESSION: Final = "supersession"
_NONE: Final[frozenset[bytes]] = frozenset()


class _Touched:
    """What a batch says about one pair."""

    __slots__ = ("events", "last", "superseded", "voted")

    def __init__(self) -> None:
        self.events: list[LoggedEvent] = []  # assertions
        self.voted = _NONE  # the pair's assertions that votes are on
        self.superseded = _NONE  # those that supersessions are on, whether they count or not
        self.last: LoggedEvent | None = None


class _Settled(Struct, frozen=True, gc=False):
    """What the tallies of a pair come to."""

    ranking: Ranking
    claims_count: int
    has_revoked: bool


class ViewFold:
    """Families MV, VE, EARLY and those of tallies, PT to PX.  Runs after the folds that it reads from."""

    name = "view"
    version = 3
    kinds: frozenset[str] = frozenset()  # all of it is done once a batch

    def __init__(
        self,
        small_count_max: int = SMALL_COUNT_MAX,
        full_claims_max: int = FULL_CLAIMS_MAX,
        revoked_max: int = REVOKED_MAX,
    ) -> None:
        """small_count_max: a pair of more claims gets rows for its groups and agents.

        full_claims_max: one of more has no view where tallies do not tell it.  revoked_max: of more revoked keys
        than that, any may be among the signers of a pair that has rows of its own.
        """
        self._small_count_max = small_count_max
        self._full_claims_max = full_claims_max
        self._revoked_max = revoked_max

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Nothing yet: a pair that is touched often in a batch is settled once."""

    def finish(self, events: Sequence[LoggedEvent], state: Staging) -> None:
        """Settle the touched pairs; a view carries the place of the last event that touched its pair."""
        gathered = _gather(events, state)
        if not gathered:
            return
        governance = Governance(state, events, self._full_claims_max, self._revoked_max)
        batch = _Batch(state, governance, self._small_count_max)
        for (subject, predicate), touched in gathered.items():
            batch.settle(subject, predicate, touched)


class _Batch:
    """What the pairs of one batch have in common."""

    def __init__(self, state: Staging, governance: Governance, small_count_max: int) -> None:
        self._state = state
        self._small_count_max = small_count_max
        self._governance = governance
        self._tallies = TallyWriter(state)
        self._views = ViewWriter(state)
        self._has_any_early_votes = self._tallies.has_any_early_votes()
        self._early: dict[str, bool] = {}
        self._known_seq = MetaStore(state).cursor() - 1

    def settle(self, subject: str, predicate: str, touched: _Touched) -> None:
        """Bring a pair's tallies and view up to date."""
        last = touched.last
        assert last is not None
        at = max(last.seq, self._known_seq)  # an event that is taken late counts beside all that came before it
        kept = self._tallies.pair(subject, predicate) or PairTally([])
        ground = Ground(kept.ground)
        settle = self._settle_small if kept.totals is None else self._settle_large
        settled = settle(subject, predicate, kept, touched, ground, at)
        basis = self._governance.basis(
            subject, predicate, ground.kept, settled.claims_count, at, has_revoked=settled.has_revoked
        )
        if basis.way == "tallies":
            view = view_of(self._state, subject, settled.ranking, at, last.time, basis.ground)
            self._views.put(subject, predicate, view)
        elif basis.way == "full":
            full = full_view(self._state, subject, predicate, at, last.time, basis.ground)
            self._views.put(subject, predicate, full)
        else:
            self._views.delete(subject, predicate)

    def _settle_small(
        self, subject: str, predicate: str, kept: PairTally, touched: _Touched, ground: Ground, at: int
    ) -> _Settled:
        """Of a pair that was small until now."""
        superseded = self._superseded(touched)
        claims = changed(
            self._state,
            subject,
            kept.claims,
            touched.events,
            touched.voted,
            superseded,
            ground,
            may_have_votes=bool(touched.events) and self._has_early_votes(subject),
        )
        if len(claims) <= self._small_count_max and _signature_count(claims) <= SMALL_SIGNATURES_MAX:
            self._tallies.put_pair(subject, predicate, PairTally(claims, None, ground.kept))
            has_revoked = self._governance.has_revocations and self._governance.is_any_revoked(
                [agent for claim in claims for agent, _ in claim.signers], at
            )
            return _Settled(rank(units_of(claims)), len(claims), has_revoked)
        pair = LargePair(self._state, subject, predicate, PairTotals(), ground, self._governance)
        pair.absorb(claims)
        return self._settled(subject, predicate, pair, ground, at)

    def _settle_large(
        self, subject: str, predicate: str, kept: PairTally, touched: _Touched, ground: Ground, at: int
    ) -> _Settled:
        """Of a pair that is large already."""
        assert kept.totals is not None
        pair = LargePair(self._state, subject, predicate, kept.totals, ground, self._governance)
        seqs: dict[bytes, set[int]] = {}
        for event in touched.events:
            seqs.setdefault(event.digest, set()).add(event.seq)
        may_have_votes = bool(seqs) and self._has_early_votes(subject)
        pair.change(seqs, touched.voted, self._superseded(touched), may_have_votes=may_have_votes)
        return self._settled(subject, predicate, pair, ground, at)

    def _settled(self, subject: str, predicate: str, pair: LargePair, ground: Ground, at: int) -> _Settled:
        ranking = pair.settle(at)
        totals = pair.totals
        self._tallies.put_pair(subject, predicate, PairTally([], totals, ground.kept))
        return _Settled(ranking, totals.claims_count, totals.has_revoked)

    def _superseded(self, touched: _Touched) -> frozenset[bytes]:
        """Those of the claims that the batch touches that are superseded."""
        if not self._governance.has_supersessions:
            return _NONE
        digests = {*touched.superseded, *touched.voted, *[event.digest for event in touched.events]}
        return self._governance.superseded(sorted(digests))

    def _has_early_votes(self, subject: str) -> bool:
        if not self._has_any_early_votes:
            return False
        found = self._early.get(subject)
        if found is None:
            found = self._early[subject] = self._tallies.has_early_votes(subject)
        return found


def _signature_count(claims: Sequence[PairClaim]) -> int:
    return sum([len(claim.signers) for claim in claims])


def _gather(events: Sequence[LoggedEvent], state: Staging) -> dict[tuple[str, str], _Touched]:
    """What the events say, by pair; also notes votes that are on nothing yet."""
    touched: dict[tuple[str, str], _Touched] = {}
    for event in events:
        kind = event.kind
        if kind == ASSERTION:
            pair = (event.subject, event.predicate)
            one = touched.get(pair)
            if one is None:
                one = touched[pair] = _Touched()
            one.events.append(event)
            one.last = event
        elif kind in (VOTE, _SUPERSESSION):
            digest = bytes.fromhex(event.assertion)
            (head,) = AssertionStore(state).heads(event.subject, (digest,))
            if kind == VOTE and (head is None or head.seq > event.seq):
                TallyWriter(state).put_early_votes(event.subject)
            if head is not None:
                one = touched.setdefault((event.subject, predicate_of(head.event)), _Touched())
                if kind == VOTE:
                    one.voted |= {digest}
                else:
                    one.superseded |= {digest}
                one.last = event
    return touched
