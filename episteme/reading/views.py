"""When a pair's view is the exact answer, and when it is not used.

A view is true as of the last event that touched its pair.  What governance has
done since, anywhere, is one row; only where that says that something may have
changed is it looked at what.  When in doubt, the claims are read.

Source: docs/lenses.md, "How the ready answer is kept".
"""

from typing import NamedTuple

from episteme.lenses import Lens, lens_named
from episteme.reading.gather import comparison_of, lens_by, rule_of
from episteme.reading.question import Question
from stores import (
    AliasStore,
    EpochStore,
    PredicateRow,
    Reader,
    Rulings,
    SourceStore,
    ViewRow,
    ViewStore,
)


class Seen(NamedTuple):
    """A view that is exact, the lens it was made under, and whether its predicate has many values."""

    row: ViewRow
    lens: Lens
    is_many: bool


def view_of(reader: Reader, question: Question) -> Seen | None:
    """The pair's view, if a full read would give the same; None: read the claims.

    Raises: UnknownLens.
    """
    predicate = question.predicate
    if predicate is None:
        return None
    row, rulings = ViewStore(reader).get_ruled(question.subject, predicate)
    if row is None:
        return None
    rule = rule_of(reader, predicate, None, rulings)
    lens = lens_by(rule) if question.lens is None else lens_named(question.lens)
    made = row.resolution
    if lens.uses_trust or made.lens != lens.name or made.lens_version != lens.version:
        return None
    if not _has_same_rule(row, rule) or not _is_exact(reader, question, row, rulings):
        return None
    return Seen(row, lens, comparison_of(rule).many)


def _is_exact(reader: Reader, question: Question, row: ViewRow, rulings: Rulings) -> bool:
    return (
        rulings.revocation <= row.seq
        and _has_same_aliases(reader, question, row, rulings)
        and _has_same_epochs(reader, row, rulings)
        and _has_no_tainted_source(reader, row, rulings)
    )


def _has_same_rule(row: ViewRow, rule: PredicateRow | None) -> bool:
    if rule is None:
        return row.ground.rule is None
    has_all = not comparison_of(rule).many or row.groups_count == len(row.resolution.groups)
    return row.ground.rule == rule.digest and has_all


def _has_same_aliases(reader: Reader, question: Question, row: ViewRow, rulings: Rulings) -> bool:
    if rulings.alias < 0:
        return True
    if row.ground.references and (rulings.alias > row.seq or not row.ground.governed):
        return False
    return AliasStore(reader).same(question.subject, None, count_max=2) == (question.subject,)


def _has_same_epochs(reader: Reader, row: ViewRow, rulings: Rulings) -> bool:
    """A view knows which of its epochs were hidden when it was made; one of many claims knows of none."""
    ground = row.ground
    if rulings.epoch < 0 or (ground.governed and rulings.epoch <= row.seq):
        return True
    if ground.epochs is None:
        return False
    markers = EpochStore(reader).superseded_many(epoch.hex() for epoch in ground.epochs)
    hidden = [epoch for epoch, marker in zip(ground.epochs, markers, strict=True) if marker is not None]
    return tuple(hidden) == ground.hidden


def _has_no_tainted_source(reader: Reader, row: ViewRow, rulings: Rulings) -> bool:
    """Answers on tainted sources carry a warning, which a view does not."""
    if rulings.source < 0:
        return True
    sources = SourceStore(reader)
    if row.ground.sources is None:
        return sources.tainted_count() == 0
    records = sources.get_many([source.hex() for source in row.ground.sources])
    return all(record is None or record.statuses[-1].status == "active" for record in records)
