"""Many events at once in a worker: admitted and verified on threads, sent on in parts, in their order.

Bounded: of each ingest so many chunks are verified ahead, and so many parts are
on their way; how many ingests there are is Writes' to bound.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final

from episteme.errors import EpistemeError, QuotaExceeded, Refused
from episteme.gate import Chunk, Judged, Outcome, Submission, judge
from episteme.server.workers.messages import Outcomes, Refusal
from episteme.server.workers.parts import PART_BYTES, PART_COUNT, outcome_of, stops
from model import SignedEvent

_CHUNKS_AHEAD: Final = 8  # for each thread
_PARTS_AHEAD: Final = 4  # one is verified while others are written

Settle = Callable[[Outcomes | None], None]  # None: the owner has ended
Send = Callable[[list[SignedEvent], str, list[int | None], Settle], None]


class Ingests:
    """The threads that verify for all ingests of a worker.  Thread-safe."""

    def __init__(self, thread_count: int, send: Send) -> None:
        """send: events, how they came, their sizes, and what is to be told of them."""
        self._send = send
        self._threads = ThreadPoolExecutor(thread_count, thread_name_prefix="verify")
        self._ahead = _CHUNKS_AHEAD * thread_count
        self.signatures_bad = 0

    def ingest(self, chunks: Sequence[Chunk]) -> list[Outcome]:
        """As Intake.ingest_chunks.  Raises: what befell all of them, and none for what it says."""
        outcomes: list[Outcome] = []
        sent: deque[_Part] = deque()
        for entries in _gathered(self._judged(chunks)):
            if len(sent) == _PARTS_AHEAD:
                outcomes += sent.popleft().outcomes()
            sent.append(_Part(entries))
            sent[-1].send(self._send)
        for part in sent:
            outcomes += part.outcomes()
        for outcome in outcomes:
            if isinstance(outcome, EpistemeError) and not isinstance(outcome, Refused | QuotaExceeded):
                raise outcome
        return outcomes

    def close(self) -> None:
        """Wait for what is verified still."""
        self._threads.shutdown(wait=True)

    def _judged(self, chunks: Iterable[Chunk]) -> Iterator[Judged]:
        """In their order, and not many more than the threads have in hand."""
        waiting: Iterator[Future[Judged]] = (self._threads.submit(_judge, chunk) for chunk in chunks)
        ahead = deque(islice(waiting, self._ahead))
        while ahead:
            judged = ahead.popleft().result()
            self.signatures_bad += judged.bad_count
            yield judged
            ahead.extend(islice(waiting, 1))


class _Part:
    """Some lines of an ingest: what verified is on its way to the owner."""

    def __init__(self, entries: Sequence[Submission | EpistemeError]) -> None:
        self._entries = entries
        self._told: Future[list[int | Refusal]] = Future()

    def send(self, send: Send) -> None:
        """Nothing, if nothing is good."""
        good = [one for one in self._entries if isinstance(one, Submission)]
        if good:
            send([one.signed for one in good], good[0].via, [one.body_bytes for one in good], self._settle)
        else:
            self._told.set_result([])

    def outcomes(self) -> list[Outcome]:
        """One for each entry, once the owner has told.  Raises: NotReady."""
        told = iter(self._told.result())
        return [outcome_of(one.signed, next(told)) if isinstance(one, Submission) else one for one in self._entries]

    def _settle(self, found: Outcomes | None) -> None:
        if found is None:
            self._told.set_exception(stops())
        else:
            self._told.set_result(found.told)


def _judge(chunk: Chunk) -> Judged:
    return judge(chunk())


def _gathered(judged: Iterable[Judged]) -> Iterator[list[Submission | EpistemeError]]:
    """Entries, as many together as make a part."""
    held: list[Submission | EpistemeError] = []
    held_bytes = 0
    for chunk in judged:
        for one in chunk.entries:
            size = one.body_bytes or 0 if isinstance(one, Submission) else 0
            if held and (len(held) == PART_COUNT or held_bytes + size > PART_BYTES):
                yield held
                held, held_bytes = [], 0
            held.append(one)
            held_bytes += size
    if held:
        yield held
