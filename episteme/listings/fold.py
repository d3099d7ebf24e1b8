"""The folds: how far they are, and what they could not take."""

from episteme.folds import FOLDS
from episteme.listings.context import Context
from episteme.listings.paging import Paging, number_place
from episteme.status import DeadLetterRecord, FoldRecord, FoldsReport
from stores import DeadLetter, DeadLetterStore
from wal import wall_ms


def folds_report(context: Context, paging: Paging) -> FoldsReport:
    """All folds by name, and a page of dead letters in log order.  All folds apply an event at once."""
    store, seq = DeadLetterStore(context.reader), context.seq
    found = list(store.letters(after=paging.after(number_place), count_max=paging.limit + 1))
    shown, more = paging.cut(found, lambda letter: letter.seq)
    return FoldsReport(
        folds=[FoldRecord(fold.name, fold.version, seq) for fold in sorted(FOLDS, key=lambda fold: fold.name)],
        lag=context.log.durable_end - 1 - seq,
        failure=context.failure,
        is_outdated=context.is_outdated,
        dead_letters_count=store.count(),
        items=[_record(letter) for letter in shown],
        next=more,
        seq=seq,
    )


def _record(letter: DeadLetter) -> DeadLetterRecord:
    return DeadLetterRecord(letter.seq, wall_ms(letter.time), letter.fold, letter.reason, letter.attempts)
