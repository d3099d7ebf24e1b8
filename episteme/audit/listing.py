"""Audits by who asked, what about and when.

The narrowest list that the state keeps is read in its order, and the other filters
are held against what it names.  One page looks at a bounded number of audits, so
it may be short, or empty, and still have a next one.

Source: docs/audit.md, "Reading".
"""

import re
from typing import Final, Literal

from msgspec import Struct

from episteme.audit.shapes import AuditContribution, AuditedQuery, AuditLens, AuditRecord
from episteme.errors import NotFound
from episteme.listings.paging import Paging
from episteme.shapes import Page
from stores import AuditList, AuditStore, MetaStore, QueryAudit, Reader, asked_ms

Order = Literal["newest", "oldest"]
ORDERS: Final = ("newest", "oldest")

_CHUNK: Final = 250
_ID: Final = re.compile(r"[0-9a-f]{32}")
_MS_MAX: Final = (1 << 48) - 1  # what an id has room for: the year 10889
_LOOKED_AT_MAX: Final = 5000  # audits for one page: at 50 us each, a quarter of a second


class Filters(Struct, frozen=True, kw_only=True):
    """Which audits are wanted; None: whichever.

    agent: 64 hex digits.  from_ms, to_ms: when it was asked, the end exclusive, milliseconds since 1970.
    """

    agent: str | None = None
    subject: str | None = None
    predicate: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None

    def admit(self, audit: QueryAudit) -> bool:
        """Whether an audit of the right time is wanted."""
        return (
            (self.agent is None or audit.agent == bytes.fromhex(self.agent))
            and self.subject in (None, audit.subject)
            and (self.predicate is None or self.predicate in audit.predicates)
        )


def list_audits(reader: Reader, paging: Paging, filters: Filters, order: Order) -> Page[AuditedQuery]:
    """A page of audits in order of time; its seq is of the log of audits.

    Raises: InvalidParameter for a cursor that this list did not give.
    """
    after = paging.after(_id_place)
    found, end = _search(AuditStore(reader), filters, order, after, paging.limit + 1)
    shown, more = paging.cut(found, lambda line: line.id)
    if more is None and end is not None:
        more = paging.next(end)
    return Page(list(shown), more, MetaStore(reader).cursor() - 1)


def get_audit(reader: Reader, query_id: str) -> QueryAudit:
    """One audit.  Raises: NotFound."""
    row = AuditStore(reader).get(query_id)
    if row is None:
        raise NotFound(f"no audit {query_id}: the answer was not audited, or its audit is no longer kept")
    return row.audit


def make_record(query_id: str, audit: QueryAudit) -> AuditRecord:
    """An audit with all that it holds."""
    line = _line(query_id, audit)
    contributions = [AuditContribution(one.digest.hex(), one.weight) for one in audit.contributions]
    told = {name: getattr(line, name) for name in line.__struct_fields__}
    return AuditRecord(**told, now_ms=audit.now_ms, contributions=contributions)


def _search(
    store: AuditStore, filters: Filters, order: Order, after: str | None, count_max: int
) -> tuple[list[AuditedQuery], str | None]:
    """At most count_max matches, and the id to go on after if the bound came before them and the list's end."""
    listed, found = _narrowest(store, filters), list[AuditedQuery]()
    size = min(_CHUNK, count_max)
    for _ in range(_LOOKED_AT_MAX // size):
        ids = _ids(listed, filters, order, after, size)
        for query_id, row in zip(ids, store.get_many(ids), strict=True):
            if row is not None and filters.admit(row.audit):
                found.append(_line(query_id, row.audit))
                if len(found) == count_max:
                    return found, None
        if len(ids) < size:
            return found, None
        after = ids[-1]
    return found, after


def _ids(listed: AuditList, filters: Filters, order: Order, after: str | None, size: int) -> list[str]:
    """The next ids of the right time; fewer than size at the end."""
    from_ms = _within(filters.from_ms or 0)
    to_ms = None if filters.to_ms is None else _within(filters.to_ms)
    if order == "newest":
        ids = listed.newest(to_ms=to_ms, before=after, count_max=size)
        return [one for one in ids if asked_ms(one) >= from_ms]
    ids = listed.oldest(from_ms=from_ms, after=after, count_max=size)
    return [one for one in ids if to_ms is None or asked_ms(one) < to_ms]


def _within(ms: int) -> int:
    """The moment of an id that is nearest to a time."""
    return min(max(0, ms), _MS_MAX)


def _narrowest(store: AuditStore, filters: Filters) -> AuditList:
    """The shortest list that has all that the filters admit."""
    if filters.subject is not None and filters.predicate is not None:
        return store.of_pair(filters.subject, filters.predicate)
    return store.everybodys() if filters.agent is None else store.of_agent(filters.agent)


def _id_place(place: object) -> str:
    if not isinstance(place, str) or not _ID.fullmatch(place):
        raise TypeError(place)
    return place


def _line(query_id: str, audit: QueryAudit) -> AuditedQuery:
    return AuditedQuery(
        id=query_id,
        time_ms=asked_ms(query_id),
        agent=None if audit.agent is None else audit.agent.hex(),
        subject=audit.subject,
        predicate=audit.predicate,
        parameters=dict(audit.parameters),
        lens=AuditLens(audit.lens, audit.lens_version),
        seq=audit.position,
        status=audit.status,
        winner=None if audit.winner is None else audit.winner.hex(),
        confidence=audit.confidence,
        conflict=audit.conflict,
        digest=audit.answer_digest.hex(),
    )
