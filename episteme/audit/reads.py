"""The audit as the catalogue reads it: lists, records, replays.

Source: docs/audit.md, "Reading".
"""

from episteme.audit.listing import Filters, Order, get_audit, list_audits, make_record
from episteme.audit.replay import replay
from episteme.audit.shapes import AuditedQuery, AuditRecord, Replayed
from episteme.listings.context import Context
from episteme.listings.paging import Paging
from episteme.shapes import Page
from stores import QueryAudit


def audits(
    context: Context,
    paging: Paging,
    *,
    agent: str | None = None,
    subject: str | None = None,
    predicate: str | None = None,
    order: Order = "newest",
    **span: int,
) -> Page[AuditedQuery]:
    """Audited queries in order of time; span: from and to, milliseconds since 1970, the end exclusive."""
    filters = Filters(agent=agent, subject=subject, predicate=predicate, from_ms=span.get("from"), to_ms=span.get("to"))
    with context.audit.reading() as reader:
        return list_audits(reader, paging, filters, order)


def audit_record(context: Context, *, id: str) -> AuditRecord:  # noqa: A002  (the parameter's name in the path)
    """One audited query.  Raises: NotFound."""
    return make_record(id, _find(context, id))


def audit_replay(context: Context, *, id: str) -> Replayed:  # noqa: A002
    """An audited query, asked again as of its position.  Raises: NotFound."""
    return replay(id, _find(context, id), context.seq, context.audit.ask)


def _find(context: Context, query_id: str) -> QueryAudit:
    with context.audit.reading() as reader:
        return get_audit(reader, query_id)
