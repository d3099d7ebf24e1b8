"""What needs neither log nor state: whether the signatures of admitted events are good, and threads to find out.

A server process that keeps no log does this and sends on what is good; the
process that keeps the log does it for what is sent to itself.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from episteme.errors import EpistemeError, translate
from model import SignedEvent

_LOGGER = logging.getLogger(__name__)

Job = Callable[[], None]
VerifyAll = Callable[[Sequence[SignedEvent]], list[EpistemeError | None]]


class Submission(NamedTuple):
    """An event on its way in; body_bytes: of the request, or the line, that brought it, None if there was none."""

    signed: SignedEvent
    via: str
    body_bytes: int | None = None


class Judged(NamedTuple):
    """Submissions whose signatures are good, in their order, and in the places of the others why they are refused."""

    entries: list[Submission | EpistemeError]
    good_count: int  # signatures of events all of whose signatures verified
    bad_count: int  # signatures of the others


def judge(batch: Sequence[Submission | EpistemeError], verifies: VerifyAll | None = None) -> Judged:
    """Verify all signatures of what is not refused already.

    verifies: by whom; by this thread if nobody is named.
    """
    refusals = iter((verifies or verify_all)([one.signed for one in batch if not isinstance(one, EpistemeError)]))
    entries: list[Submission | EpistemeError] = []
    good_count = bad_count = 0
    for one in batch:
        if isinstance(one, EpistemeError):
            entries.append(one)
            continue
        refusal = next(refusals)
        if refusal is None:
            good_count += len(one.signed.signatures)
        else:
            bad_count += len(one.signed.signatures)
        entries.append(refusal or one)
    return Judged(entries, good_count, bad_count)


def verify_all(batch: Sequence[SignedEvent]) -> list[EpistemeError | None]:
    """Why each of these is refused for its signatures; None for one that is good."""
    return [verify(signed) for signed in batch]


def verify(signed: SignedEvent) -> EpistemeError | None:
    """Why an event is refused for its own signatures, those by a bundle aside; None if all of them are good."""
    try:
        signed.verify_own()
    except ValueError as error:
        return translate(error)
    return None


class Crew:
    """A few threads that do jobs in the order given.  Thread-safe.  How many jobs wait is the giver's to bound.

    Whoever has rested for the shortest time is woken first: what he needs is still in the caches.
    """

    def __init__(self, thread_count: int) -> None:
        self._jobs: deque[Job] = deque()
        self._lock = threading.Lock()  # guards the jobs, who rests, and whether it is open
        self._resting: list[threading.Lock] = []
        self._open = True
        self._threads = [
            threading.Thread(target=self._run, name=f"verify_{number}", daemon=True) for number in range(thread_count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_behind(self) -> bool:
        """Whether jobs wait for a thread."""
        return bool(self._jobs)

    def give(self, job: Job) -> bool:
        """Have a job done; what it raises is only logged.  False once the crew is closing: it will not be done."""
        with self._lock:
            if self._open:
                self._jobs.append(job)
                if self._resting:
                    self._resting.pop().release()
            return self._open

    def close(self) -> None:
        """Take no more, finish what was taken.  A second call only waits."""
        with self._lock:
            self._open = False
            while self._resting:
                self._resting.pop().release()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        rest = threading.Lock()
        rest.acquire()
        while True:
            with self._lock:
                job = self._jobs.popleft() if self._jobs else None
                if job is None:
                    if not self._open:
                        return
                    self._resting.append(rest)
            if job is None:
                rest.acquire()
                continue
            try:
                job()
            except Exception:
                _LOGGER.exception("a job of verification failed; the thread goes on")
