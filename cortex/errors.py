"""What a fold's runtime can refuse or report."""

from copy import copy
from typing import Self

from stores import reason_of


class CortexError(Exception):
    """The parent of all that this package raises."""

    code = "fold-error"

    def again(self) -> Self:
        """A copy to raise: one that is raised many times would gather the places of all."""
        other = copy(self)
        other.__cause__ = self.__cause__
        return other


class FoldStopped(CortexError):
    """A fold failed and applies nothing more; the cause is chained."""

    code = "fold-stopped"

    def __init__(self, detail: str, *, seq: int | None = None, fold: str | None = None) -> None:
        """seq: of the event that could not be applied.  fold: whose fault it is, if it is one's; or "decode"."""
        super().__init__(detail)
        self.seq = seq
        self.fold = fold


def stopped_by(cause: BaseException, seq: int) -> FoldStopped:
    """What says that a fold stopped, at the event that it would have applied next."""
    if isinstance(cause, FoldStopped):
        return cause
    stopped = FoldStopped(f"the fold stopped at seq {seq}: {reason_of(cause)}", seq=seq)
    stopped.__cause__ = cause
    return stopped


class FoldClosed(CortexError):
    """The runner was closed while somebody waited on it."""

    code = "fold-closed"


class WrongLog(CortexError):
    """A state that is the fold of another log."""

    code = "wrong-log"


class EventsGone(CortexError):
    """The log no longer has the events that the state would begin or go on with."""

    code = "events-gone"


class TooManyWatchers(CortexError):
    """No more may watch at a time; close one first."""

    code = "too-many-watchers"


class FoldVersionChanged(CortexError):
    """A state made by another version of a fold; it must be rebuilt."""

    code = "fold-version"


class StateLocked(CortexError):
    """Another process, or another handle in this one, holds the state's folder."""

    code = "state-locked"


class Rebuilding(CortexError):
    """A rebuild is under way already."""

    code = "rebuilding"


class BadSnapshot(CortexError):
    """A snapshot's folder that is not as its manifest says, or has none that can be read."""

    code = "bad-snapshot"


class BeyondState(CortexError):
    """A position that the state has not reached; the message names the one it has."""

    code = "beyond-state"
