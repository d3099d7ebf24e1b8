"""The shapes of answers, and the one API that Node and Client both offer.

Source: docs/http.md, docs/python.md.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Literal, Protocol

from msgspec import Struct

from episteme.errors import FieldProblem
from model import AnyValue, Assertion, EnvelopeSignature, Event, SignedEvent
from stores import Status

ReceiptStatus = Literal["accepted", "duplicate", "applied"]
Value = str | int | float | bool | Decimal | AnyValue


class Receipt(Struct, frozen=True):
    """What a write answers: the event's hash and its first position.

    accepted: durable; duplicate: it was there already, at seq; applied: durable and readable.
    """

    hash: str
    seq: int
    status: ReceiptStatus = "accepted"


class IngestResult(Struct, frozen=True, omit_defaults=True):
    """What became of one line: a receipt, or a refusal with its code."""

    line: int
    status: ReceiptStatus | Literal["refused"]
    hash: str | None = None
    seq: int | None = None
    code: str | None = None
    detail: str | None = None
    errors: tuple[FieldProblem, ...] = ()


class IngestSummary(Struct, frozen=True):
    """How many lines ended how."""

    lines: int
    accepted: int
    duplicate: int
    refused: int


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


class Winner(Struct, frozen=True):
    """A value, and the assertion that best represents it under the lens."""

    value: AnyValue
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


class Answer(Struct, frozen=True):
    """What a pair's claims come to under a lens, as of log position seq (-1: an empty log)."""

    subject: str
    predicate: str
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

    @property
    def value(self) -> str | Decimal | bool | None:
        """The winner's value as a Python one; None without a winner."""
        if self.winner is None:
            return None
        value = self.winner.value
        return Decimal(value.value) if value.__struct_config__.tag == "number" else value.value


class FoldStatus(Struct, frozen=True):
    """How far the fold is; lag counts durable events that are not applied, dead_letters those that could not be."""

    applied_seq: int
    lag: int
    versions: dict[str, int]
    failure: str | None
    dead_letters: int | None  # None where the store cannot be asked


class LogStatus(Struct, frozen=True):
    """The log's end and what it takes on disk."""

    log_id: str
    seq: int
    first_seq: int
    size_bytes: int
    epoch: int
    failure: str | None


class StatusReport(Struct, frozen=True):
    """What /v1/status answers."""

    version: str
    database: str
    ready: bool
    reasons: list[str]
    uptime_s: float
    log: LogStatus
    fold: FoldStatus
    store_bytes: int


class Database(Protocol):
    """The same acts in process (Node) and over HTTP (Client).  All errors are EpistemeErrors."""

    def submit(self, signed: SignedEvent, *, wait_s: float | None = None) -> Receipt:
        """Write one signed event; durable on return, and readable too if wait_s is given and suffices."""

    def ingest(self, events: Iterable[SignedEvent | bytes]) -> Iterator[IngestResult]:
        """Write many; one result for each, in order. A bad one spoils only itself."""

    def query(
        self,
        subject: str,
        predicate: str,
        *,
        lens: str | None = None,
        source_class: Iterable[str] = (),
        lifecycle: Iterable[str] = (),
        min_seq: int | None = None,
        wait_s: float | None = None,
        full: bool = False,
        limit: int | None = None,
    ) -> Answer:
        """Resolve a pair's claims."""

    def get(self, hash_hex: str, *, min_seq: int | None = None, wait_s: float | None = None) -> StoredAssertion:
        """One assertion as it was signed."""

    def status(self) -> StatusReport:
        """Positions, lag, sizes, versions."""

    def close(self) -> None:
        """Let go of files or connections."""
