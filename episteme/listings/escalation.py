"""Escalations: what the rules have raised for people to look at."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, NamedTuple

from msgspec import Struct

from episteme.errors import NotFound
from episteme.listings.context import Context
from episteme.listings.paging import Paging
from episteme.parameters import invalid_parameter
from episteme.shapes import AcknowledgementRecord, EscalationRecord, EventPlace, Page
from stores import EscalationLevel, EscalationPlace, EscalationRow, EscalationStatus, EscalationStore, LogPlace
from wal import wall_ms

Order = Literal["newest", "oldest"]

ORDERS: Final[tuple[Order, ...]] = ("newest", "oldest")
STATUSES: Final[tuple[EscalationStatus, ...]] = ("open", "acknowledged", "resolved")
LEVELS: Final[tuple[EscalationLevel, ...]] = ("info", "warning", "critical")

_CHUNK: Final = 250
_CHUNKS_MAX: Final = 40  # 10,000 escalations looked at for one page

_Found = list[tuple[EscalationPlace, EscalationRow]]


class _Filters(Struct, frozen=True):
    status: Sequence[str]
    level: Sequence[str]
    rule: str | None
    subject: str | None

    def admit(self, row: EscalationRow) -> bool:
        return (
            (not self.status or row.status in self.status)
            and (not self.level or row.level in self.level)
            and self.rule in (None, row.rule)
            and self.subject in (None, row.subject)
        )


class _Searched(NamedTuple):
    found: _Found
    end: EscalationPlace | None  # where the look ended, if the list goes on there


def escalations(
    context: Context,
    paging: Paging,
    *,
    status: Sequence[str] = (),
    level: Sequence[str] = (),
    rule: str | None = None,
    subject: str | None = None,
    order: Order | None = None,
    after: int | None = None,
) -> Page[EscalationRecord]:
    """By when they were raised: newest first, or with after, oldest first.

    after: only those that an event after this log position raised; -1: all.
    Raises: InvalidParameter for newest first with after.
    """
    order = order or ("newest" if after is None else "oldest")
    if order == "newest" and after is not None:
        raise invalid_parameter("after", "is given with order=newest; it goes with oldest")
    start = paging.after(_place)
    if order == "oldest" and start is None and after is not None:
        start = _last_place_of(context, after)
    filters = _Filters(status, level, rule, subject)
    searched = _search(_pages(context, order), filters, start, paging.limit + 1)
    shown, more = paging.cut(searched.found, lambda one: one[0])
    if more is None and searched.end is not None:
        more = paging.next(searched.end)
    return Page([_record(place.escalation_id, row) for place, row in shown], more, context.seq)


def escalation_record(context: Context, *, id: str) -> EscalationRecord:  # noqa: A002
    """One escalation.  Raises: NotFound."""
    row = EscalationStore(context.reader).get(id)
    if row is None:
        raise NotFound(f"no escalation {id} up to seq {context.seq}")
    return _record(id, row)


def _pages(context: Context, order: Order) -> Callable[[EscalationPlace | None], _Found]:
    store = EscalationStore(context.reader)
    if order == "newest":
        return lambda before: store.newest(before=before, count_max=_CHUNK)
    return lambda after: store.oldest(after=after, count_max=_CHUNK)


def _search(
    read: Callable[[EscalationPlace | None], _Found],
    filters: _Filters,
    start: EscalationPlace | None,
    count_max: int,
) -> _Searched:
    found: _Found = []
    for _ in range(_CHUNKS_MAX):
        page = read(start)
        found += [one for one in page if filters.admit(one[1])]
        if len(found) >= count_max or len(page) < _CHUNK:
            return _Searched(found[:count_max], None)
        start = page[-1][0]
    return _Searched(found, start)


def _last_place_of(context: Context, seq: int) -> EscalationPlace | None:
    """A place behind all that an event raised, and before all that later ones did."""
    if seq < 0:
        return None
    newest = context.seq
    if newest < 0:
        return None
    return EscalationPlace(context.time_at(min(seq, newest)), "f" * 32)


def _place(place: Any) -> EscalationPlace:
    time, escalation_id = place
    if not isinstance(time, int) or not 0 <= time < 1 << 64 or not isinstance(escalation_id, str):
        raise TypeError(place)
    return EscalationPlace(time, escalation_id)


def _record(escalation_id: str, row: EscalationRow) -> EscalationRecord:
    ack = row.acknowledged
    return EscalationRecord(
        id=escalation_id,
        rule=row.rule,
        level=row.level,
        status=row.status,
        subject=row.subject,
        predicate=row.predicate,
        detail=row.detail,
        raised=_event_place(row.raised),
        acknowledged=None
        if ack is None
        else AcknowledgementRecord(ack.agent.hex(), ack.verdict, ack.digest.hex(), ack.seq, wall_ms(ack.time)),
        resolved=None if row.resolved is None else _event_place(row.resolved),
    )


def _event_place(place: LogPlace) -> EventPlace:
    return EventPlace(place.seq, wall_ms(place.time))
