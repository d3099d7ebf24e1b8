"""From submissions to tickets: verify signatures on threads, judge, append, wait for the fsync.

Owns: the order between verification and the log.  Invariant: an outcome is
told only after the fsync that covers it, a duplicate's included; an event is
appended only after all its signatures verified, only if it says something new,
if no signer's key is revoked and if each new signer can pay; who pays is known
by then, so nobody pays for what another has made up; what a full disk has
refused is forgotten before anything else is appended.  Every queue has a bound,
and past it a submission is refused at once.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Annotated, NamedTuple, Protocol

from msgspec import Meta

from episteme.errors import EpistemeError, NotReady, Overloaded, QuotaExceeded, translate
from episteme.gate.known import RecentEvents, cursor_of
from episteme.gate.meter import Charge, Meter, Standing
from episteme.gate.plan import Fresh, Outcome, Plan, Submission, give_back
from episteme.gate.revoked import RevokedKeys
from episteme.receipts import Receipt
from episteme.space import Space
from model import FRAME_KIND_EVENT, SignedEvent, encode_record
from stores import Snapshot
from wal import DiskFull, Log, LogError, Ticket

Deliver = Callable[[Outcome], None]


class IntakeOptions(NamedTuple):
    """Bounds of the way in."""

    threads: Annotated[
        int, Meta(ge=1), "verify signatures: Ed25519 is all processor, more threads than cores do not help"
    ] = min(4, os.cpu_count() or 1)
    queue_count_max: Annotated[
        int, Meta(ge=1), "signatures that wait for verification: half a second's work of one core"
    ] = 10_000
    chunk_count: Annotated[
        int, Meta(ge=1), "signatures that a thread verifies before it appends: a millisecond or two"
    ] = 32
    lag_count_max: Annotated[
        int, Meta(ge=1), "events in the log that are not folded: bounds the window of known hashes"
    ] = 200_000


class Folded(Protocol):
    """What is folded of the log."""

    def snapshot(self) -> Snapshot:
        """The newest of it."""


class _Appended(NamedTuple):
    """The ticket covers every receipt among the outcomes, and the charges are for what it covers."""

    outcomes: list[Outcome]
    ticket: Ticket
    charges: list[Charge]


class Intake:
    """The one way into the log.  Thread-safe."""

    def __init__(
        self,
        log: Log,
        state: Folded,
        applied: Callable[[], int],
        options: IntakeOptions = IntakeOptions(),  # noqa: B008
        meter: Meter | None = None,
        space: Space | None = None,
    ) -> None:
        """applied: the seq of the next event to fold, as the fold's watermark says it.

        meter: None, nobody pays.  space: on the disk; None: nobody looks.
        """
        self._log = log
        self._state = state
        self._applied = applied
        self._options = options
        self._meter = meter
        self._space = space or Space.boundless()
        self._pool = ThreadPoolExecutor(options.threads, thread_name_prefix="verify")
        self._queue: deque[tuple[Submission, Deliver]] = deque()
        self._queue_lock = threading.Lock()
        self._queued_signatures = 0
        self._workers = 0
        self._append_lock = threading.Lock()
        self._recent = RecentEvents()
        self._revoked = RevokedKeys()
        self._open = True
        self.signatures_good = 0  # of events all of whose signatures verified, since the start
        self.signatures_bad = 0  # of the others

    @property
    def waiting(self) -> int:
        """Submissions that wait for verification."""
        return len(self._queue)

    def standing(self, agents: Sequence[bytes]) -> Standing | None:
        """What the one of these agents (32 bytes each) with the fewest tokens left may spend; None: nobody pays."""
        if self._meter is None:
            return None
        with self._state.snapshot() as snapshot:
            return self._meter.standing(agents, snapshot)

    def charge_query(self, agent: bytes, lens_count: int) -> Standing | None:
        """Charge a reader who has proved who it is (32 bytes), and say what is left; None: nobody pays.

        Raises: QuotaExceeded.
        """
        if self._meter is None:
            return None
        with self._state.snapshot() as snapshot:
            charged = self._meter.charge_query(agent, lens_count, snapshot)
            if isinstance(charged, QuotaExceeded):
                raise charged
            return self._meter.standing((agent,), snapshot)

    def submit(self, signed: SignedEvent, via: str, deliver: Deliver, body_bytes: int | None = None) -> None:
        """Take one submission; deliver gets its outcome once it is durable, in another thread.

        body_bytes: of the request that brought it.
        Raises: Overloaded; NotReady.  Then deliver is not called.
        """
        self.check_room()
        with self._queue_lock:
            self._queue.append((Submission(signed, via, body_bytes), deliver))
            self._queued_signatures += len(signed.signatures)
            start = self._workers < self._options.threads and len(self._queue) > self._workers
            if start:
                self._workers += 1
        if start and not self._schedule_work():
            self._work()

    def ingest(self, batch: Sequence[SignedEvent], via: str, sizes: Sequence[int | None] = ()) -> list[Outcome]:
        """Verify on all threads, append in the given order, wait for the fsync; one outcome each.

        sizes: bytes of the line that brought each; none: there were no lines.
        Raises: Overloaded; NotReady; LogFailed; DiskFull.
        """
        self._check_open()
        size = self._options.chunk_count
        chunks = [batch[start : start + size] for start in range(0, len(batch), size)]
        try:
            verifying: list[Future[list[EpistemeError | None]]] = [self._pool.submit(_verify_all, c) for c in chunks]
        except RuntimeError as error:  # the threads are closing
            raise NotReady("the database is closing", retry_after_s=1) from error
        sized = zip(batch, sizes or [None] * len(batch), strict=True)
        taken = iter([Submission(signed, via, body_bytes) for signed, body_bytes in sized])
        done: list[_Appended] = []
        try:
            for chunk, verified in zip(chunks, verifying, strict=True):
                done.append(self._append(list(islice(taken, len(chunk))), verified.result()))
            if done:
                done[-1].ticket.wait()
        except LogError as error:
            for one in done:  # some may be durable, or become so
                one.ticket.on_done(partial(self._settle, one.charges))
            raise self._refusal(error) from error
        return [outcome for one in done for outcome in one.outcomes]

    def check_room(self) -> None:
        """Refuse what there is no room for now.  Raises: Overloaded; NotReady."""
        self._check_open()
        if self._queued_signatures >= self._options.queue_count_max:
            raise Overloaded(f"{self._queued_signatures} signatures wait for verification", retry_after_s=1)

    def close(self) -> None:
        """Refuse new submissions and finish those that were taken."""
        self._open = False
        self._pool.shutdown(wait=True)

    def _check_open(self) -> None:
        if not self._open:
            raise NotReady("the database is closing", retry_after_s=1)
        self._space.check()
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
                self._queued_signatures -= sum(len(submission.signed.signatures) for submission, _ in taken)
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

    def _process(self, taken: Sequence[tuple[Submission, Deliver]]) -> None:
        batch = [submission for submission, _ in taken]
        try:
            appended = self._append(batch, _verify_all([submission.signed for submission in batch]))
        except Exception as error:
            refusal = self._refusal(error)
            for _, deliver in taken:
                deliver(refusal)
            return

        def durable(error: LogError | None) -> None:
            failure = None if error is None else self._refusal(error)
            self._settle(appended.charges, error)
            for (_, deliver), outcome in zip(taken, appended.outcomes, strict=True):
                deliver(failure if failure is not None and isinstance(outcome, Receipt) else outcome)

        appended.ticket.on_done(durable)

    def _append(self, batch: Sequence[Submission], refusals: Sequence[EpistemeError | None]) -> _Appended:
        """Append what verified, is new and may be."""
        with self._append_lock, self._state.snapshot() as snapshot:
            self._go_on()
            self._count(batch, refusals)
            cursor = cursor_of(snapshot)
            self._recent.forget_before(cursor)
            self._revoked.forget_before(cursor)
            plan = Plan(snapshot, self._recent, self._revoked, self._meter)
            try:
                for submission, refusal in zip(batch, refusals, strict=True):
                    plan.add(submission, refusal)
                ticket = self._append_fresh(plan.fresh)
            except BaseException:
                plan.give_back()
                raise
            return _Appended(plan.appended(ticket.first_seq), ticket, plan.charges)

    def _count(self, batch: Sequence[Submission], refusals: Sequence[EpistemeError | None]) -> None:
        for submission, refusal in zip(batch, refusals, strict=True):
            if refusal is None:
                self.signatures_good += len(submission.signed.signatures)
            else:
                self.signatures_bad += len(submission.signed.signatures)

    def _go_on(self) -> None:
        """Forget what a disk without room has refused, and only then have the log take more.

        Until it is resumed the log refuses barriers too: nobody is told of a duplicate of what is not there.
        """
        failure = self._log.failure
        if failure is not None and failure.resumable:
            self._recent.forget_from(self._log.next_seq)
            self._revoked.forget_from(self._log.next_seq)
            self._log.resume()

    def _refusal(self, error: Exception) -> EpistemeError:
        if isinstance(error, DiskFull):
            self._space.met_full()
        return translate(error)

    def _settle(self, charges: Sequence[Charge], error: LogError | None) -> None:
        if error is not None:
            give_back(self._meter, charges)

    def _append_fresh(self, fresh: Sequence[Fresh]) -> Ticket:
        if not fresh:
            return self._log.barrier()
        return self._log.append_many([(FRAME_KIND_EVENT, encode_record(one.signed, one.facts)) for one in fresh])


def _verify_all(batch: Sequence[SignedEvent]) -> list[EpistemeError | None]:
    return [_verify(signed) for signed in batch]


def _verify(signed: SignedEvent) -> EpistemeError | None:
    try:
        signed.verify()
    except ValueError as error:
        return translate(error)
    return None
