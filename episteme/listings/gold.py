"""Gold standards: the known answers."""

from typing import Any

from msgspec import UNSET

from episteme.listings.context import Context
from episteme.listings.paging import Paging
from episteme.parameters import invalid_parameter
from episteme.shapes import GoldRecord, Page
from stores import GoldPair, GoldRow, GoldStore
from wal import wall_ms


def gold_standards(
    context: Context, paging: Paging, *, subject: str | None = None, predicate: str | None = None
) -> Page[GoldRecord]:
    """By subject, then predicate, in byte order; those of one subject, or that of one pair.

    Raises: InvalidParameter for a predicate without its subject.
    """
    if predicate is not None and subject is None:
        raise invalid_parameter("predicate", "is given without its subject")
    store = GoldStore(context.reader)
    after = paging.after(_pair_place)
    if subject is not None and predicate is not None:
        found = [row for row in [store.get(subject, predicate)] if row is not None and after is None]
    elif subject is not None:
        start = None if after is None else after.predicate
        found = list(store.of_subject(subject, after=start, count_max=paging.limit + 1))
    else:
        found = _all(store, after, paging.limit + 1)
    shown, more = paging.cut(found, lambda row: (row.event.subject, row.event.predicate))
    return Page([_record(row) for row in shown], more, context.seq)


def _all(store: GoldStore, after: GoldPair | None, count_max: int) -> list[GoldRow]:
    rows = [store.get(*pair) for pair in store.pairs(after=after, count_max=count_max)]
    return [row for row in rows if row is not None]


def _pair_place(place: Any) -> GoldPair:
    subject, predicate = place
    if not isinstance(subject, str) or not isinstance(predicate, str):
        raise TypeError(place)
    return GoldPair(subject, predicate)


def _record(row: GoldRow) -> GoldRecord:
    event = row.event
    return GoldRecord(
        subject=event.subject,
        predicate=event.predicate,
        value=event.object,
        tolerance=None if event.tolerance is UNSET else event.tolerance,
        agent=event.agent,
        timestamp=event.timestamp,
        hash=row.digest.hex(),
        seq=row.seq,
        time_ms=wall_ms(row.time),
    )
