"""The audits of answers that another process than the database's gives: their bytes go to that one."""

import logging
import threading
from collections.abc import Callable

_LOGGER = logging.getLogger(__name__)


class Sending:
    """Sends payloads, and counts what could not be.  As episteme.audit.auditor.Taker.  Thread-safe."""

    def __init__(self, send: Callable[[bytes], bool]) -> None:
        """send: take a payload, soon to be with the database's process; False if too many wait."""
        self._send = send
        self._lock = threading.Lock()
        self._dropped_count = 0
        self._lost_count = 0
        self._told = False

    def put(self, payload: bytes) -> bool:
        """As Taker.put."""
        if self._send(payload):
            return True
        self.drop()
        return False

    def drop(self) -> None:
        """As Taker.drop."""
        with self._lock:
            self._dropped_count += 1

    def lose(self, error: Exception) -> None:
        """As Taker.lose; says why of the first."""
        with self._lock:
            self._lost_count += 1
            is_first, self._told = not self._told, True
        if is_first:
            _LOGGER.error("an audit could not be made: %s", error, exc_info=error)

    def take_counts(self) -> tuple[int, int]:
        """How many were dropped and lost since this was last asked: for Auditor.count_elsewhere."""
        with self._lock:
            counts = self._dropped_count, self._lost_count
            self._dropped_count = self._lost_count = 0
        return counts
