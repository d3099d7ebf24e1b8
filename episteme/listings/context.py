"""What a listing reads: one moment of the state, the log behind it, and the audits of another state."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from episteme.audit.replay import AuditDesk
from episteme.reading import PastClock
from episteme.shapes import ImpactedAnswer
from stores import MetaStore, Reader
from wal import LogReader, wall_ms


class ClaimPlace(NamedTuple):
    """An assertion, and a pair under which it may be asked for."""

    subject: str
    predicate: str
    digest: bytes


class AnswersUsed(NamedTuple):
    """Audited answers that used some assertions; is_whole: whether these are all."""

    answers: list[ImpactedAnswer]
    is_whole: bool


class AnswerIndex(Protocol):
    """Finds audited answers by what they rest on."""

    def using(self, claims: Sequence[ClaimPlace], *, count_max: int) -> AnswersUsed:
        """The answers that rest on any of these assertions, each once: pair by pair as given, oldest first."""


class Context(Struct, frozen=True):
    """The state as one listing sees it.

    now_ms: milliseconds since 1970, by the database's clock.  tokens_per_hour: of an agent without a limit of its
    own.  audit: where answers that were audited are read.  answers: where they are found by what they rest on.
    is_outdated: the state's views were made by other versions of the folds; its claims are the claims.
    failure: the code of what stopped the folds, if something did.
    """

    reader: Reader
    log: LogReader
    past: PastClock
    now_ms: int
    tokens_per_hour: int
    audit: AuditDesk
    answers: AnswerIndex
    is_outdated: bool = False
    failure: str | None = None

    @property
    def seq(self) -> int:
        """The last event that is folded; -1 if there is none."""
        return MetaStore(self.reader).cursor() - 1

    @property
    def time_ms(self) -> int:
        """The log's time at seq, in milliseconds since 1970; 0 in an empty log."""
        seq = self.seq
        return wall_ms(self.time_at(seq)) if seq >= 0 else 0

    def time_at(self, seq: int) -> int:
        """The log time of a position that has been folded."""
        return self.log.get(seq).time
