"""How far a fold is, and who waits for it."""

import logging
import threading
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count

from cortex.errors import CortexError

_LOGGER = logging.getLogger(__name__)

Reached = Callable[[CortexError | None], None]
Cancel = Callable[[], None]

_SLACK = 64  # cancelled entries that the heap may hold beside as many again as there are waiters


class Watermark:
    """The seq of the next event to apply.  Only grows; ends with an error when the fold does.  Thread-safe."""

    def __init__(self, seq: int) -> None:
        self._seq = seq
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, int]] = []  # a heap of seqs and arrivals
        self._reached: dict[int, Reached] = {}  # by arrival; an arrival that is not here was cancelled
        self._arrivals = count()
        self._error: CortexError | None = None
        self._on_end: list[Reached] = []
        self._awaited: Callable[[], None] = _nothing

    @property
    def seq(self) -> int:
        """All events before this one are applied."""
        return self._seq

    @property
    def error(self) -> CortexError | None:
        """Why the watermark will not move any more, if it will not."""
        return self._error

    @property
    def waiting_count(self) -> int:
        """How many wait."""
        return len(self._reached)

    def is_awaited(self, end: int) -> bool:
        """Whether somebody waits for an event before end."""
        if not self._reached:
            return False
        with self._lock:
            while self._waiting and self._waiting[0][1] not in self._reached:
                heappop(self._waiting)
            return bool(self._waiting) and self._waiting[0][0] < end

    def when_awaited(self, awaited: Callable[[], None]) -> None:
        """Call back, in the thread that waits, whenever one more waits; instead of who was called before."""
        self._awaited = awaited

    def on_end(self, ended: Reached) -> None:
        """Call back with the error when the watermark ends, at once if it has.  Must not block."""
        with self._lock:
            if self._error is None:
                self._on_end.append(ended)
                return
        ended(self._error)

    def on_applied(self, seq: int, reached: Reached) -> Cancel:
        """Call back once event seq is applied, with None, or with the error that prevents it.

        At once if that is known already, else in the fold's thread: it must not block.  What is
        returned takes the wish back; after that the callback may still run if it was on its way.
        """
        with self._lock:
            waits = self._seq <= seq and self._error is None
            error = self._error if self._seq <= seq else None
            if waits:
                arrival = next(self._arrivals)
                heappush(self._waiting, (seq, arrival))
                self._reached[arrival] = reached
        if not waits:
            reached(error)
            return _nothing
        self._awaited()
        return lambda: self._cancel(arrival)

    def wait(self, seq: int, timeout_s: float) -> bool:
        """Wait until event seq is applied; False if the time ran out.

        Raises: FoldStopped; FoldClosed.
        """
        done = threading.Event()
        outcome: list[CortexError] = []

        def reached(error: CortexError | None) -> None:
            if error is not None:
                outcome.append(error)
            done.set()

        cancel = self.on_applied(seq, reached)
        try:
            if not done.wait(timeout_s):
                return False
        finally:  # Ctrl-C too leaves nothing behind
            cancel()
        if outcome:
            raise outcome[0].again()
        return True

    def advance(self, seq: int) -> None:
        """Move to seq and tell those who waited for less."""
        told: list[Reached] = []
        with self._lock:
            assert seq >= self._seq, (seq, self._seq)
            self._seq = seq
            while self._waiting and self._waiting[0][0] < seq:
                reached = self._reached.pop(heappop(self._waiting)[1], None)
                if reached is not None:
                    told.append(reached)
        _tell(told, None)

    def end(self, error: CortexError) -> None:
        """Tell everybody who waits, and everybody who will, that nothing more comes."""
        with self._lock:
            self._error = error
            told = [self._reached[arrival] for _, arrival in sorted(self._waiting) if arrival in self._reached]
            self._waiting.clear()
            self._reached.clear()
            ended, self._on_end = self._on_end, []
        _tell([*told, *ended], error)

    def _cancel(self, arrival: int) -> None:
        if arrival not in self._reached:
            return
        with self._lock:
            self._reached.pop(arrival, None)
            if len(self._waiting) > 2 * len(self._reached) + _SLACK:
                self._waiting = [entry for entry in self._waiting if entry[1] in self._reached]
                heapify(self._waiting)


def _tell(told: list[Reached], error: CortexError | None) -> None:
    for reached in told:
        try:
            reached(error)
        except Exception:
            _LOGGER.exception("a watermark callback failed; the others and the fold go on")


def _nothing() -> None:
    """There is nothing to take back."""
