"""The rules of the database: the last ones that the log sets are in force."""

from episteme.folds.event import RULES, LoggedEvent
from stores import OperatorWriter, RulesRow, Staging


class RulesFold:
    """Family RULES.  Runs before the folds that go by them."""

    name = "rules"
    version = 1
    kinds = frozenset((RULES,))

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Put the rules in force; ones that are taken late, after newer ones, are passed over."""
        if event.kind == RULES:
            OperatorWriter(state).put(RulesRow(event.seq, event.time, event.rules))
