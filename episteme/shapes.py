"""The shapes of lists and records: what is read of the state besides the answers to queries.

Hashes, ids and agents are lower-case hex.  Everywhere seq is a log position and
time_ms that position's log time, milliseconds since 1970; timestamp is when the
agent says it signed.  What a field does not have is None.

Source: docs/http.md, "Lists and records".
"""

from typing import Generic, Literal, TypeVar

from msgspec import Struct

from episteme.api import AnyWinner
from model import AnyValue, Lifecycle
from stores import EscalationLevel, EscalationStatus, SourceState, Status, VoteEffect

Item = TypeVar("Item")


class Page(Struct, Generic[Item], frozen=True):
    """Some items of a list, in its order, as of position seq; next: the cursor of those that follow, if any do."""

    items: list[Item]
    next: str | None
    seq: int


class VoteRecord(Struct, frozen=True):
    """A vote on an assertion, and its effect.

    counts: it is its agent's live vote; withdraws: so it is, with weight 0; replaced: another one is, replaced_by.
    Without effect: other-subject, it names a subject that is not its assertion's; revoked-key, its agent's key was
    revoked by then.
    """

    hash: str
    agent: str
    weight: str
    timestamp: int
    reason: str | None
    seq: int
    time_ms: int
    effect: VoteEffect
    replaced_by: str | None


class Ballot(Struct, frozen=True):
    """The votes on an assertion, by hash, and what the live ones come to.

    count: live votes of non-zero weight.  sum: their weights, exact, a decimal string.  weight: the same as a
    single-precision float.
    """

    hash: str
    subject: str
    count: int
    sum: str
    weight: float
    items: list[VoteRecord]
    next: str | None
    seq: int


class Relative(Struct, frozen=True):
    """An assertion that another comes from or led to; a hash that is only named has nothing but its hash.

    relation: what it is to the one named by via, which is depth - 1 steps away.
    """

    hash: str
    relation: Literal["parent", "replaced", "child", "replacement"]
    via: str
    depth: int
    seq: int | None
    subject: str | None
    predicate: str | None
    value: AnyValue | None
    lifecycle: Lifecycle | None


class Lineage(Struct, frozen=True):
    """Where an assertion comes from and what it led to, nearest first; truncated: a bound left some out."""

    hash: str
    ancestors: list[Relative]
    descendants: list[Relative]
    truncated: bool
    seq: int


class SubjectPair(Struct, frozen=True):
    """What a subject's pair comes to under its default lens; status None: it has more claims than one read takes."""

    predicate: str
    status: Status | None
    value: AnyWinner
    hash: str | None
    confidence: float
    conflict: float
    candidates_count: int
    lens: str


class SubjectReport(Struct, frozen=True):
    """A subject's pairs by predicate; same_as: the other subjects that aliases make one with it."""

    subject: str
    same_as: list[str]
    items: list[SubjectPair]
    next: str | None
    seq: int


class AgentSummary(Struct, frozen=True):
    """An agent that has signed a claim: trust is its score drifted to now, the counts are judgements.

    did: the same agent as a did:key.
    """

    agent: str
    did: str
    trust: float
    right_count: int
    wrong_count: int
    is_revoked: bool


class RevocationRecord(Struct, frozen=True):
    """Since when a key no longer speaks, who said so, and why."""

    agent: str
    by: str
    reason: str
    hash: str
    seq: int
    time_ms: int


class QuotaReport(Struct, frozen=True):
    """Tokens of the running hour: what events have cost, what may be spent, when the hour is over."""

    used: int
    limit: int
    resets_ms: int


class TrustStep(Struct, frozen=True):
    """What one event made of an agent's score; before is drifted to that moment."""

    seq: int
    time_ms: int
    before: float
    after: float
    right_count: int
    wrong_count: int


class AgentReport(Struct, frozen=True):
    """What is known of an agent; items: how its score moved, oldest first.

    did: the same agent as a did:key.  trust_judged: the score as it was last judged, before it drifted.
    claims_count stops at a bound, and has_more_claims says so.
    """

    agent: str
    did: str
    trust: float
    trust_judged: float
    right_count: int
    wrong_count: int
    claims_count: int
    has_more_claims: bool
    is_operator: bool
    revoked: RevocationRecord | None
    quota: QuotaReport
    items: list[TrustStep]
    next: str | None
    seq: int


