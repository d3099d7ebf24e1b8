"""The audit of one database: what is recorded of an answer, and who may look at it.

Recording an answer makes the bytes of its audit and puts them on a queue; all else
is the recorder's.  A database that is opened costs nothing more for it: folders
are opened when the first answer is recorded, or the first audit is asked for.

Source: docs/audit.md.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from episteme.api import Answer
from episteme.audit.event import encode_answered
from episteme.audit.ledger import LOG_FOLDER, Ledger
from episteme.audit.options import AuditOptions, check_options
from episteme.audit.recorder import Recorder
from episteme.audit.summary import make_audit
from episteme.errors import translate
from episteme.status import AuditStatus
from keycodec import KeyCodecError
from stores import MemoryEngine, Reader, StoreError
from wal import Files

Asked = TypeVar("Asked")

# An id is 48 bits of milliseconds, so that ids are in order of time, then 40 of a count and 40 that are random for
# each auditor: no two are equal, whatever clocks do.
_COUNT_MASK: Final = (1 << 40) - 1
_RANDOM_BYTES: Final = 5


class Taker(Protocol):
    """Where what is recorded goes."""

    def put(self, payload: bytes) -> bool:
        """Take the payload of an audit; False if it is dropped, and counted."""

    def drop(self) -> None:
        """Count an audit that is not taken."""

    def lose(self, error: Exception) -> None:
        """Count an audit that could not be made."""


class Recording(Generic[Asked]):
    """Makes the audits of answers.  Thread-safe."""

    def __init__(
        self,
        options: AuditOptions,
        parameters_of: Callable[[Asked], Mapping[str, str]],
        taker: Taker,
        *,
        clock_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        is_full: Callable[[], bool] = lambda: False,
    ) -> None:
        """parameters_of: a question as the parameters that ask it again, by name.

        is_full: whether the disk has no room but what is kept for the database itself; nothing is recorded then.
        """
        self.options = options
        self._parameters_of = parameters_of
        self._taker = taker
        self._clock_ms = clock_ms
        self._is_full = is_full
        self._id_end = random_bytes(_RANDOM_BYTES).hex()
        self._id_count = count()

    def record(self, asked: Asked, answer: Answer, agent: bytes | None, now_ms: int) -> str | None:
        """The id of an audit that is written soon; None if answers are not audited, too many wait, or the disk is full.

        agent: who asked (32 bytes), if that is known.  now_ms: from which the ages of claims were counted.
        """
        if not self.options.enabled:
            return None
        if self._is_full():
            self._taker.drop()
            return None
        query_id = f"{self._clock_ms():012x}{next(self._id_count) & _COUNT_MASK:010x}{self._id_end}"
        try:
            parameters = self._parameters_of(asked)
            audit = make_audit(answer, parameters, agent, now_ms, contributions_max=self.options.contributions_max)
            payload = encode_answered(query_id, audit)
        except Exception as error:  # whatever it is: the answer is good, and is not to fail for its record
            self._taker.lose(error)
            return None
        return query_id if self._taker.put(payload) else None


class Auditor(Recording[Asked]):
    """Records answers, and reads back what was recorded.  Thread-safe."""

    def __init__(
        self,
        folder: Path,
        options: AuditOptions,
        parameters_of: Callable[[Asked], Mapping[str, str]],
        *,
        clock_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        files: Files | None = None,
        is_full: Callable[[], bool] = lambda: False,
    ) -> None:
        """As Recording; folder: the database's.  Nothing is opened or started yet.

        Raises: ValueError for bad options.
        """
        self._folder = folder
        open_ledger = partial(
            Ledger.open, folder, options, clock_ms=clock_ms, new_log_id=lambda: random_bytes(16), files=files
        )
        self._recorder = Recorder(check_options(options), open_ledger)
        super().__init__(
            *(options, parameters_of, self._recorder), clock_ms=clock_ms, random_bytes=random_bytes, is_full=is_full
        )
        self.collect: Callable[[], None] = _nothing  # has processes that answer for this one give what they recorded

    def take(self, payload: bytes) -> bool:
        """Record what another process has made of an answer of its own; False if it is dropped."""
        if self._is_full():
            self._recorder.drop()
            return False
        return self._recorder.put(payload)

    def count_elsewhere(self, dropped_count: int, lost_count: int) -> None:
        """Count audits that another process has dropped, or could not make."""
        self._recorder.count_elsewhere(dropped_count, lost_count)

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """The audits of all that was answered before; the state to read them from.

        Raises: NotReady if they are not written in time; what the log or the state has failed with, translated.
        """
        self.collect()
        if not self._recorder.is_started and not (self._folder / LOG_FOLDER).is_dir():
            with MemoryEngine().snapshot() as empty:
                yield empty
            return
        ledger = self._recorder.settle(self.options.read_wait_s)
        try:
            with ledger.snapshot() as snapshot:
                yield snapshot
        except (StoreError, KeyCodecError) as error:
            raise translate(error) from error

    def status(self) -> AuditStatus:
        """What was recorded since the start, and what was not."""
        recorder, ledger = self._recorder, self._recorder.ledger
        return AuditStatus(
            enabled=self.options.enabled,
            written=recorder.written_count,
            waiting=recorder.waiting_count,
            dropped=recorder.dropped_count,
            lost=recorder.lost_count,
            log_bytes=None if ledger is None else ledger.log.size_bytes,
            lag=None if ledger is None else ledger.state.lag,
            failure=None if recorder.failure is None else recorder.failure.code,
        )

    def close(self) -> None:
        """Write what is waiting and close.  A second call does nothing."""
        self._recorder.close()


def _nothing() -> None:
    """Nobody else answers."""
