"""A bounded queue, and the one thread that writes what is in it to the ledger.

Owns: the ledger, from the first item or the first reader on.  Refuses: to make
anybody wait who only has something to record, and to let a failure of the ledger
reach him; what could not be written is counted and said.  Invariant: what was
put before settle() was called is readable, or counted as lost, when it returns.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from cortex import CortexError
from episteme.audit.ledger import Ledger
from episteme.audit.options import AuditOptions
from episteme.errors import CannotOpen, EpistemeError, Internal, NotReady, translate
from stores import StoreError
from wal import LogError

BATCH_COUNT_MAX: Final = 1000  # payloads of one write
_DROP_PAUSE_S: Final = 0.05  # between looks whether the fold has reached what is to leave the state
_LEDGER_ERRORS: Final = (LogError, StoreError, CortexError, OSError, TimeoutError)

_LOGGER = logging.getLogger(__name__)


class _Settling:
    """Someone who waits until all that was put before him is in the log."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.ledger: Ledger | None = None
        self.end_seq = 0
        self.error: EpistemeError | None = None


class Recorder:
    """Writes payloads behind the back of those who put them.  Thread-safe."""

    def __init__(self, options: AuditOptions, open_ledger: Callable[[], Ledger]) -> None:
        """open_ledger: called in the thread that writes, when it is needed."""
        self._options = options
        self._open_ledger = open_ledger
        self._queue: deque[bytes | _Settling] = deque()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._idle = False
        self._closing = False
        self._lock = threading.Lock()  # of the thread's start, and of what putting threads count
        self._thread: threading.Thread | None = None
        self._ledger: Ledger | None = None
        self._retry_at_s = 0.0  # by the monotonic clock
        self._told_failure = False
        self._told_dropped = False
        self._told_unmade = False
        self._drop_at_s = 0.0  # by the monotonic clock: when it is looked again what is to leave the state
        self.failure: EpistemeError | None = None
        self.written_count = 0
        self.lost_count = 0
        self.dropped_count = 0

    @property
    def waiting_count(self) -> int:
        """How many wait to be written."""
        return len(self._queue)

    @property
    def is_started(self) -> bool:
        """Whether there was ever something to do."""
        return self._thread is not None

    @property
    def ledger(self) -> Ledger | None:
        """What is open now."""
        return self._ledger

    def put(self, payload: bytes) -> bool:
        """Have a payload written soon; False if it was dropped, because too many wait."""
        if len(self._queue) >= self._options.queue_count_max or self._closing:
            self.drop()
            return False
        self._queue.append(payload)
        if self._idle:
            self._wake.set()
        elif self._thread is None:
            self._start()
        return True

    def drop(self) -> None:
        """Count an audit that is not taken."""
        with self._lock:
            self.dropped_count += 1

    def lose(self, error: Exception) -> None:
        """Count an audit that could not be made, and say why of the first."""
        with self._lock:
            self.lost_count += 1
            is_first, self._told_unmade = not self._told_unmade, True
        if is_first:
            _LOGGER.error("an audit could not be made: %s", error, exc_info=error)

    def count_elsewhere(self, dropped_count: int, lost_count: int) -> None:
        """Count audits that another process did not take, or could not make."""
        with self._lock:
            self.dropped_count += dropped_count
            self.lost_count += lost_count

    def settle(self, timeout_s: float) -> Ledger:
        """Wait until all that was put before is folded; the ledger that it is in.

        Raises: NotReady if the time runs out or the recorder closes; what the ledger has failed with, translated.
        """
        settling = _Settling()
        until_s = time.monotonic() + timeout_s
        with self._lock:
            if self._closing:
                raise NotReady("the audit is closed")
            self._queue.append(settling)
        self._start()
        self._hurry.set()
        self._wake.set()
        if not settling.done.wait(timeout_s):
            raise NotReady(f"the audits are not written after {timeout_s:g} s", retry_after_s=1)
        if settling.error is not None:
            raise settling.error
        ledger = settling.ledger
        assert ledger is not None, "settled without a ledger"
        try:
            if settling.end_seq and not ledger.state.watermark.wait(
                settling.end_seq - 1, max(0.0, until_s - time.monotonic())
            ):
                raise NotReady(f"the audits are not folded after {timeout_s:g} s", retry_after_s=1)
        except CortexError as error:
            raise translate(error) from error
        return ledger

    def close(self) -> None:
        """Write what is in the queue and close the ledger; wait for that within the bound.  Takes nothing more."""
        with self._lock:
            self._closing = True
        self._hurry.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(self._options.close_wait_s)
            if self._thread.is_alive():
                _LOGGER.error(
                    "audits are still not written after %s s: %s are lost", self._options.close_wait_s, len(self._queue)
                )

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
                self._thread.start()

    # In the thread

    def _run(self) -> None:
        try:
            while self._await_work():
                self._work()
        except BaseException:
            self._closing = True  # whatever it is: nothing is taken that would never be written
            _LOGGER.exception("the audit has ended")
            raise
        finally:
            self._let_go_waiting()
            if self._ledger is not None:
                self._close_ledger(self._ledger)

    def _await_work(self) -> bool:
        """Wait until there is something to do, and a little longer so that there is more; False at the end."""
        is_dropping = self._drop_expired()
        self._idle = True
        if not self._queue and not self._closing:
            self._wake.wait(_DROP_PAUSE_S if is_dropping else None)
        self._idle = False
        self._wake.clear()
        if not self._closing:
            self._hurry.wait(self._options.linger_ms / 1000)
            self._hurry.clear()
        return bool(self._queue) or not self._closing

    def _work(self) -> None:
        """Write what is in the queue, up to the first who waits for it or a batch's bound."""
        while self._queue:
            payloads = self._take()
            if payloads:
                self._write(payloads)
            if self._queue and isinstance(self._queue[0], _Settling):
                settling = self._queue.popleft()
                assert isinstance(settling, _Settling), settling
                self._settle(settling)
        if self.dropped_count and not self._told_dropped:
            self._told_dropped = True
            _LOGGER.warning("audits are dropped: answers come faster than they are written; status counts them")

    def _take(self) -> list[bytes]:
        payloads: list[bytes] = []
        queue = self._queue
        while queue and len(payloads) < BATCH_COUNT_MAX:
            first = queue[0]
            if isinstance(first, _Settling):
                break
            payloads.append(first)
            queue.popleft()
        return payloads

    def _write(self, payloads: list[bytes]) -> None:
        ledger = self._opened()
        if ledger is not None:
            try:
                ledger.append(payloads)
            except _LEDGER_ERRORS as error:
                self._fail(error)
                self._close_unless_resumable(ledger, error)
            else:
                self.written_count += len(payloads)
                self._check_state(ledger)
                return
        with self._lock:
            self.lost_count += len(payloads)

    def _settle(self, settling: _Settling) -> None:
        ledger = self._opened()
        try:
            if ledger is not None:
                settling.end_seq = ledger.sync()
                settling.ledger = ledger
                self._check_state(ledger)
        except _LEDGER_ERRORS as error:
            self._fail(error)
            if ledger is not None:
                self._close_unless_resumable(ledger, error)
        if settling.ledger is None:
            settling.error = self.failure or NotReady("the audit is closed")
        settling.done.set()

    def _opened(self) -> Ledger | None:
        """The ledger, opened if it is time for that; None while it cannot be."""
        if self._ledger is None and time.monotonic() >= self._retry_at_s:
            try:
                self._ledger = self._open_ledger()
            except _LEDGER_ERRORS as error:
                self._fail(error)
        ledger = self._ledger
        if ledger is not None and ledger.log.failure is not None:
            if time.monotonic() < self._retry_at_s:
                return None
            ledger.log.resume()
        return ledger

    def _check_state(self, ledger: Ledger) -> None:
        """A state that has failed is opened anew when it is time for that; the log goes on meanwhile."""
        if ledger.state.failure is None:
            self.failure = None
            self._told_failure = False
        elif not self._told_failure:
            self._fail(ledger.state.failure)
        elif time.monotonic() >= self._retry_at_s:
            self._close_ledger(ledger)

    def _fail(self, error: Exception) -> None:
        self.failure = _told(error)
        self._retry_at_s = time.monotonic() + self._options.retry_s
        if not self._told_failure:
            self._told_failure = True
            _LOGGER.error("queries are answered without an audit: %s", error, exc_info=error)

    def _drop_expired(self) -> bool:
        if self._ledger is None or time.monotonic() < self._drop_at_s:
            return False
        try:
            return self._ledger.drop_expired()
        except _LEDGER_ERRORS as error:  # what fails in earnest shows at the next write
            self._drop_at_s = time.monotonic() + self._options.retry_s
            _LOGGER.warning("audits that are no longer kept stay in the state for now: %s", error)
            return False

    def _close_unless_resumable(self, ledger: Ledger, error: Exception) -> None:
        """A log that only lacked room goes on when it is time to try again; all else is opened anew then."""
        if not (isinstance(error, LogError) and error.resumable):
            self._close_ledger(ledger)

    def _close_ledger(self, ledger: Ledger) -> None:
        self._ledger = None
        try:
            ledger.close()
        except _LEDGER_ERRORS as error:
            _LOGGER.warning("the audits did not close well: %s", error)

    def _let_go_waiting(self) -> None:
        while self._queue:
            one = self._queue.popleft()
            if isinstance(one, _Settling):
                one.error = NotReady("the audit is closed")
                one.done.set()
            else:
                self.lost_count += 1


def _told(error: Exception) -> EpistemeError:
    """What readers of audits are told of a failure: nothing of the inside."""
    told = translate(error)
    if told.code in (CannotOpen.code, Internal.code):
        return CannotOpen("the audits cannot be opened; the log of the process says why")
    return told
