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
from typing import NamedTuple

from episteme.api import Receipt
from episteme.errors import EpistemeError, NotReady, Overloaded, translate
from episteme.gate.known import Known, RecentEvents, cursor_of, find_known, joined
from model import FRAME_KIND_EVENT, SignedEvent, encode_record
from model import Receipt as ReceiptFacts
from stores import HybridStore
from wal import FileLog, LogError, Ticket

Outcome = Receipt | EpistemeError
Deliver = Callable[[Outcome], None]


class IntakeOptions(NamedTuple):
    """Bounds of the way in."""

    threads: int = min(4, os.cpu_count() or 1)  # Ed25519 is all processor; more threads than cores do not help
    queue_count_max: int = 10_000  # submissions that wait for verification: half a second's work of one core
    chunk_count: int = 32  # signatures a thread verifies before it appends: a millisecond or two
    lag_count_max: int = 200_000  # events in the log that are not folded: bounds the window of known hashes


class Intake:
    """The one way into the log.  Thread-safe."""

    def __init__(
        self,
        log: FileLog,
        store: HybridStore,
        applied: Callable[[], int],
        options: IntakeOptions = IntakeOptions(),  # noqa: B008
    ) -> None:
        """applied: the seq of the next event to fold, as the fold's watermark says it."""
        self._log = log
        self._store = store
        self._applied = applied
        self._options = options
        self._pool = ThreadPoolExecutor(options.threads, thread_name_prefix="verify")
        self._queue: deque[tuple[SignedEvent, str, Deliver]] = deque()
        self._queue_lock = threading.Lock()
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
            if len(self._queue) >= self._options.queue_count_max:
                raise Overloaded(f"{len(self._queue)} events wait for verification", retry_after_s=1)
            self._queue.append((signed, via, deliver))
            start = self._workers < self._options.threads and len(self._queue) > self._workers
            if start:
                self._workers += 1
        if start:
            self._pool.submit(self._work)

    def ingest(self, batch: Sequence[SignedEvent], via: str) -> list[Outcome]:
        """Verify on all threads, append in the given order, wait for the fsync; one outcome each.

        Raises: Overloaded; NotReady; LogFailed; DiskFull.
        """
        self._check_open()
        size = self._options.chunk_count
        chunks = [batch[start : start + size] for start in range(0, len(batch), size)]
        verifying: list[Future[list[EpistemeError | None]]] = [self._pool.submit(_verify_all, c) for c in chunks]
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
        """Take chunks off the queue until it is empty."""
        while True:
            with self._queue_lock:
                # A fair part of what waits, so that all threads have work.
                count = min(self._options.chunk_count, -(-len(self._queue) // self._options.threads))
                if count == 0:
                    self._workers -= 1
                    return
                taken = [self._queue.popleft() for _ in range(count)]
            self._process(taken)

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
        outcomes: list[Outcome] = []
        fresh: list[tuple[SignedEvent, Known | None]] = []
        fresh_known: dict[bytes, Known] = {}
        with self._append_lock, self._store.snapshot() as snapshot:
            self._recent.forget_before(cursor_of(snapshot))
            next_seq = self._log.next_seq
            for signed, refusal in zip(batch, refusals, strict=True):
                if refusal is not None:
                    outcomes.append(refusal)
                    continue
                known = fresh_known.get(signed.digest) or find_known(snapshot, self._recent, signed)
                if known is not None and known.agents.issuperset(s.agent for s in signed.signatures):
                    outcomes.append(Receipt(signed.hash_hex, known.seq, "duplicate"))
                    continue
                seq = next_seq + len(fresh)
                fresh.append((signed, known))
                fresh_known[signed.digest] = joined(known, seq, signed)
                outcomes.append(Receipt(signed.hash_hex, seq))
            ticket = self._append_fresh([signed for signed, _ in fresh], via)
            assert not fresh or ticket.first_seq == next_seq, "the intake is the log's only writer"
            for seq, (signed, known) in enumerate(fresh, next_seq):
                self._recent.add(seq, signed, known)
        return outcomes, ticket

    def _append_fresh(self, events: Sequence[SignedEvent], via: str) -> Ticket:
        if not events:
            return self._log.barrier()
        facts = ReceiptFacts(via=via)
        return self._log.append_many([(FRAME_KIND_EVENT, encode_record(signed, facts)) for signed in events])


def _verify_all(batch: Sequence[SignedEvent]) -> list[EpistemeError | None]:
    return [_verify(signed) for signed in batch]


def _verify(signed: SignedEvent) -> EpistemeError | None:
    try:
        signed.verify()
    except ValueError as error:
        return translate(error)
    return None
