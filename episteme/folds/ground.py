"""Whether running tallies tell the answer of a pair, as of the last event that touched it.

Tallies know claims, what supersedes them, and votes.  What else governance says of
a pair is looked up here, as of that event and no later, so that a view is the
same wherever batches end: the rule of its predicate, epochs that are hidden,
signers whose keys are revoked, aliases of the subject and of subjects that its
claims name.  Where none of it concerns the pair, tallies do.  Where some of it
does, a pair of few claims is read as a whole, and one of many has no view.

Source: docs/lenses.md, "How the ready answer is kept".
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import UNSET, Struct

from episteme.folds.event import LoggedEvent
from episteme.lenses import DEFAULT_LENS
from episteme.reading import Moment, Question, default_lens, resolve_full
from model import SIGNATURES_MAX, PredicateRule
from stores import (
    NO_GROUND,
    AliasStore,
    AssertionStore,
    EpochStore,
    PairGround,
    PredicateRow,
    PredicateStore,
    Reader,
    RevocationRow,
    RevocationStore,
    RulingsStore,
    StoredView,
    SupersessionStore,
    ViewGround,
)

# Their answers are no more than a resolution, and change with no one's trust.
VIEW_LENSES: Final = frozenset(("recency", "consensus", "confidence", "votes"))
_REVOCATION: Final = "key_revocation"
_COUNTER_BITS: Final = 16  # of a log time; above them are milliseconds since 1970

Way = Literal["tallies", "full", "none"]


class Basis(Struct, frozen=True, gc=False):
    """How a pair's view is made, and what it then rests on."""

    way: Way
    ground: ViewGround


_PLAIN: Final = Basis("tallies", ViewGround(governed=True))
_PLAIN_OF_MANY: Final = Basis("tallies", ViewGround(governed=False))


