"""The database in process: opens and wires log, store, folds and gate; closes them in order.

Only wires: nothing here decides what a claim means.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Self

from cortex import CortexError, FoldStopped, State
from episteme.audit.auditor import Auditor
from episteme.bundling import Bundling
from episteme.config import NodeConfig
from episteme.errors import CannotOpen, DiskFull, EpistemeError, NotReady, public_detail, translate
from episteme.folds import FOLDS, LoggedEvent
from episteme.gate import Chunk, Deliver, DeliverAll, Intake, Meter, Outcome, Standing, admit, readmit
from episteme.govern import Governing
from episteme.health import behind, fold_lag_s
from episteme.ingest import write_chunked
from episteme.looking import Looking
from episteme.opening import cannot_open, check_folder, in_use
from episteme.parameters import check_wait
from episteme.reading import Question, as_parameters
from episteme.receipts import IngestResult, Receipt
from episteme.rules import declare_rules
from episteme.space import Space, room_of
from episteme.state import STATE_FOLDER, open_state
from episteme.status import FoldStatus, LogStatus, StatusReport
from episteme.tailing import Tailing
from model import BUNDLE_EVENTS, Event, SignedEvent, SigningKey
from stores import StoreError
from wal import FileLog, LogLocked

LOG_FOLDER = "log"
_INGEST_BATCH = 1000  # events that an iterable is read ahead


def system_clock_ms() -> int:
    """Milliseconds since 1970, by this machine's clock."""
    return time.time_ns() // 1_000_000


