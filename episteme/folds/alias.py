"""Aliases: the latest of a subject that an operator has signed counts."""

from typing import Final

from episteme.folds.authority import authorised
from episteme.folds.event import LoggedEvent
from model import Alias
from stores import ALIAS_CLASS_MAX, ALIAS_LINKS_MAX, AliasRow, AliasWriter, RulingsWriter, Staging

ALIAS: Final = "alias"


class AliasFold:
    """Families ALIAS, ALIASH and ALIASR."""

    name = "alias"
    version = 1
    kinds = frozenset((ALIAS,))

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Keep an alias from its position on; one that is taken late holds until the next of its subject."""
        if event.kind != ALIAS:
            return
        alias = event.event
        assert isinstance(alias, Alias), event.kind
        store = AliasWriter(state)
        row = AliasRow(alias, event.digest, event.seq, event.time)
        if authorised(event, state, lambda: _fits(store, row)):
            store.put(row)
            RulingsWriter(state).note("alias", event.seq)


def _fits(store: AliasWriter, row: AliasRow) -> bool:
    """Whether an alias leaves its class, and what leads to its other subject, within their bounds."""
    if row.same_as is None:
        return True
    is_new = not store.has_linked(row.same_as, row.event.subject)
    if is_new and store.links_count(row.same_as) >= ALIAS_LINKS_MAX:
        return False
    return len(store.same_with(row, count_max=ALIAS_CLASS_MAX + 1)) <= ALIAS_CLASS_MAX
