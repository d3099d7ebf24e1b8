"""Rules of predicates: the latest that an operator has signed counts."""

from typing import Final

from episteme.folds.authority import authorised
from episteme.folds.event import LoggedEvent
from model import PredicateRule
from stores import PredicateRow, PredicateWriter, RulingsWriter, Staging

PREDICATE: Final = "predicate"


class PredicateFold:
    """Families PRED and PREDH."""

    name = "predicate"
    version = 1
    kinds = frozenset((PREDICATE,))

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Keep a rule from its position on; one that is taken late holds until the next."""
        if event.kind != PREDICATE or not authorised(event, state):
            return
        rule = event.event
        assert isinstance(rule, PredicateRule), event.kind
        PredicateWriter(state).put(PredicateRow(rule, event.digest, event.seq, event.time))
        RulingsWriter(state).note("predicate", event.seq)
