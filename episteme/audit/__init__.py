"""Every query and its answer, kept and asked again.  Source: docs/audit.md."""

from episteme.audit.auditor import Auditor
from episteme.audit.digest import answer_digest
from episteme.audit.listing import ORDERS, Filters, Order, get_audit, list_audits, make_record
from episteme.audit.options import AuditOptions
from episteme.audit.replay import AskAgain, AuditDesk, replay
from episteme.audit.shapes import (
    AuditContribution,
    AuditedQuery,
    AuditLens,
    AuditRecord,
    Replayed,
)

__all__ = [
    "ORDERS",
    "AskAgain",
    "AuditContribution",
    "AuditDesk",
    "AuditLens",
    "AuditOptions",
    "AuditRecord",
    "AuditedQuery",
    "Auditor",
    "Filters",
    "Order",
    "Replayed",
    "answer_digest",
    "get_audit",
    "list_audits",
    "make_record",
    "replay",
]
