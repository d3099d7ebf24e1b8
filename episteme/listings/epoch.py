"""Epochs, and what hides them."""

from typing import Final

import msgspec
from msgspec import UNSET

from episteme.errors import NotFound
from episteme.listings.context import Context
from episteme.listings.paging import Paging, text_place
from episteme.shapes import EpochMark, EpochRecord, EpochReport, Page
from stores import EpochRow, EpochStore
from wal import wall_ms

CHAIN_MAX: Final = 1000  # epochs, each hidden by the next


def epochs(context: Context, paging: Paging) -> Page[EpochRecord]:
    """Epochs in the order of their ids."""
    store = EpochStore(context.reader)
    found = list(store.epochs(after=paging.after(text_place), count_max=paging.limit + 1))
    shown, more = paging.cut(found, lambda one: one[0])
    return Page([_record(store, epoch, row) for epoch, row in shown], more, context.seq)


def epoch_report(context: Context, *, epoch: str) -> EpochReport:
    """One epoch and its chain.  Raises: NotFound."""
    store = EpochStore(context.reader)
    row = store.get(epoch)
    if row is None:
        raise NotFound(f"no epoch {epoch} up to seq {context.seq}")
    record = msgspec.structs.asdict(_record(store, epoch, row))
    return EpochReport(**record, chain=store.chain(epoch, count_max=CHAIN_MAX))


def _record(store: EpochStore, epoch: str, row: EpochRow) -> EpochRecord:
    event = row.event
    marker = store.superseded(epoch)
    return EpochRecord(
        epoch=epoch,
        name=event.name,
        start=event.start,
        end=None if event.end is UNSET else event.end,
        supersedes=None if event.supersedes is UNSET else event.supersedes,
        supersession=None if event.supersession is UNSET else event.supersession,
        agent=event.agent,
        timestamp=event.timestamp,
        seq=row.seq,
        time_ms=wall_ms(row.time),
        superseded_by=None
        if marker is None
        else EpochMark(marker.by.hex(), marker.mode, marker.seq, wall_ms(marker.time)),
    )
