"""From judged submissions to the log, and from the log's fsync to what is told of them.

Owns: the lock under which events get their order, and what is remembered of
those that are not folded.  Invariant: an event is appended only if all its
signatures verified, it says something new, no signer's key is revoked and each
new signer can pay; what a full disk has refused is forgotten, and what was
paid for it given back, before anything else is appended.
"""

import threading
from typing import NamedTuple, Protocol

from episteme.errors import EpistemeError, translate
from episteme.gate.bundles import LoggedBundles
from episteme.gate.known import RecentEvents
from episteme.gate.meter import Charge, Meter
from episteme.gate.plan import Outcome, Plan, give_back
from episteme.gate.revoked import RevokedKeys
from episteme.gate.verification import Judged
from episteme.receipts import Receipt
from episteme.space import Space
from model import FRAME_KIND_EVENT, encode_record
from stores import Snapshot
from wal import DiskFull, Log, LogError, Ticket


class Folded(Protocol):
    """What is folded of the log."""

    def snapshot(self) -> Snapshot:
        """The newest of it."""


class Appended(NamedTuple):
    """The ticket covers every receipt among the outcomes, and the charges are for what it covers."""

    outcomes: list[Outcome]
    ticket: Ticket
    charges: list[Charge]
    size_bytes: int  # of what was appended


class Appender:
    """Plans and appends, one batch at a time.  Thread-safe."""

    def __init__(self, log: Log, state: Folded, meter: Meter | None, space: Space) -> None:
        """meter: None, nobody pays.  space: is told of a disk that is full."""
        self._log = log
        self._state = state
        self._meter = meter
        self._space = space
        self._lock = threading.Lock()
        self._recent = RecentEvents()
        self._revoked = RevokedKeys()
        self._bundles = LoggedBundles(log)
        self.signatures_good = 0  # of events all of whose signatures verified, since the start
        self.signatures_bad = 0  # of the others

    def append(self, judged: Judged) -> Appended:
        """Append what is new and may be; the caller calls the ticket's commit, or waits for it.

        Raises: LogError; StoreError.  Then nothing is appended, and nobody has paid.
        """
        forgotten_count = self._bundles.forgotten_count
        vouchers = self._bundles.named(judged.entries, self._state.snapshot)
        with self._lock, self._state.snapshot() as snapshot:
            self._go_on()
            if self._bundles.forgotten_count != forgotten_count:
                vouchers = {}
            self.signatures_good += judged.good_count
            self.signatures_bad += judged.bad_count
            self._recent.forget_before(snapshot.position)
            self._revoked.forget_before(snapshot.position)
            plan = Plan(snapshot, self._recent, self._revoked, self._bundles, self._meter, vouchers)
            try:
                plan.add_all(judged.entries)
                records = [(FRAME_KIND_EVENT, encode_record(one.signed, one.facts)) for one in plan.fresh]
                ticket = self._log.append_many(records, caller_commits=True) if records else self._log.barrier()
            except BaseException:
                plan.give_back()
                raise
            size_bytes = sum([len(payload) for _, payload in records])
            return Appended(plan.appended(ticket.first_seq), ticket, plan.charges, size_bytes)

    def settled(self, appended: Appended, error: LogError | None) -> list[Outcome]:
        """What to tell once the fsync has ended: well, or with that error for all that it was to cover.

        To be called once for each append: it gives back what was paid for what is not there.
        """
        if error is None:
            return appended.outcomes
        give_back(self._meter, appended.charges)
        failure = self.refusal(error)
        return [failure if isinstance(outcome, Receipt) else outcome for outcome in appended.outcomes]

    def refusal(self, error: Exception) -> EpistemeError:
        """What to tell of an error on the way to the disk."""
        if isinstance(error, DiskFull):
            self._space.met_full()
        return translate(error)

    def _go_on(self) -> None:
        """Forget what a disk without room has refused, and only then have the log take more.

        Until it is resumed the log refuses barriers too: nobody is told of a duplicate of what is not there.
        """
        failure = self._log.failure
        if failure is not None and failure.resumable:
            self._recent.forget_from(self._log.next_seq)
            self._revoked.forget_from(self._log.next_seq)
            self._bundles.forget()
            self._log.resume()
