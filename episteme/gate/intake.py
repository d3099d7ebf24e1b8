"""From submissions to tickets: verify signatures on threads, judge, append, wait for the fsync.

Owns: the order between verification and the log.  Invariant: an outcome is
told only after the fsync that covers it, a duplicate's included; who pays is
known only once all signatures verified, so nobody pays for what another has
made up.  Every queue has a bound, and past it a submission is refused at once.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import islice
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from episteme.errors import EpistemeError, NotReady, Overloaded, QuotaExceeded
from episteme.gate.appending import Appended, Appender, Folded
from episteme.gate.helpers import Helpers
from episteme.gate.meter import Meter, Standing
from episteme.gate.plan import Outcome
from episteme.gate.verification import Crew, Judged, Submission, judge
from episteme.space import Space
from model import SignedEvent
from wal import Log, LogError

Deliver = Callable[[Outcome], None]
DeliverAll = Callable[[list[Outcome]], None]

# Admits what it is to admit when it is called, in one of the threads: submissions, and refusals in their places.
Chunk = Callable[[], Sequence[Submission | EpistemeError]]

# Of one ingest, for each thread: one that is verified and one that waits, so that nobody else waits for many.
_CHUNKS_AHEAD: Final = 2


# Events of one ingest that go into one commit, if nobody else commits: few fsyncs, and the fold can begin early.
_COMMIT_COUNT: Final = 256
_COMMIT_BYTES: Final = 1024 * 1024  # far below what may wait for the disk


class IntakeOptions(NamedTuple):
    """Bounds of the way in."""

    threads: Annotated[
        int, Meta(ge=1), "verify signatures: Ed25519 is all processor, more threads than cores do not help"
    ] = min(4, os.cpu_count() or 1)
    helpers: Annotated[
        int | None,
        Meta(ge=0),
        "processes that verify for those threads, which then wait once for a chunk; none: a server without workers "
        "starts one for each core but one, 1 to 4",
    ] = None
    queue_count_max: Annotated[
        int, Meta(ge=1), "signatures that wait for verification: half a second's work of one core"
    ] = 10_000
    chunk_count: Annotated[
        int, Meta(ge=1), "events that a thread sees verified before it appends: three milliseconds of one core"
    ] = 64
    lag_count_max: Annotated[
        int, Meta(ge=1), "events in the log that are not folded: bounds the window of known hashes"
    ] = 200_000


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
        self._appender = Appender(log, state, meter, self._space)
        self._crew = Crew(options.threads)
        self._helpers = Helpers(options.helpers or 0)
        self._queue: deque[tuple[Submission, Deliver]] = deque()
        self._queue_lock = threading.Lock()
        self._queued_signatures = 0
        self._workers = 0
        # One thread that asks helpers is quicker than two: they would take the interpreter lock from each other.
        self._workers_max = 1 if options.helpers else options.threads
        self._open = True

    @property
    def signatures_good(self) -> int:
        """Of events all of whose signatures verified, since the start."""
        return self._appender.signatures_good

    @property
    def signatures_bad(self) -> int:
        """Of the others."""
        return self._appender.signatures_bad

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
        """Take one submission; deliver gets its outcome once it is durable, in another thread, and must not block.

        body_bytes: of the request that brought it.
        Raises: Overloaded; NotReady.  Then deliver is not called.
        """
        self.check_room()
        with self._queue_lock:
            self._queue.append((Submission(signed, via, body_bytes), deliver))
            self._queued_signatures += len(signed.signatures)
            start = self._workers < self._workers_max and len(self._queue) > self._workers
            if start:
                self._workers += 1
        if start and not self._crew.give(self._work):
            self._work()

    def submit_verified(
        self, batch: Sequence[SignedEvent], via: str, deliver: DeliverAll, sizes: Sequence[int | None] = ()
    ) -> None:
        """Take admitted events whose own signatures a process of this database has verified, in the given order.

        deliver gets one outcome for each, in order, once all are durable, in this thread or another; it must not
        block.  This thread may do the commit, its own and that of others.
        sizes: bytes of the request, or the line, that brought each; none: there were none.
        Raises: Overloaded; NotReady.  Then deliver is not called.
        """
        self._check_open()
        entries: list[Submission | EpistemeError] = [*_submissions(batch, via, sizes)]
        self._append(Judged(entries, sum(len(signed.signatures) for signed in batch), 0), deliver)

    def ingest(self, batch: Sequence[SignedEvent], via: str, sizes: Sequence[int | None] = ()) -> list[Outcome]:
        """Verify on all threads, append in the given order, wait for the fsync; one outcome each.

        sizes: bytes of the line that brought each; none: there were no lines.
        Raises: Overloaded; NotReady; LogFailed; DiskFull.
        """
        taken, size = _submissions(batch, via, sizes), self._options.chunk_count
        parts = [taken[start : start + size] for start in range(0, len(taken), size)]
        return self.ingest_chunks([partial(_given, part) for part in parts])

    def ingest_chunks(self, chunks: Sequence[Chunk]) -> list[Outcome]:
        """As ingest, of what each chunk gives; the chunks are called in several threads, and ended in their order."""
        self._check_open()
        done: list[Appended] = []
        waiting_count = waiting_bytes = 0  # for a commit
        try:
            for judged in self._judged(chunks):
                done.append(self._appender.append(judged.result()))
                waiting_count += len(done[-1].outcomes)
                waiting_bytes += done[-1].size_bytes
                if waiting_count >= _COMMIT_COUNT or waiting_bytes >= _COMMIT_BYTES:
                    done[-1].ticket.commit()
                    waiting_count = waiting_bytes = 0
            if done:
                done[-1].ticket.wait()
        except LogError as error:
            for one in done:  # some may be durable, or become so
                one.ticket.on_done(partial(self._settle, one))
            raise self._appender.refusal(error) from error
        finally:
            if done:
                done[-1].ticket.commit()
        return [outcome for one in done for outcome in one.outcomes]

    def check_room(self) -> None:
        """Refuse what there is no room for now.  Raises: Overloaded; NotReady."""
        self._check_open()
        if self._queued_signatures >= self._options.queue_count_max:
            raise Overloaded(f"{self._queued_signatures} signatures wait for verification", retry_after_s=1)

    def close(self) -> None:
        """Refuse new submissions and finish those that were taken."""
        self._open = False
        self._crew.close()
        self._helpers.close()

    def _check_open(self) -> None:
        if not self._open:
            raise NotReady("the database is closing", retry_after_s=1)
        self._space.check()
        lag = self._log.durable_end - self._applied()
        if lag > self._options.lag_count_max:
            raise Overloaded(f"the fold is {lag} events behind the log", retry_after_s=5)

    def _work(self) -> None:
        """Take chunks off the queue; after each let others have the thread who wait for it, as an ingest does."""
        while taken := self._take():
            self._process(taken)
            if self._crew.is_behind and self._crew.give(self._work):
                return

    def _take(self) -> list[tuple[Submission, Deliver]]:
        """A fair part of what waits, so that all threads have work; none, and then the caller is to end."""
        with self._queue_lock:
            count = min(self._options.chunk_count, -(-len(self._queue) // self._workers_max))
            taken = [self._queue.popleft() for _ in range(count)]
            self._queued_signatures -= sum([len(submission.signed.signatures) for submission, _ in taken])
            if not taken:
                self._workers -= 1
            return taken

    def _process(self, taken: Sequence[tuple[Submission, Deliver]]) -> None:
        def deliver_all(outcomes: list[Outcome]) -> None:
            for (_, deliver), outcome in zip(taken, outcomes, strict=True):
                deliver(outcome)

        self._append(judge([submission for submission, _ in taken], self._helpers.verify_all), deliver_all)

    def _append(self, judged: Judged, deliver: DeliverAll) -> None:
        """Append, see to the commit, and have the outcomes delivered whatever comes."""
        appender = self._appender
        try:
            appended = appender.append(judged)
        except Exception as error:
            deliver([appender.refusal(error)] * len(judged.entries))
            return
        appended.ticket.on_done(lambda error: deliver(appender.settled(appended, error)))
        appended.ticket.commit()

    def _settle(self, appended: Appended, error: LogError | None) -> None:
        self._appender.settled(appended, error)

    def _judged(self, chunks: Sequence[Chunk]) -> "Iterator[Future[Judged]]":
        """Chunks that are verified, or will be, in their order: not many more than the threads have in hand."""
        if len(chunks) == 1:
            yield self._start(chunks[0], here=True)
            return
        waiting = (self._start(chunk) for chunk in chunks)
        ahead = deque(islice(waiting, _CHUNKS_AHEAD * self._options.threads))
        while ahead:
            yield ahead.popleft()
            ahead.extend(islice(waiting, 1))

    def _start(self, chunk: Chunk, *, here: bool = False) -> "Future[Judged]":
        """Have a chunk admitted and verified by a thread of the crew; here: by this one, before it returns."""
        judged: Future[Judged] = Future()

        def run() -> None:
            try:
                judged.set_result(judge(chunk(), self._helpers.verify_all))
            except BaseException as error:
                judged.set_exception(error)

        if here:
            run()
        elif not self._crew.give(run):
            raise NotReady("the database is closing", retry_after_s=1)
        return judged


def _submissions(batch: Sequence[SignedEvent], via: str, sizes: Sequence[int | None]) -> list[Submission]:
    sized = zip(batch, sizes or [None] * len(batch), strict=True)
    return [Submission(signed, via, body_bytes) for signed, body_bytes in sized]


def _given(part: Sequence[Submission]) -> Sequence[Submission]:
    """A chunk that was admitted before."""
    return part
