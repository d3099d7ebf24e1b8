"""The bundles by which events may be signed: those that are in the log, and what each vouches for.

Invariant: what is found here stands in the log, or is appended in front of
whoever asks.  A bundle is in the log only after its own signature was verified.

Reading a large bundle takes a millisecond or two, and whoever names one need not
hold its key: that is done before the lock on the log's one way in is taken.
"""

import threading
from collections.abc import Callable, Mapping, Sequence

from episteme.errors import EpistemeError
from episteme.gate.known import RecentEvents
from episteme.gate.verification import Submission
from episteme.vouchers import LISTED_COUNT_MAX, Vouchers, read_voucher, voucher_at
from model import BUNDLE_BYTES, Voucher
from stores import Reader, Snapshot
from wal import Log


class LoggedBundles:
    """What is not in memory is read from the log.  named is thread-safe, the others are for one thread at a time."""

    def __init__(self, log: Log, listed_count_max: int = LISTED_COUNT_MAX) -> None:
        """listed_count_max: as of Vouchers."""
        self._log = log
        self._vouchers = Vouchers(listed_count_max)
        self._lock = threading.Lock()  # guards the vouchers
        self.forgotten_count = 0  # times that forget was called: what named gave before counts no more

    def named(
        self, entries: Sequence[Submission | EpistemeError], snapshot: Callable[[], Snapshot]
    ) -> Mapping[bytes, Voucher]:
        """What the bundles that these events name vouch for among them, as far as it is folded or in memory.

        Of each voucher no more is kept than that, however many and large they are.
        snapshot: asked for the newest state, if something must be read.  Raises: LogError; StoreError.
        """
        asked: dict[bytes, set[bytes]] = {}
        for one in entries:
            if isinstance(one, Submission):
                for said in one.signed.signatures:
                    if len(said.signature) == BUNDLE_BYTES:
                        asked.setdefault(said.signature, set()).add(one.signed.digest)
        found: dict[bytes, Voucher] = {}
        for bundle, digests in asked.items():
            voucher = self._held(bundle)
            if voucher is None:
                with snapshot() as reader:
                    voucher = read_voucher(bundle, reader, self._log)
                if voucher is not None:
                    self.add(bundle, voucher)
            if voucher is not None:
                found[bundle] = Voucher(voucher.agent, voucher.digests & digests)
        return found

    def find(self, bundle: bytes, reader: Reader, recent: RecentEvents) -> Voucher | None:
        """The voucher of the bundle with this hash; None if the log has none.

        recent: what is not folded into the reader's state.  Raises: LogError.
        """
        voucher = self._held(bundle)
        if voucher is None:
            voucher = self._read(bundle, reader, recent)
            if voucher is not None:
                self.add(bundle, voucher)
        return voucher

    def add(self, bundle: bytes, voucher: Voucher) -> None:
        """Keep what a bundle vouches for that was appended."""
        with self._lock:
            self._vouchers.put(bundle, voucher)

    def forget(self) -> None:
        """The log has refused something, maybe a bundle: what it has is read from it again."""
        with self._lock:
            self._vouchers.clear()
        self.forgotten_count += 1

    def _held(self, bundle: bytes) -> Voucher | None:
        with self._lock:
            return self._vouchers.find(bundle)

    def _read(self, bundle: bytes, reader: Reader, recent: RecentEvents) -> Voucher | None:
        known = recent.find(bundle)
        if known is None:
            return read_voucher(bundle, reader, self._log)
        if known.seq >= self._log.durable_end:  # it was crowded out before its fsync
            self._log.barrier().wait()
        return voucher_at(known.seq, self._log)