class Node(Looking, Governing, Tailing):
    """A data folder, opened by this process alone.  Thread-safe.  Offers the Database API."""

    def __init__(
        self,
        log: FileLog,
        state: State[LoggedEvent],
        config: NodeConfig,
        key: SigningKey | None,
        clock_ms: Callable[[], int],
        auditor: Auditor[Question],
        space: Space | None = None,
    ) -> None:
        """Use Node.open."""
        self.space = space or Space.boundless()
        self.space.is_short = lambda: (progress := state.progress) is not None and progress.pause is not None
        self.auditor = auditor
        self.key = key
        self.clock_ms = clock_ms
        self.config = config
        self.log = log
        self.state = state
        meter = Meter(config.quota, clock_ms) if config.quota.enabled else None
        self.intake = Intake(log, state, lambda: state.watermark.seq, config.intake, meter, self.space)
        self._started_s = time.monotonic()
        self._catch_up_seq = log.durable_end
        self._closed = False
        self._rules_lock = threading.Lock()
        self._rules_declared = False
        state.start()
        if self._catch_up_seq > 0 and not state.outdated and state.failure is None:
            with suppress(CortexError):  # a fold that fails now shows in every answer
                state.watermark.wait(self._catch_up_seq - 1, config.catch_up_wait_s)
        if self.caught_up:
            with suppress(DiskFull):  # before the first write it is tried again; reads need no rules of this opening
                self._declare_rules()

    @classmethod
    def open(
        cls,
        folder: Path | str,
        *,
        key: SigningKey | None = None,
        config: NodeConfig = NodeConfig(),  # noqa: B008  (immutable)
        clock_ms: Callable[[], int] = system_clock_ms,
    ) -> Self:
        """Open or create a data folder.

        Waits up to catch_up_wait_s for the fold to catch up with the log; if that does not suffice,
        reads are as of what is folded and writes raise NotReady until it has.

        Raises: CannotOpen if another process has it, it is of another format, or may not be written; DiskFull; Damaged.
        """
        folder = Path(folder)
        check_folder(folder)
        space = Space(partial(room_of, folder), config.disk_reserve_bytes)
        if (folder / STATE_FOLDER).is_dir() and not (folder / LOG_FOLDER).is_dir():
            raise CannotOpen(
                f"{folder / LOG_FOLDER}: the log is missing, and there is a state; put the log back, or move "
                f"{folder / STATE_FOLDER} away to begin anew"
            )
        try:
            log = FileLog.open(
                folder / LOG_FOLDER, clock_ms=clock_ms, new_log_id=lambda: os.urandom(16), options=config.log
            )
            try:
                state = open_state(folder, log, config)
                try:
                    auditor = Auditor[Question](
                        *(folder, config.audit, as_parameters),
                        clock_ms=clock_ms,
                        random_bytes=os.urandom,
                        is_full=lambda: space.full,
                    )
                    return cls(log, state, config, key, clock_ms, auditor, space)
                except BaseException:
                    state.close()
                    raise
            except BaseException:
                log.close()
                raise
        except LogLocked as error:
            raise in_use(folder, folder / LOG_FOLDER / "LOCK") from error
        except OSError as error:
            raise cannot_open(folder, error) from error
        except Exception as error:
            if getattr(error, "code", None) is None:
                raise
            raise translate(error) from error

    @property
    def database(self) -> str:
        """The database's id, which an assertion's audience may name: its log's id."""
        return self.log.log_id.hex()

    @property
    def end_seq(self) -> int:
        """The last durable event; -1 if there is none."""
        return self.log.durable_end - 1

    def reasons_not_ready(self) -> list[str]:
        """Why writes or reads would be refused now; empty when all is well."""
        reasons = []
        if self._closed:
            reasons.append("closing")
        if self.log.ended and self.log.failure is not None:
            reasons.append(public_detail(translate(self.log.failure)))
        if self.space.full:
            reasons.append(self.space.reason)
        if isinstance(self.state.failure, FoldStopped):
            reasons.append(public_detail(translate(self.state.failure)))
        elif self.fold_failure is not None:
            reasons.append(f"the fold waits for room on the disk, at {self.state.watermark.seq} events")
        elif self.state.outdated:
            done = f"{self.state.rebuilt_seq} of {self.log.durable_end} events are folded"
            reasons.append(f"the state of an older version is made anew: {done}")
        elif not self.caught_up:
            reasons.append(f"catching up: {self.state.watermark.seq} of {self._catch_up_seq} events are folded")
        elif (reason := behind(self.state.lag, self.fold_lag_s, self.config)) is not None:
            reasons.append(reason)
        return reasons

    @property
    def fold_lag_s(self) -> float:
        """How long the oldest durable event that is not folded has waited, in seconds; 0 if there is none."""
        return fold_lag_s(self.log, self.state, self.clock_ms())

    @property
    def caught_up(self) -> bool:
        """Whether the fold has applied all that was in the log at open: then every duplicate is known."""
        return not self.state.outdated and self.state.watermark.seq >= self._catch_up_seq

    def admit(self, data: bytes, *, any_kind: bool = True) -> SignedEvent:
        """Read one envelope, its signatures not yet verified; not any_kind: under the smaller bound.

        Raises: Refused.
        """
        bytes_max = self.config.event_bytes_max if any_kind else self.config.envelope_bytes_max
        return admit(data, self.database, bytes_max=bytes_max)

    def submit_later(self, signed: SignedEvent, via: str, deliver: Deliver, *, body_bytes: int | None = None) -> None:
        """Take an admitted event; deliver gets the outcome in another thread once it is durable.

        body_bytes: of the request that brought it.
        Raises: Overloaded; NotReady.
        """
        self._check_writable()
        self.intake.submit(signed, via, deliver, body_bytes)

    def submit_verified(
        self, batch: Sequence[SignedEvent], via: str, deliver: DeliverAll, sizes: Sequence[int | None] = ()
    ) -> None:
        """Take admitted events whose own signatures a process of ours has verified; deliver gets all their outcomes.

        sizes: bytes of the request, or the line, that brought each.  See Intake.submit_verified.
        Raises: Overloaded; NotReady.
        """
        self._check_writable()
        self.intake.submit_verified(batch, via, deliver, sizes)

    def check_writable(self) -> None:
        """Refuse before anything is read of a write what it would be refused for whatever it says.

        Raises: NotReady; Overloaded; LogFailed; DiskFull; FoldStopped.
        """
        self._check_writable()
        if self.log.ended and self.log.failure is not None:
            raise translate(self.log.failure)
        self.intake.check_room()

    def standing(self, signed: SignedEvent) -> Standing | None:
        """What the signer of an event with the fewest tokens left may spend; None: nobody pays here."""
        return self.intake.standing([signature.agent for signature in signed.signatures])

    def charge_query(self, agent: bytes, lens_count: int) -> Standing | None:
        """Charge an agent, 32 bytes, who has proved who it is, for a question under so many lenses; None: it is free.

        Raises: QuotaExceeded; NotReady.
        """
        try:
            return self.intake.charge_query(agent, lens_count)
        except StoreError as error:
            raise translate(error) from error

    def submit(self, signed: SignedEvent, *, wait_s: float | None = None) -> Receipt:
        """As Database.submit."""
        if wait_s is not None:
            check_wait(wait_s, self.config.wait_s_max)
        outcome = self.submit_many([self._readmit(signed)], "node")[0]
        if isinstance(outcome, EpistemeError):
            raise outcome
        if wait_s is None or outcome.status != "accepted":
            return outcome
        try:
            readable = self.wait_applied(outcome.seq, wait_s)
        except EpistemeError:  # a fold that stops does not undo the write
            readable = False
        return Receipt(outcome.hash, outcome.seq, "applied") if readable else outcome

    def _readmit(self, signed: SignedEvent) -> SignedEvent:
        return readmit(signed, self.database, bytes_max=self.config.event_bytes_max)

    def submit_many(self, batch: list[SignedEvent], via: str, sizes: Sequence[int | None] = ()) -> list[Outcome]:
        """Write admitted events in order; one outcome each, all durable.

        sizes: bytes of the line that brought each; none: there were no lines.
        Raises: Overloaded; NotReady; LogFailed; DiskFull.
        """
        self._check_writable()
        with _translated():
            return self.intake.ingest(batch, via, sizes)

    def ingest(self, events: Iterable[SignedEvent | bytes | str]) -> Iterator[IngestResult]:
        """As Database.ingest."""
        lines: list[tuple[int, SignedEvent | bytes | str]] = []
        for numbered in enumerate(events, 1):
            lines.append(numbered)
            if len(lines) == _INGEST_BATCH:
                yield from self.ingest_lines(lines, "node")
                lines = []
        yield from self.ingest_lines(lines, "node")

    def ingest_bundled(self, events: Iterable[Event], *, bundle_size: int = BUNDLE_EVENTS) -> Iterator[IngestResult]:
        """As Database.ingest_bundled.

        Bundles are stamped with the time and are events of their own: the same events given again are `duplicate`, and
        their bundles are new.  A bundle that is refused takes its events with it, each with its reason.
        Raises: KeyProblem without a key; InvalidParameter; InvalidField for an event that names another agent.
        """
        bundling = Bundling(self._signer(), self.clock_ms, bundle_size)
        return bundling.results(self.ingest(bundling.signed(events)))

    def ingest_lines(self, lines: Iterable[tuple[int, SignedEvent | bytes | str]], via: str) -> list[IngestResult]:
        """Write numbered lines in order; a bad one is refused alone.

        Raises: Overloaded; NotReady; LogFailed; DiskFull.
        """
        self._check_writable()
        return write_chunked(lines, self._admit_any, via, self.config.intake.chunk_count, self._ingest_chunks)

    def _admit_any(self, given: SignedEvent | bytes) -> SignedEvent:
        return self.admit(given) if isinstance(given, bytes) else self._readmit(given)

    def _ingest_chunks(self, chunks: Sequence[Chunk]) -> list[Outcome]:
        with _translated():
            return self.intake.ingest_chunks(chunks)

    def status(self) -> StatusReport:
        """As Database.status."""
        if self._closed:
            raise NotReady("the database is closed")
        reasons = self.reasons_not_ready()
        return StatusReport(
            version=version("episteme-db"),
            database=self.database,
            ready=not reasons,
            reasons=reasons,
            uptime_s=round(time.monotonic() - self._started_s, 3),
            log=LogStatus(
                log_id=self.database,
                seq=self.end_seq,
                first_seq=self.log.first_seq,
                size_bytes=self.log.size_bytes,
                epoch=self.log.epoch,
                failure=self._log_failure,
            ),
            fold=FoldStatus(
                applied_seq=self.applied_seq,
                lag=self.state.lag,
                versions={fold.name: fold.version for fold in FOLDS},
                failure=self.fold_failure,
                dead_letters=self._dead_letter_count(),
            ),
            store_bytes=self.state.size_bytes(),
            disk=self.space.status(),
            audit=self.auditor.status(),
        )

    def close(self) -> None:
        """Finish what was taken, fold what is in hand, close all files.  A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        with ExitStack() as closing:  # from the last to the first, whatever fails on the way
            closing.callback(self.log.close)
            closing.callback(self.state.close)
            closing.callback(self.auditor.close)
            closing.callback(self.intake.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _dead_letter_count(self) -> int | None:
        try:
            return self.state.dead_letter_count()
        except StoreError:
            return None

    @property
    def _log_failure(self) -> str | None:
        """A code while the log takes nothing; one that has only met a full disk takes more when there is room."""
        failure = self.log.failure
        return None if failure is None or not (self.log.ended or self.space.full) else translate(failure).code

    def _check_writable(self) -> None:
        if self._closed:
            raise NotReady("the database is closing", retry_after_s=1)
        if not self.caught_up:
            if isinstance(self.state.failure, FoldStopped):
                raise translate(self.state.failure)
            # Until then a duplicate could go unnoticed.
            reasons = "; ".join(self.reasons_not_ready())
            raise NotReady(f"the database takes no writes yet: {reasons}", retry_after_s=1)
        if not self._rules_declared:
            self.space.check()
            self._declare_rules()

    def _declare_rules(self) -> None:
        """Before the first write: what it says is judged by the rules that this database was opened with."""
        with self._rules_lock:
            if not self._rules_declared:
                declare_rules(self.log, self.state, self.config)
                self._rules_declared = True


@contextmanager
def _translated() -> Iterator[None]:
    """Raises: an EpistemeError for what has a code of its own."""
    try:
        yield
    except Exception as error:
        if getattr(error, "code", None) is None:
            raise
        raise translate(error) from error
