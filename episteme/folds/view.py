"""Materialized views: the answer of every pair that a batch touched, kept exact from running tallies.

A view is what a full read of the pair's claims would give, and costs what has
changed: a pair of few claims is resolved as a whole from one row, a pair of
many moves its totals.
"""

from collections.abc import Sequence

from episteme.folds.event import ASSERTION, VOTE, LoggedEvent
from episteme.folds.large import LargePair
from episteme.folds.ranking import Ranking, rank, view_of
from episteme.folds.small import changed
from episteme.folds.tally import predicate_of, units_of
from stores import AssertionStore, PairClaim, PairTally, PairTotals, Staging, TallyWriter, ViewWriter

SMALL_COUNT_MAX = 32  # claims of a pair whose tallies are one row: about 5 kB, resolved in a fraction of a millisecond
SMALL_SIGNATURES_MAX = 256  # of all of them together, which grow too: about as much again


class _Touched:
    """What a batch says about one pair."""

    __slots__ = ("events", "last", "voted")

    def __init__(self) -> None:
        self.events: list[LoggedEvent] = []  # assertions
        self.voted: set[bytes] = set()  # the pair's assertions that votes are on
        self.last: LoggedEvent | None = None


class ViewFold:
    """Families MV, VE, EARLY and those of tallies, PT to PX.  Runs after the folds that it reads from."""

    name = "view"
    version = 2

    def __init__(self, small_count_max: int = SMALL_COUNT_MAX) -> None:
        """small_count_max: a pair of more claims gets rows for its groups and agents."""
        self._small_count_max = small_count_max

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Nothing yet: a pair that is touched often in a batch is settled once."""

    def finish(self, events: Sequence[LoggedEvent], state: Staging) -> None:
        """Settle the touched pairs; a view carries the place of the last event that touched its pair."""
        gathered = _gather(events, state)
        batch = _Batch(state, self._small_count_max)
        for (subject, predicate), touched in gathered.items():
            batch.settle(subject, predicate, touched)


class _Batch:
    """What the pairs of one batch have in common."""

    def __init__(self, state: Staging, small_count_max: int) -> None:
        self._state = state
        self._small_count_max = small_count_max
        self._tallies = TallyWriter(state)
        self._views = ViewWriter(state)
        self._has_any_early_votes = self._tallies.has_any_early_votes()
        self._early: dict[str, bool] = {}

    def settle(self, subject: str, predicate: str, touched: _Touched) -> None:
        """Bring a pair's tallies and view up to date."""
        assert touched.last is not None
        kept = self._tallies.pair(subject, predicate) or PairTally([])
        may_have_votes = bool(touched.events) and self._has_early_votes(subject)
        if kept.totals is None:
            ranking = self._settle_small(subject, predicate, kept, touched, may_have_votes)
        else:
            pair = LargePair(self._state, subject, predicate, kept.totals)
            seqs: dict[bytes, set[int]] = {}
            for event in touched.events:
                seqs.setdefault(event.digest, set()).add(event.seq)
            pair.change(seqs, touched.voted, may_have_votes=may_have_votes)
            ranking = pair.settle()
            self._tallies.put_pair(subject, predicate, kept)
        view = view_of(self._state, subject, ranking, touched.last.seq, touched.last.time)
        self._views.put(subject, predicate, view)

    def _settle_small(
        self, subject: str, predicate: str, kept: PairTally, touched: _Touched, may_have_votes: bool
    ) -> Ranking:
        """Of a pair that was small until now."""
        claims = changed(
            self._state, subject, kept.claims, touched.events, touched.voted, may_have_votes=may_have_votes
        )
        if len(claims) <= self._small_count_max and _signature_count(claims) <= SMALL_SIGNATURES_MAX:
            self._tallies.put_pair(subject, predicate, PairTally(claims))
            return rank(units_of(claims))
        totals = PairTotals()
        pair = LargePair(self._state, subject, predicate, totals)
        pair.absorb(claims)
        ranking = pair.settle()
        self._tallies.put_pair(subject, predicate, PairTally([], totals))
        return ranking

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
        if event.kind == ASSERTION:
            pair = (event.subject, event.predicate)
            one = touched.get(pair)
            if one is None:
                one = touched[pair] = _Touched()
            one.events.append(event)
            one.last = event
        elif event.kind == VOTE:
            digest = bytes.fromhex(event.assertion)
            (head,) = AssertionStore(state).heads(event.subject, (digest,))
            if head is None or head.seq > event.seq:
                TallyWriter(state).put_early_votes(event.subject)
            if head is not None:
                one = touched.setdefault((event.subject, predicate_of(head.event)), _Touched())
                one.voted.add(digest)
                one.last = event
    return touched
