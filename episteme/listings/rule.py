"""What rules comparison: predicates, aliases, lenses."""

from msgspec import UNSET

from episteme.lenses import DEFAULT_LENS, LENSES
from episteme.listings.context import Context
from episteme.listings.paging import Paging, text_place
from episteme.shapes import AliasRecord, LensRecord, Page, PredicateRecord
from stores import AliasRow, AliasStore, PredicateRow, PredicateStore
from wal import wall_ms


def predicates(context: Context, paging: Paging, *, prefix: str = "") -> Page[PredicateRecord]:
    """Declared predicates that begin with prefix, in byte order."""
    store = PredicateStore(context.reader)
    found = list(store.predicates(prefix, after=paging.after(text_place), count_max=paging.limit + 1))
    shown, more = paging.cut(found, lambda row: row.event.predicate)
    return Page([_predicate(row) for row in shown], more, context.seq)


def aliases(context: Context, paging: Paging, *, prefix: str = "") -> Page[AliasRecord]:
    """Subjects with an alias that begin with prefix, in byte order; not those whose alias was taken back."""
    store = AliasStore(context.reader)
    found = list(store.aliases(prefix, after=paging.after(text_place), count_max=paging.limit + 1))
    shown, more = paging.cut(found, lambda row: row.event.subject)
    kept = [row for row in shown if row.event.subject != row.event.same_as]
    return Page([_alias(store, row) for row in kept], more, context.seq)


def lenses(context: Context, paging: Paging) -> Page[LensRecord]:
    """All lenses by name."""
    found = [
        LensRecord(
            name=lens.name,
            version=lens.version,
            is_default=lens.name == DEFAULT_LENS,
            uses_trust=lens.uses_trust,
            takes_predicate=lens.takes_predicate,
            parameters=list(lens.parameters),
        )
        for _, lens in sorted(LENSES.items())
    ]
    after = paging.after(text_place)
    shown, more = paging.cut([one for one in found if after is None or one.name > after], lambda one: one.name)
    return Page(list(shown), more, context.seq)


def _predicate(row: PredicateRow) -> PredicateRecord:
    event = row.event
    return PredicateRecord(
        predicate=event.predicate,
        cardinality=event.cardinality,
        tolerance=None if event.tolerance is UNSET else event.tolerance,
        separator=None if event.separator is UNSET else event.separator,
        default_lens=None if event.default_lens is UNSET else event.default_lens,
        agent=event.agent,
        timestamp=event.timestamp,
        hash=row.digest.hex(),
        seq=row.seq,
        time_ms=wall_ms(row.time),
    )


def _alias(store: AliasStore, row: AliasRow) -> AliasRecord:
    event = row.event
    return AliasRecord(
        subject=event.subject,
        same_as=event.same_as,
        canonical=store.canonical(event.subject, None),
        agent=event.agent,
        timestamp=event.timestamp,
        hash=row.digest.hex(),
        seq=row.seq,
        time_ms=wall_ms(row.time),
    )
