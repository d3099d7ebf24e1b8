"""The bundles by which events may be signed: those that are in the log, and what each vouches for.

Invariant: what is found here stands in the log, or is appended in front of
whoever asks.  A bundle is in the log only after its own signature was verified.
"""

from episteme.gate.known import RecentEvents
from episteme.vouchers import LISTED_COUNT_MAX, Vouchers, voucher_at
from model import Voucher
from stores import EventStore, Reader
from wal import Log


class LoggedBundles:
    """For one thread at a time; what is not in memory is read from the log."""

    def __init__(self, log: Log, listed_count_max: int = LISTED_COUNT_MAX) -> None:
        """listed_count_max: as of Vouchers."""
        self._log = log
        self._vouchers = Vouchers(listed_count_max)

    def find(self, bundle: bytes, reader: Reader, recent: RecentEvents) -> Voucher | None:
        """The voucher of the bundle with this hash; None if the log has none.

        recent: what is not folded into the reader's state.  Raises: LogError.
        """
        voucher = self._vouchers.find(bundle)
        if voucher is None:
            voucher = self._read(bundle, reader, recent)
            if voucher is not None:
                self.add(bundle, voucher)
        return voucher

    def add(self, bundle: bytes, voucher: Voucher) -> None:
        """Keep what a bundle vouches for that was appended."""
        self._vouchers.put(bundle, voucher)

    def forget(self) -> None:
        """The log has refused something, maybe a bundle: what it has is read from it again."""
        self._vouchers.clear()

    def _read(self, bundle: bytes, reader: Reader, recent: RecentEvents) -> Voucher | None:
        known = recent.find(bundle) or EventStore(reader).get(bundle)
        if known is None:
            return None
        if known.seq >= self._log.durable_end:  # it was crowded out before its fsync
            self._log.barrier().wait()
        return voucher_at(known.seq, self._log)