class Governance:
    """What the pairs of one batch are held against.  For one thread."""

    def __init__(self, reader: Reader, events: Sequence[LoggedEvent], full_claims_max: int, revoked_max: int) -> None:
        """events: all of the batch."""
        self._full_claims_max = full_claims_max
        self._revoked_max = revoked_max
        self._reader = reader
        self._events = events
        self._rulings = rulings = RulingsStore(reader).get()
        self._is_quiet = max(rulings.predicate, rulings.epoch, rulings.alias, rulings.revocation) < 0
        self._revoked_from: dict[bytes, int | None] = {}  # by agent, as far as they were asked for
        self._revocations: list[RevocationRow] | None = None
        self._hidden_from: dict[bytes, int | None] = {}  # by epoch, as far as they were asked for

    def basis(
        self, subject: str, predicate: str, named: PairGround, claims_count: int, at: int, *, has_revoked: bool
    ) -> Basis:
        """How to make the view of a pair that was last touched at a position.

        has_revoked: whether a signer of its claims was revoked by then.
        """
        governed = claims_count <= self._full_claims_max
        if self._is_quiet:
            if named == NO_GROUND:
                return _PLAIN if governed else _PLAIN_OF_MANY
            return Basis("tallies", ViewGround(None, named.epochs, (), named.sources, named.references, governed))
        rule = PredicateStore(self._reader).as_of(predicate, at) if self._rulings.predicate >= 0 else None
        hidden = self._hidden_of(named.epochs or (), at) if governed else ()
        digest = None if rule is None else rule.digest
        ground = ViewGround(digest, named.epochs, hidden, named.sources, named.references, governed)
        lens = self._lens_of(rule, at)
        if lens not in VIEW_LENSES or self._is_aliased(subject, at):
            return Basis("none", ground)
        is_plain = rule is None or _is_plain(rule.event, lens)
        if has_revoked or not is_plain:
            return Basis("full" if governed else "none", ground)
        if governed and (hidden or self._is_beyond_lists(named)):
            return Basis("full", ground)
        return Basis("tallies", ground)

    @property
    def has_supersessions(self) -> bool:
        """Whether any claim at all is superseded."""
        return self._rulings.supersession >= 0

    @property
    def has_revocations(self) -> bool:
        """Whether any key at all is revoked."""
        return self._rulings.revocation >= 0

    def superseded(self, digests: Iterable[bytes]) -> frozenset[bytes]:
        """Those of these claims that are superseded: by whatever touched their pair last, or before."""
        digests = list(digests)
        rows = SupersessionStore(self._reader).get_many(digests)
        return frozenset([d for d, row in zip(digests, rows, strict=True) if row is not None and row.hides_at(None)])

    def is_any_revoked(self, agents: Iterable[bytes], at: int) -> bool:
        """Whether the key of one of these agents was revoked by a position."""
        agents = list(agents)
        known = self._revoked_from
        missing = [agent for agent in agents if agent not in known]
        for agent, row in zip(missing, RevocationStore(self._reader).get_many(missing), strict=True):
            known[agent] = None if row is None else row.seq
        return any(seq is not None and seq <= at for seq in map(known.get, agents))

    def revoked_since(self, after: int, at: int) -> list[bytes] | None:
        """Agents revoked by a position, if any were later than another; None: too many to look for."""
        if self._rulings.revocation <= after:
            return []
        if self._revocations is None:
            late_count_max = sum(event.kind == _REVOCATION for event in self._events)
            count_max = self._revoked_max + 1 + late_count_max  # those of this batch crowd out no earlier ones
            self._revocations = list(RevocationStore(self._reader).revocations(count_max=count_max))
        agents = [bytes.fromhex(row.event.revoked) for row in self._revocations if row.seq <= at]
        return agents if len(agents) <= self._revoked_max else None

    def _lens_of(self, rule: PredicateRow | None, at: int) -> str:
        """The name of the default lens under a rule that is in force at a position."""
        if rule is None:
            return DEFAULT_LENS
        return default_lens(self._reader, Question(subject="", predicate=rule.event.predicate), at).name

    def _is_aliased(self, subject: str, at: int) -> bool:
        if self._rulings.alias < 0:
            return False
        return AliasStore(self._reader).same(subject, at, count_max=2) != (subject,)

    def _is_beyond_lists(self, named: PairGround) -> bool:
        """Whether something may be hidden or renamed that is not listed: a full read as of then is right if not."""
        return (named.epochs is None and self._rulings.epoch >= 0) or (named.references and self._rulings.alias >= 0)

    def _hidden_of(self, epochs: tuple[bytes, ...], at: int) -> tuple[bytes, ...]:
        """Those of these epochs that are superseded by a position."""
        if self._rulings.epoch < 0:
            return ()
        known = self._hidden_from
        for epoch in epochs:
            if epoch not in known:
                marker = EpochStore(self._reader).superseded(epoch.hex())
                known[epoch] = None if marker is None else marker.seq
        return tuple([epoch for epoch in epochs if (seq := known[epoch]) is not None and seq <= at])


def full_view(reader: Reader, subject: str, predicate: str, at: int, time: int, ground: ViewGround) -> StoredView:
    """The view of a pair from all of its claims, as of a position since which nothing has touched it.

    time: log time of the event that touched it last.
    """
    question = Question(subject=subject, predicate=predicate)
    moment = Moment(at, at, time >> _COUNTER_BITS, 0)
    found = resolve_full(reader, default_lens(reader, question, at), question, moment)
    resolution = found.finding.resolution
    winner = None
    if resolution.winner is not None:
        winner = AssertionStore(reader).stored(subject, resolution.winner, signatures_max=SIGNATURES_MAX)
    return StoredView(resolution, found.groups_count, winner, at, time, ground)


def _is_plain(rule: PredicateRule, lens: str) -> bool:
    """Whether a rule changes nothing of how values are compared and resolved."""
    return rule.cardinality == "one" and rule.tolerance is UNSET and lens == DEFAULT_LENS
