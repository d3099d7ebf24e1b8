"""How far a fold is, and who waits for it."""

import threading
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from cortex.errors import CortexError

Reached = Callable[[CortexError | None], None]


class Watermark:
    """The seq of the next event to apply.  Only grows; ends with an error when the fold does.  Thread-safe."""

    def __init__(self, seq: int) -> None:
        self._seq = seq
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, int, Reached]] = []  # a heap by seq, then by arrival
        self._arrival = count()
        self._error: CortexError | None = None

    @property
    def seq(self) -> int:
        """All events before this one are applied."""
        return self._seq

    @property
    def error(self) -> CortexError | None:
        """Why the watermark will not move any more, if it will not."""
        return self._error

    def on_applied(self, seq: int, reached: Reached) -> None:
        """Call back once event seq is applied, with None, or with the error that prevents it.

        At once if that is known already, else in the fold's thread: it must not block.
        """
        with self._lock:
            if self._seq <= seq and self._error is None:
                heappush(self._waiting, (seq, next(self._arrival), reached))
                return
            error = self._error if self._seq <= seq else None
        reached(error)

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

        self.on_applied(seq, reached)
        if not done.wait(timeout_s):
            return False
        if outcome:
            raise outcome[0]
        return True

    def advance(self, seq: int) -> None:
        """Move to seq and tell those who waited for less."""
        reached: list[Reached] = []
        with self._lock:
            assert seq >= self._seq, (seq, self._seq)
            self._seq = seq
            while self._waiting and self._waiting[0][0] < seq:
                reached.append(heappop(self._waiting)[2])
        for callback in reached:
            callback(None)

    def end(self, error: CortexError) -> None:
        """Tell everybody who waits, and everybody who will, that nothing more comes."""
        with self._lock:
            self._error = error
            reached = [callback for _, _, callback in self._waiting]
            self._waiting.clear()
        for callback in reached:
            callback(error)
