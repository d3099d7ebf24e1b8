"""The shapes of audits as readers get them.

Source: docs/audit.md, "Reading".
"""

from msgspec import Struct

from episteme.api import Answer
from stores import Status


class AuditLens(Struct, frozen=True):
    """Which rule decided."""

    name: str
    version: int


class AuditContribution(Struct, frozen=True):
    """An assertion that the answer rests on; weight: the share of its value, which all who say it have together."""

    hash: str
    weight: float


class AuditedQuery(Struct, frozen=True, kw_only=True):
    """A query and what it was answered, as a list shows it.

    time_ms: when it was recorded, milliseconds since 1970.  agent: who asked, None where that is not known.
    parameters: the question.  seq: the log position that the answer is of, -1 for an empty log.
    winner: a hash.  digest: of the answer.
    """

    id: str
    time_ms: int
    agent: str | None
    subject: str
    predicate: str | None
    parameters: dict[str, str]
    lens: AuditLens
    seq: int
    status: Status
    winner: str | None
    confidence: float
    conflict: float
    digest: str


class AuditRecord(AuditedQuery, frozen=True, kw_only=True):
    """The whole of it; now_ms: from which the ages of claims were counted, milliseconds since 1970."""

    now_ms: int
    contributions: list[AuditContribution]


class Replayed(Struct, frozen=True, kw_only=True):
    """The same question asked again as of the same position, and whether the answer is the same.

    detail: why it is not, or cannot be told; None if it is the same.  answer, digest_now: of the second asking,
    None if that was refused.
    """

    id: str
    same: bool
    detail: str | None
    digest_then: str
    digest_now: str | None
    answer: Answer | None
