"""How far a fold is, and how fast it was of late."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from stores import StoreFull

RATE_WINDOW_S: Final = 10.0  # "of late": long enough to be steady, short enough to show a stall
_SAMPLE_COUNT: Final = 50  # within the window


class Progress(NamedTuple):
    """Where a runner stands."""

    applied: int  # the seq of the next event to apply
    end: int  # the seq after the last durable event
    lag: int  # durable events that are not applied yet
    batches: int  # commits of events since the runner was made
    events_per_s: float  # over the last RATE_WINDOW_S, or since the runner was made
    pause: StoreFull | None = None  # why it stands still until there is room on the disk, if it does


class Meter:
    """Counts events and batches as they are committed.  Thread-safe."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        """clock_s: seconds of a clock that never goes back."""
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._samples = deque([(clock_s(), 0)], maxlen=2 * _SAMPLE_COUNT)  # times, and events until then
        self._events = 0
        self._last_s = clock_s()  # when the last batch came
        self.batches = 0

    def add(self, events: int) -> None:
        """One more batch."""
        now_s = self._clock_s()
        with self._lock:
            self._events += events
            self._last_s = now_s
            self.batches += 1
            if now_s - self._samples[-1][0] >= RATE_WINDOW_S / _SAMPLE_COUNT:
                self._samples.append((now_s, self._events))  # beyond maxlen the oldest goes

    def events_per_s(self) -> float:
        """Events in a second, on the average of the window."""
        now_s = self._clock_s()
        with self._lock:
            self._forget(now_s)
            since_s, events_before = self._samples[0]
            if now_s <= since_s or self._last_s <= now_s - RATE_WINDOW_S:
                return 0.0
            return (self._events - events_before) / (now_s - since_s)

    def _forget(self, now_s: float) -> None:
        """Keep one sample from before the window, to count from."""
        while len(self._samples) > 1 and self._samples[1][0] <= now_s - RATE_WINDOW_S:
            self._samples.popleft()
