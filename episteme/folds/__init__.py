"""What each kind of event does to the state.  Pure."""

from typing import Final

from cortex import Fold
from episteme.folds.alias import AliasFold
from episteme.folds.assertion import AssertionFold
from episteme.folds.epoch import EpochFold
from episteme.folds.escalation import EscalationFold
from episteme.folds.event import LoggedEvent, decode_frame
from episteme.folds.lineage import LineageFold
from episteme.folds.pack import PackFold
from episteme.folds.predicate import PredicateFold
from episteme.folds.quota import QuotaFold
from episteme.folds.revocation import RevocationFold
from episteme.folds.rules import RulesFold
from episteme.folds.source import SourceFold
from episteme.folds.supersession import SupersessionFold
from episteme.folds.trust import TrustFold
from episteme.folds.view import ViewFold
from episteme.folds.vote import VoteFold

# In the order in which they see an event; the view reads what the others wrote.
FOLDS: Final[tuple[Fold[LoggedEvent], ...]] = (
    RulesFold(),
    AssertionFold(),
    VoteFold(),
    LineageFold(),
    EpochFold(),
    SupersessionFold(),
    SourceFold(),
    AliasFold(),
    PredicateFold(),
    RevocationFold(),
    PackFold(),
    TrustFold(),
    QuotaFold(),
    EscalationFold(),
    ViewFold(),
)

__all__ = ["FOLDS", "LoggedEvent", "decode_frame"]
