"""Bundles that a client has checked, so that each is asked for once."""

import threading

from episteme.vouchers import Vouchers
from model import Voucher


class TrustedBundles:
    """The ones used last.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vouchers = Vouchers()

    def find(self, bundle: bytes) -> Voucher | None:
        """What the bundle with this hash vouches for; None if it was not checked here, or long ago."""
        with self._lock:
            return self._vouchers.find(bundle)

    def put(self, bundle: bytes, voucher: Voucher) -> None:
        """Keep what a bundle vouches for that was checked."""
        with self._lock:
            self._vouchers.put(bundle, voucher)
