"""Epochs: operators register them, and one that supersedes another hides it."""

from typing import Final

from msgspec import UNSET

from episteme.folds.authority import authorised
from episteme.folds.event import LoggedEvent
from model import Epoch
from stores import EpochRow, EpochWriter, RulingsWriter, Staging, SupersededEpoch

EPOCH: Final = "epoch"


class EpochFold:
    """Families E and SUPERSEDED."""

    name = "epoch"
    version = 1
    kinds = frozenset((EPOCH,))

    def apply(self, event: LoggedEvent, state: Staging) -> None:
        """Register an epoch, and hide the one that it supersedes unless an earlier one does already."""
        if event.kind != EPOCH or not authorised(event, state):
            return
        epoch = event.event
        assert isinstance(epoch, Epoch), event.kind
        store = EpochWriter(state)
        store.put(event.digest.hex(), EpochRow(epoch, event.seq, event.time))
        if epoch.supersedes is UNSET or epoch.supersession is UNSET or epoch.supersession == "additive":
            return
        known = store.superseded(epoch.supersedes)
        if known is None or event.seq < known.seq:
            marker = SupersededEpoch(event.digest, epoch.supersession, event.seq, event.time)
            store.put_superseded(epoch.supersedes, marker)
            RulingsWriter(state).note("epoch", event.seq)
