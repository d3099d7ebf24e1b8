"""What each kind of event does to the state.  Pure."""

from typing import Final

from cortex import Fold
from episteme.folds.assertion import AssertionFold
from episteme.folds.event import LoggedEvent, decode_frame
from episteme.folds.view import ViewFold
from episteme.folds.vote import VoteFold

# In the order in which they see an event; the view reads what the others wrote.
FOLDS: Final[tuple[Fold[LoggedEvent], ...]] = (AssertionFold(), VoteFold(), ViewFold())

__all__ = ["FOLDS", "LoggedEvent", "decode_frame"]
