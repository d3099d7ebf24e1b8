"""The shapes of answers, and the one API that Node and Client both offer.

Source: docs/http.md, docs/python.md.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Literal, Protocol, TypedDict, Unpack

from msgspec import Struct

from episteme.loglines import LogLine
from episteme.notebook import html_table
from episteme.receipts import IngestResult, Receipt
from episteme.status import StatusReport
from model import BUNDLE_EVENTS, AnyValue, Assertion, EnvelopeSignature, Event, SignedEvent
from stores import Status

Value = str | int | float | bool | Decimal | AnyValue
PythonValue = str | Decimal | bool


def python_value(value: AnyValue) -> PythonValue:
    """A value as Python holds it: a number is a Decimal."""
    return Decimal(value.value) if value.__struct_config__.tag == "number" else value.value


def _told(value: "AnyValue | ManyValue | None") -> str:
    """A value for a person."""
    if value is None:
        return "—"
    if isinstance(value, ManyValue):
        return ", ".join(map(_told, value.value))
    return str(value.value).lower() if isinstance(value.value, bool) else value.value


def _caption(answer: "Answer") -> str:
    asked = answer.subject if answer.predicate is None else f"{answer.subject} · {answer.predicate}"
    said = _told(None if answer.winner is None else answer.winner.value)
    weighed = f"{answer.lens.name}, confidence {answer.confidence:.2f}, conflict {answer.conflict:.2f}"
    return f"{asked}: {said} ({answer.status}; {weighed}; seq {answer.seq})"


class StoredAssertion(Struct, frozen=True):
    """An assertion as it was signed, with its position (seq, and the log's time in milliseconds)."""

    hash: str
    seq: int
    time_ms: int
    event: Assertion
    signatures: list[EnvelopeSignature]


class AnswerEnvelope(Struct, frozen=True):
    """The winner's event and all its signatures."""

    event: Event
    signatures: list[EnvelopeSignature]


class ManyValue(Struct, frozen=True, tag_field="type", tag="many"):
    """The values of a many-valued predicate that passed, best first."""

    value: list[AnyValue]


AnyWinner = AnyValue | ManyValue | None


class Winner(Struct, frozen=True):
    """A value, and the assertion that best represents it under the lens."""

    value: AnyValue | ManyValue
    hash: str
    assertion: AnswerEnvelope


class AnswerGroup(Struct, frozen=True):
    """One value: its share under the lens's weights, agents behind it, best tier, net votes, its claims."""

    value: AnyValue
    share: float
    support: int
    best_tier: int
    votes: float
    hashes: list[str]
    hashes_count: int


class LensInfo(Struct, frozen=True):
    """Which rule decided."""

    name: str
    version: int
    params: dict[str, str]


class Layer(Struct, frozen=True):
    """What one tier comes to by itself, under consensus."""

    tier: int
    source_class: str
    status: Status
    value: AnyWinner
    hash: str | None
    confidence: float
    conflict: float
    margin: float | None
    candidates_count: int
    groups: list[AnswerGroup]


class ChartRow(Struct, frozen=True):
    """How one value of the disagreement looks: who stands for it, since when, how sure, on how many sources."""

    value: AnyValue
    support_by_tier: dict[str, int]
    first_timestamp: int
    last_timestamp: int
    confidence_min: float
    confidence_max: float
    sources_count: int


class Constraint(Struct, frozen=True):
    """A value that a context must use, or that is forbidden in it; one that does not hold says what overrules it."""

    kind: Literal["must_use", "forbidden"]
    value: AnyValue
    holds: bool
    reason: str
    source_class: str
    support: int
    weight: float
    hash: str
    hashes: list[str]
    narrative: str | None


class ExplainedSigner(Struct, frozen=True):
    """A signer of a candidate: its position in the log, its trust then, its weight in the trust pack."""

    agent: str
    seq: int
    trust: float
    weight: float


class ExplainedCandidate(Struct, frozen=True):
    """A claim that took part, and what it weighed; confidence_seen is what decay leaves of it."""

    hash: str
    seq: int
    subject: str
    value: AnyValue
    weight: float
    source_class: str
    lifecycle: str
    timestamp: int
    confidence: str
    confidence_seen: float
    votes: float
    signers: list[ExplainedSigner]
    signers_count: int


class LeftOutCandidate(Struct, frozen=True):
    """A claim that did not take part: a code and a sentence why; by: the event or epoch that hides it."""

    hash: str
    seq: int
    value: AnyValue
    reason: str
    detail: str
    by: str | None


class Explanation(Struct, frozen=True):
    """Why an answer is what it is; both lists are cut to the limit of the question."""

    why: str
    candidates: list[ExplainedCandidate]
    candidates_count: int
    left_out: list[LeftOutCandidate]
    left_out_count: int


class Answer(Struct, frozen=True, omit_defaults=True):
    """What a pair's claims come to under a lens, as of log position seq (-1: an empty log).

    Fields with a default are there only when they say something: subjects, if aliases make it more than one;
    layers, map and constraints for the lens of that name, with how many constraints there are before the list is
    cut to the limit; explain, if it was asked for.
    """

    subject: str
    predicate: str | None
    status: Status
    confidence: float
    conflict: float
    margin: float | None
    winner: Winner | None
    groups: list[AnswerGroup]
    groups_count: int
    candidates_count: int
    lens: LensInfo
    seq: int
    as_of: str | None
    warnings: list[str]
    audit_id: str | None
    subjects: list[str] | None = None
    layers: list[Layer] | None = None
    map: list[ChartRow] | None = None
    constraints: list[Constraint] | None = None
    constraints_count: int | None = None
    explain: Explanation | None = None

    @property
    def value(self) -> "PythonValue | list[PythonValue] | None":
        """The winner's value as a Python one, a list of them for a many-valued predicate; None without a winner."""
        if self.winner is None:
            return None
        value = self.winner.value
        return [python_value(one) for one in value.value] if isinstance(value, ManyValue) else python_value(value)

    def _repr_html_(self) -> str:
        """A small table for a notebook: the values, and what stands behind each."""
        won = None if self.winner is None else self.winner.value
        best = won.value if isinstance(won, ManyValue) else [won]
        rows = (
            (
                "✓" if group.value in best else "",
                _told(group.value),
                f"{group.share:.2f}",
                str(group.support),
                f"{group.votes:g}",
                str(group.hashes_count),
            )
            for group in self.groups
        )
        return html_table(_caption(self), ("", "value", "share", "agents", "votes", "claims"), rows, self.groups_count)


class Disagreement(Struct, frozen=True):
    """One winning value, and the lenses that choose it; None: those that name no winner."""

    value: AnyWinner
    lenses: list[str]


class Lever(Struct, frozen=True):
    """A claim without which a lens would answer otherwise."""

    lens: str
    hash: str
    value: AnyValue
    winner: AnyWinner
    winner_without: AnyWinner


class Comparison(Struct, frozen=True):
    """Several lenses over one set of claims; levers_complete: whether every candidate was tried."""

    subject: str
    predicate: str
    seq: int
    as_of: str | None
    agree: bool
    answers: list[Answer]
    disagreement: list[Disagreement]
    levers: list[Lever]
    levers_complete: bool

    def _repr_html_(self) -> str:
        """A small table for a notebook: what each lens answers."""
        rows = (
            (
                answer.lens.name,
                _told(None if answer.winner is None else answer.winner.value),
                answer.status,
                f"{answer.confidence:.2f}",
                f"{answer.conflict:.2f}",
            )
            for answer in self.answers
        )
        agreed = "all agree" if self.agree else f"{len(self.disagreement)} different answers"
        caption = f"{self.subject} · {self.predicate}: {agreed} (seq {self.seq})"
        return html_table(caption, ("lens", "answer", "status", "confidence", "conflict"), rows, len(self.answers))


class Turn(Struct, frozen=True):
    """A position at which a pair's answer changed, what kind of event did it, and the answer from there on."""

    seq: int
    time_ms: int
    cause: str
    status: Status
    value: AnyWinner
    hash: str | None
    confidence: float
    conflict: float
    candidates_count: int


class History(Struct, frozen=True):
    """How a pair's answer moved over the log, oldest first; next: the position to go on after."""

    subject: str
    predicate: str
    lens: LensInfo
    seq: int
    turns: list[Turn]
    next: int | None


class Asked(TypedDict, total=False):
    """What may be said of a question besides its pair; all of it may be left out.

    lens: the pair's default if left out.  params: the lens's own.  source_class, lifecycle: only these.
    epoch: only this one, superseded or not.  include: superseded, superseded_epochs, revoked.
    decay: 'tiers', or a half-life such as '30d'.  pack: the id of a trust pack.
    as_of: 'seq:123', an RFC 3339 time or a span back such as '2h'.  valid_at: an RFC 3339 time.
    full: read the claims even where the ready answer would do.  limit: groups, and hashes in all of them together.
    """

    lens: str | None
    params: Mapping[str, str] | None
    source_class: Iterable[str]
    lifecycle: Iterable[str]
    epoch: str | None
    include: Iterable[str]
    decay: str | None
    pack: str | None
    as_of: str | None
    valid_at: str | None
    explain: bool
    full: bool
    limit: int | None


class QueryOptions(Asked, total=False):
    """A question's options, and which position it waits for: min_seq, wait_s at most."""

    min_seq: int | None
    wait_s: float | None


class Database(Protocol):
    """The same acts in process (Node) and over HTTP (Client).  All errors are EpistemeErrors."""

    def submit(self, signed: SignedEvent, *, wait_s: float | None = None) -> Receipt:
        """Write one signed event; durable on return, and readable too if wait_s is given and suffices."""

    def ingest(self, events: Iterable[SignedEvent | bytes | str]) -> Iterator[IngestResult]:
        """Write many; one result for each, in order. A bad one spoils only itself."""

    def ingest_bundled(self, events: Iterable[Event], *, bundle_size: int = BUNDLE_EVENTS) -> Iterator[IngestResult]:
        """Sign and write many, with one signature for each bundle_size of them; one result for each event, in order."""

    def tail(
        self,
        after: int = -1,
        *,
        follow: bool = True,
        subject: str | None = None,
        predicate: str | None = None,
        kind: str | None = None,
        agent: str | None = None,
    ) -> Iterator[LogLine]:
        """Lines of the log after a position, in order, none twice and none left out; then, as they come, the next.

        follow: False ends it at what was durable when it began.  subject: exact, or `Sema*` for all that begin so.
        kind: of the event; or rules, lost, opaque.  agent: among the signers, as hex or did:key.
        """

    def query(self, subject: str, predicate: str | None = None, **options: Unpack[QueryOptions]) -> Answer:
        """Resolve a pair's claims, or with lens constraints a context's."""

    def compare(
        self, subject: str, predicate: str, lenses: Sequence[str] = (), **options: Unpack[QueryOptions]
    ) -> Comparison:
        """Resolve a pair's claims under several lenses; no names: all that name a winner."""

    def history(
        self, subject: str, predicate: str, *, after: int = -1, turns: int = 100, **options: Unpack[QueryOptions]
    ) -> History:
        """How the pair's answer moved, from after an exclusive position on, at most so many turns."""

    def get(self, hash_hex: str, *, min_seq: int | None = None, wait_s: float | None = None) -> StoredAssertion:
        """One assertion as it was signed."""

    def status(self) -> StatusReport:
        """Positions, lag, sizes, versions."""

    def wait_applied(self, seq: int, timeout_s: float) -> bool:
        """Wait until event seq is readable; False if the time ran out."""

    def close(self) -> None:
        """Let go of files or connections."""
