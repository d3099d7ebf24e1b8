"""From submissions to tickets: verify signatures on threads, drop what is known, append, wait for the fsync.

Owns: the order between verification and the log.  Invariant: an outcome is
told only after the fsync that covers it, a duplicate's included; an event is
appended only after all its signatures verified and only if it says something
new.  Every queue has a bound, and past it a submission is refused at once.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

from episteme.api import Receipt
from episteme.errors import EpistemeError, NotReady, Overloaded, translate
from episteme.gate.known import Known, RecentEvents, cursor_of, find_known
from model import FRAME_KIND_EVENT, SignedEvent, encode_record
from model import Receipt as ReceiptFacts
from stores import Snapshot
from wal import Log, LogError, Ticket

Outcome = Receipt | EpistemeError
Deliver = Callable[[Outcome], None]


class IntakeOptions(NamedTuple):
    """Bounds of the way in."""

    threads: int = min(4, os.cpu_count() or 1)  # Ed25519 is all processor; more threads than cores do not help
    queue_count_max: int = 10_000  # signatures that wait for verification: half a second's work of one core
    chunk_count: int = 32  # signatures a thread verifies before it appends: a millisecond or two
    lag_count_max: int = 200_000  # events in the log that are not folded: bounds the window of known hashes


class Folded(Protocol):
    """What is folded of the log."""

    def snapshot(self) -> Snapshot:
        """The newest of it."""


class Intake:
    """The one way into the log.  Thread-safe."""

    def __init__(
        self,
        log: Log,
        state: Folded,
        applied: Callable[[], int],
        options: IntakeOptions = IntakeOptions(),  # noqa: B008
    ) -> None:
        """applied: the seq of the next event to fold, as the fold's watermark says it."""
        self._log = log
        self._state = state
        self._applied = applied
        self._options = options
        self._pool = ThreadPoolExecutor(options.threads, thread_name_prefix="verify")
        self._queue: deque[tuple[SignedEvent, str, Deliver]] = deque()
        self._queue_lock = threading.Lock()
        self._queued_signatures = 0
        self._workers = 0
        self._append_lock = threading.Lock()
        self._recent = RecentEvents()
        self._open = True

    @property
    def waiting(self) -> int:
        """Submissions that wait for verification."""
        return len(self._queue)

    def submit(self, signed: SignedEvent, via: str, deliver: Deliver) -> None:
        """Take one submission; deliver gets its outcome once it is durable, in another thread.

        Raises: Overloaded; NotReady.  Then deliver is not called.
        """
        self._check_open()
        with self._queue_lock:
            if self._queued_signatures >= self._options.queue_count_max:
                raise Overloaded(f"{self._queued_signatures} signatures wait for verification", retry_after_s=1)
            self._queue.append((signed, via, deliver))
            self._queued_signatures += len(signed.signatures)
            start = self._workers < self._options.threads and len(self._queue) > self._workers
            if start:
                self._workers += 1
        if start and not self._schedule_work():
            self._work()

    def ingest(self, batch: Sequence[SignedEvent], via: str) -> list[Outcome]:
        """Verify on all threads, append in the given order, wait for the fsync; one outcome each.

        Raises: Overloaded; NotReady; LogFailed; DiskFull.
        """
        self._check_open()
        size = self._options.chunk_count
        chunks = [batch[start : start + size] for start in range(0, len(batch), size)]
        try:
            verifying: list[Future[list[EpistemeError | None]]] = [self._pool.submit(_verify_all, c) for c in chunks]
        except RuntimeError as error:  # the threads are closing
            raise NotReady("the database is closing", retry_after_s=1) from error
        outcomes: list[Outcome] = []
        ticket: Ticket | None = None
        for chunk, verified in zip(chunks, verifying, strict=True):
            told, ticket = self._append(chunk, verified.result(), via)
            outcomes.extend(told)
        try:
            if ticket is not None:
                ticket.wait()
        except LogError as error:
            raise translate(error) from error
        return outcomes

    def close(self) -> None:
        """Refuse new submissions and finish those that were taken."""
        self._open = False
        self._pool.shutdown(wait=True)

    def _check_open(self) -> None:
        if not self._open:
            raise NotReady("the database is closing", retry_after_s=1)
        lag = self._log.durable_end - self._applied()
        if lag > self._options.lag_count_max:
            raise Overloaded(f"the fold is {lag} events behind the log", retry_after_s=5)

    def _work(self) -> None:
        """Take one chunk off the queue, then stand in line again: an ingest waits for the same threads."""
        while True:
            with self._queue_lock:
                # A fair part of what waits, so that all threads have work.
                count = min(self._options.chunk_count, -(-len(self._queue) // self._options.threads))
                taken = [self._queue.popleft() for _ in range(count)]
                self._queued_signatures -= sum(len(signed.signatures) for signed, _, _ in taken)
                if not taken:
                    self._workers -= 1
                    return
            self._process(taken)
            if self._schedule_work():
                return

    def _schedule_work(self) -> bool:
        """Hand the queue to a thread; False if the threads are closing, and the caller must see to it."""
        try:
            self._pool.submit(self._work)
        except RuntimeError:
            return False
        return True

    def _process(self, taken: Sequence[tuple[SignedEvent, str, Deliver]]) -> None:
        batch = [signed for signed, _, _ in taken]
        try:
            outcomes, ticket = self._append(batch, _verify_all(batch), taken[0][1])
        except Exception as error:
            refusal = translate(error)
            for _, _, deliver in taken:
                deliver(refusal)
            return

        def durable(error: LogError | None) -> None:
            failure = None if error is None else translate(error)
            for (_, _, deliver), outcome in zip(taken, outcomes, strict=True):
                deliver(failure if failure is not None and isinstance(outcome, Receipt) else outcome)

        ticket.on_done(durable)

    def _append(
        self, batch: Sequence[SignedEvent], refusals: Sequence[EpistemeError | None], via: str
    ) -> tuple[list[Outcome], Ticket]:
        """Append what verified and is new; the ticket covers every receipt among the outcomes."""
        fresh: list[tuple[SignedEvent, _Said]] = []
        said_by_digest: dict[bytes, _Said] = {}
        plan: list[EpistemeError | tuple[_Said, int | None]] = []  # an index into fresh, or None for a duplicate
        with self._append_lock, self._state.snapshot() as snapshot:
            self._recent.forget_before(cursor_of(snapshot))
            for signed, refusal in zip(batch, refusals, strict=True):
                if refusal is not None:
                    plan.append(refusal)
                    continue
                said = said_by_digest.get(signed.digest)
                if said is None:
                    said = said_by_digest[signed.digest] = _Said(find_known(snapshot, self._recent, signed))
                index = said.join(signed, len(fresh))
                plan.append((said, index))
                if index is not None:
                    fresh.append((signed, said))
            ticket = self._append_fresh([signed for signed, _ in fresh], via)
            for seq, (signed, said) in enumerate(fresh, ticket.first_seq):
                self._recent.add(seq, signed, self._recent.find(signed.digest) or said.known)
        outcomes: list[Outcome] = []
        for signed, planned in zip(batch, plan, strict=True):
            if isinstance(planned, EpistemeError):
                outcomes.append(planned)
            else:
                outcomes.append(planned[0].receipt(signed, planned[1], ticket.first_seq))
        return outcomes, ticket

    def _append_fresh(self, events: Sequence[SignedEvent], via: str) -> Ticket:
        if not events:
            return self._log.barrier()
        facts = ReceiptFacts(via=via)
        return self._log.append_many([(FRAME_KIND_EVENT, encode_record(signed, facts)) for signed in events])


class _Said:
    """What has been said of one hash: before this batch, and by the events of it so far."""

    def __init__(self, known: Known | None) -> None:
        self.known = known
        self._agents = set() if known is None else set(known.agents)
        self._first_index: int | None = None  # in the batch, if it was not known before

    def join(self, signed: SignedEvent, index: int) -> int | None:
        """Give the event its index among those to append, or None if it says nothing new."""
        agents = {signature.agent for signature in signed.signatures}
        if agents <= self._agents:
            return None
        self._agents |= agents
        if self._first_index is None:
            self._first_index = index
        return index

    def receipt(self, signed: SignedEvent, index: int | None, first_seq: int) -> Receipt:
        """The receipt, once the batch's first position is known."""
        if index is not None:
            return Receipt(signed.hash_hex, first_seq + index)
        if self.known is not None:
            return Receipt(signed.hash_hex, self.known.seq, "duplicate")
        assert self._first_index is not None, "a duplicate repeats something"
        return Receipt(signed.hash_hex, first_seq + self._first_index, "duplicate")


def _verify_all(batch: Sequence[SignedEvent]) -> list[EpistemeError | None]:
    return [_verify(signed) for signed in batch]


def _verify(signed: SignedEvent) -> EpistemeError | None:
    try:
        signed.verify()
    except ValueError as error:
        return translate(error)
    return None
