"""What agents spend, and may spend: families QUOTA and QLIMIT.

What an event cost is in its record, so a replay counts what the gate charged.

Source: docs/governance.md, "Quotas".
"""

from collections.abc import Sequence
from typing import Final

from episteme.folds.authority import authorised
from episteme.folds.event import LoggedEvent
from model import QuotaLimit
from stores import NOTHING_USED, QuotaLimitRow, QuotaUse, QuotaWriter, Staging, window_of

QUOTA_LIMIT: Final = "quota_limit"


class QuotaFold:
    """Counts tokens by the hour, and keeps the latest limit of each agent."""

    name = "quota"
    version = 1
    kinds = frozenset((QUOTA_LIMIT,))

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Set a limit."""
        if event.kind == QUOTA_LIMIT and authorised(event, state):
            _limit(event, state)

    def finish(self, events: Sequence[LoggedEvent], state: Staging) -> None:
        """Add up what the events cost: a row for each agent and hour, however many events it has."""
        spent: dict[tuple[bytes, int], QuotaUse] = {}
        for event in events:
            if event.tokens:
                _spend(event, spent)
        store = QuotaWriter(state)
        for (agent, window), use in sorted(spent.items()):
            store.add(agent.hex(), window, use)


def _spend(event: LoggedEvent, spent: dict[tuple[bytes, int], QuotaUse]) -> None:
    """Charge whoever said something new by an event."""
    for place, signature in enumerate(event.signatures):
        if place not in event.known:
            key = (signature.agent, window_of(event.time))
            spent[key] = spent.get(key, NOTHING_USED).plus(event.tokens, event.seq, event.time)


def _limit(event: LoggedEvent, state: Staging) -> None:
    """One that is taken late, after another, is passed over."""
    limit = event.event
    assert isinstance(limit, QuotaLimit), event.kind
    store = QuotaWriter(state)
    known = store.limit(limit.for_agent)
    if known is None or known.seq <= event.seq:
        store.put_limit(QuotaLimitRow(limit, event.digest, event.seq, event.time))
