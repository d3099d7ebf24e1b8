"""What a write answers.

Source: docs/http.md, "Writes".
"""

from typing import Literal

from msgspec import Struct

from episteme.errors import FieldProblem

ReceiptStatus = Literal["accepted", "duplicate", "applied"]


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


class IngestTotal(Struct, frozen=True):
    """The last line of an ingest's answer."""

    summary: IngestSummary
