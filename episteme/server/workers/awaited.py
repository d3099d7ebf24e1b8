"""Who waits in a worker until an event is readable; the owner is asked for the first of those positions alone."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count

from cortex import CortexError, FoldClosed, FoldStopped
from episteme.server.workers.messages import Reached
from episteme.server.workers.page import Page

WhenReached = Callable[[CortexError | None], None]
Cancel = Callable[[], None]

_SLACK = 64  # cancelled entries that the heap may hold beside as many again as there are waiters


class Awaited:
    """As far as those need who wait, a cortex.Watermark.  Of one event loop."""

    def __init__(self, page: Page, ask: Callable[[int], None]) -> None:
        """ask: called with a position that told is to be called for, once it is folded."""
        self._page = page
        self._ask = ask
        self._told_seq = 0  # the owner may say so before it shows on the page
        self._asked: int | None = None
        self._arrivals = count()
        self._waiting: list[tuple[int, int]] = []  # a heap of positions and arrivals
        self._reached: dict[int, WhenReached] = {}  # by arrival; an arrival that is not here was cancelled

    @property
    def seq(self) -> int:
        """All events before this one are applied."""
        return max(self._page.applied_end, self._told_seq)

    @property
    def waiting_count(self) -> int:
        """How many wait."""
        return len(self._reached)

    def on_applied(self, seq: int, reached: WhenReached) -> Cancel:
        """As cortex.Watermark.on_applied, in the loop."""
        if self.seq > seq:
            reached(None)
            return _nothing
        arrival = next(self._arrivals)
        heappush(self._waiting, (seq, arrival))
        self._reached[arrival] = reached
        self._ask_for_first()
        return lambda: self._cancel(arrival)

    def told(self, message: Reached) -> None:
        """What the owner says of the position that it was asked for."""
        if message.seq == self._asked:
            self._asked = None
        error: CortexError | None = None
        if message.failure is None:
            self._told_seq = max(self._told_seq, message.seq + 1)
        else:
            error = FoldStopped(message.failure) if message.stopped else FoldClosed(message.failure)
        while self._waiting and (error is not None or self._waiting[0][0] < self.seq):
            seq, arrival = heappop(self._waiting)
            reached = self._reached.pop(arrival, None)
            if reached is not None:
                reached(None if seq < self.seq else error)
        self._ask_for_first()

    def _ask_for_first(self) -> None:
        while self._waiting and self._waiting[0][1] not in self._reached:
            heappop(self._waiting)
        if self._waiting and (self._asked is None or self._waiting[0][0] < self._asked):
            self._asked = self._waiting[0][0]
            self._ask(self._asked)

    def _cancel(self, arrival: int) -> None:
        self._reached.pop(arrival, None)
        if len(self._waiting) > 2 * len(self._reached) + _SLACK:
            self._waiting = [entry for entry in self._waiting if entry[1] in self._reached]
            heapify(self._waiting)


def _nothing() -> None:
    """There is nothing to take back."""
