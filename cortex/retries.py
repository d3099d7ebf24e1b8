"""Dead letters that somebody wants tried again: asked for in any thread, done by the one that commits."""

import threading
from collections import deque
from collections.abc import Collection
from typing import Final, NamedTuple

from cortex.errors import CortexError
from stores import SCAN_COUNT_MAX, DeadLetter, DeadLetterStore, Reader

RETRY_COUNT_MAX = 256  # letters that are tried in one commit: new events need not wait for more

_SEQ_END: Final = 2**64


class Retried(NamedTuple):
    """What became of dead letters that were tried again."""

    retried_count: int
    applied: tuple[int, ...]  # seqs whose letters are gone
    failing: tuple[DeadLetter, ...]  # as they are now, with the newest reason


class Retry:
    """One request.  The committing thread alone works on it."""

    def __init__(self, seqs: Collection[int] | None) -> None:
        """seqs: whose letters; None for all there are.  Raises: ValueError for what is no seq."""
        if seqs is not None and not all(0 <= seq < _SEQ_END for seq in seqs):
            raise ValueError("a seq is a whole number of 64 bits, 0 or more")
        self.error: BaseException | None = None
        self.applied: list[int] = []
        self.failing: list[DeadLetter] = []
        self.given_up = False  # nobody waits for it any more
        self._left = None if seqs is None else deque(sorted(set(seqs)))
        self._done = threading.Event()

    def take(self, reader: Reader) -> list[DeadLetter]:
        """The next letters to try, in log order; none when all were tried."""
        if self._left is None:
            self._left = deque(_all_seqs(reader))
        store, taken = DeadLetterStore(reader), list[DeadLetter]()
        while self._left and len(taken) < RETRY_COUNT_MAX:
            letter = store.get(self._left.popleft())
            if letter is not None:
                taken.append(letter)
        return taken

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do for it."""
        return self._done.is_set()

    def finish(self, error: BaseException | None = None) -> None:
        """All were tried, or the error ended it."""
        self.error = error
        self._done.set()

    def wait(self, timeout_s: float) -> None:
        """Wait for the end.  Raises: TimeoutError; what is begun is then still committed, and no more."""
        try:
            if not self._done.wait(timeout_s):
                raise TimeoutError(f"{len(self.applied)} letters were applied in {timeout_s} s; ask again for the rest")
        finally:
            self.given_up = not self.is_done

    def report(self) -> Retried:
        """What became of them.  Raises: what ended it."""
        if self.error is not None:
            raise self.error.again() if isinstance(self.error, CortexError) else self.error
        return Retried(len(self.applied) + len(self.failing), tuple(self.applied), tuple(self.failing))


class RetryQueue:
    """Requests for a thread that serves them while it runs.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: deque[Retry] = deque()
        self._is_served = False

    def open(self) -> None:
        """From now on somebody serves it."""
        self._is_served = True

    def put(self, request: Retry) -> bool:
        """Leave a request; False if nobody would serve it."""
        with self._lock:
            if self._is_served:
                self._requests.append(request)
            return self._is_served

    def first(self) -> Retry | None:
        """The oldest request that somebody still waits for."""
        with self._lock:
            while self._requests and (self._requests[0].is_done or self._requests[0].given_up):
                self._requests.popleft()
            return self._requests[0] if self._requests else None

    def close(self, error: BaseException) -> None:
        """Nobody serves it any more: whoever waits is told."""
        with self._lock:
            self._is_served = False
            requests, self._requests = self._requests, deque()
        for request in requests:
            if not request.is_done:
                request.finish(error)


def _all_seqs(reader: Reader) -> list[int]:
    seqs: list[int] = []
    while page := [
        letter.seq
        for letter in DeadLetterStore(reader).letters(after=seqs[-1] if seqs else None, count_max=SCAN_COUNT_MAX)
    ]:
        seqs += page
    return seqs