class EpochMark(Struct, frozen=True):
    """The epoch that hides another one, how, and from which position on."""

    epoch: str
    mode: Literal["temporal", "invalidation"]
    seq: int
    time_ms: int


class EpochRecord(Struct, frozen=True):
    """A paradigm that claims belong to; start and end in milliseconds since 1970."""

    epoch: str
    name: str
    start: int
    end: int | None
    supersedes: str | None
    supersession: Literal["temporal", "invalidation", "additive"] | None
    agent: str
    timestamp: int
    seq: int
    time_ms: int
    superseded_by: EpochMark | None


class EpochReport(EpochRecord, frozen=True):
    """An epoch with its chain: itself, what hides it, what hides that, and so on."""

    chain: list[str]


class SourceSummary(Struct, frozen=True):
    """A piece of evidence and its status; seq: the position from which on the status holds."""

    source_hash: str
    label: str
    url: str | None
    status: SourceState
    seq: int
    time_ms: int


class SourceStep(Struct, frozen=True):
    """A status that a source had from a position on, and who set it by which event."""

    status: SourceState
    agent: str
    hash: str
    seq: int
    time_ms: int


class SourceReport(Struct, frozen=True):
    """A source with all its statuses in log order; content: its BLAKE3 and size, where it was given."""

    source_hash: str
    label: str
    url: str | None
    status: SourceState
    content_hash: str | None
    content_bytes: int
    statuses: list[SourceStep]


class ImpactedClaim(Struct, frozen=True):
    """An assertion that rests on a source."""

    hash: str
    seq: int
    subject: str
    predicate: str
    value: AnyValue
    lifecycle: Lifecycle


class ImpactedAnswer(Struct, frozen=True):
    """An audited answer, and which of the assertions it rests on."""

    audit_id: str
    time_ms: int
    hashes: list[str]


class Impact(Struct, frozen=True):
    """What rests on a source: a page of assertions in log order, and what followed from those of the page.

    descendants: by parent_hash, each once, nearest first.  answers: pair by pair, oldest first.
    truncated: a bound left out some of the two.
    """

    source_hash: str
    items: list[ImpactedClaim]
    next: str | None
    descendants: list[Relative]
    answers: list[ImpactedAnswer]
    truncated: bool
    seq: int


class PackSummary(Struct, frozen=True):
    """The version of a trust pack that counts now."""

    pack: str
    name: str
    curator: str
    version: int
    members_count: int
    note: str | None
    hash: str
    seq: int
    time_ms: int


class PackWeight(Struct, frozen=True):
    """An agent of a pack, and how much it weighs, 0 to 1."""

    agent: str
    weight: float


class PackReport(PackSummary, frozen=True):
    """A trust pack with its members, as they were given."""

    members: list[PackWeight]


class GoldRecord(Struct, frozen=True):
    """The known answer of a pair."""

    subject: str
    predicate: str
    value: AnyValue
    tolerance: str | None
    agent: str
    timestamp: int
    hash: str
    seq: int
    time_ms: int


class EventPlace(Struct, frozen=True):
    """The event that did something."""

    seq: int
    time_ms: int


class AcknowledgementRecord(Struct, frozen=True):
    """Which operator has looked at it, and what it said."""

    agent: str
    verdict: str
    hash: str
    seq: int
    time_ms: int


class EscalationRecord(Struct, frozen=True):
    """What a rule found on a pair, and what became of it."""

    id: str
    rule: str
    level: EscalationLevel
    status: EscalationStatus
    subject: str
    predicate: str
    detail: str
    raised: EventPlace
    acknowledged: AcknowledgementRecord | None
    resolved: EventPlace | None


class PredicateRecord(Struct, frozen=True):
    """How a predicate's values are compared."""

    predicate: str
    cardinality: Literal["one", "many"]
    tolerance: str | None
    separator: str | None
    default_lens: str | None
    agent: str
    timestamp: int
    hash: str
    seq: int
    time_ms: int


class AliasRecord(Struct, frozen=True):
    """A subject that is another one; canonical: the subject that stands for the whole class."""

    subject: str
    same_as: str
    canonical: str
    agent: str
    timestamp: int
    hash: str
    seq: int
    time_ms: int


class LensRecord(Struct, frozen=True):
    """A rule that decides among claims, and the parameters that it takes."""

    name: str
    version: int
    is_default: bool
    uses_trust: bool
    takes_predicate: bool
    parameters: list[str]
