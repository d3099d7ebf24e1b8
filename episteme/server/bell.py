"""From the state into the event loop: whoever waits for rows to be touched looks again.

One thread watches, however many wait; it starts with the first of them.
"""

import asyncio
import threading
from typing import Final

from cortex import CortexError, State, Watch
from episteme.folds import LoggedEvent
from episteme.server.mailbox import post
from stores import StoreError

_NEVER: Final = False


class Bell:
    """Rings in one event loop whenever a row under a prefix is touched.  Not thread-safe, but for close."""

    def __init__(self, state: State[LoggedEvent], prefix: bytes) -> None:
        self._state = state
        self._prefix = prefix
        self._watch: Watch[None] | None = None
        self._thread: threading.Thread | None = None
        self._rung: asyncio.Event | None = None

    def listen(self) -> asyncio.Event:
        """An event that is set at the next ring; take it before the look that it is to follow.

        Raises: TooManyWatchers.
        """
        if self._rung is None:
            self._rung = asyncio.Event()
        if self._watch is None:
            self._watch = self._state.watch(lambda _: None, prefixes=(self._prefix,), same=lambda *_: _NEVER)
            self._thread = threading.Thread(
                target=self._follow, args=(self._watch, asyncio.get_running_loop()), name="bell", daemon=True
            )
            self._thread.start()
        return self._rung

    def ring(self) -> None:
        """Let all who listen look again; in their loop."""
        rung, self._rung = self._rung, None
        if rung is not None:
            rung.set()

    def close(self) -> None:
        """Watch no more; whoever still waits is not woken again."""
        if self._watch is not None and self._thread is not None:
            self._watch.close()
            self._thread.join()

    def _follow(self, watch: Watch[None], loop: asyncio.AbstractEventLoop) -> None:
        """In a thread of its own, until the watch is closed or the fold ends."""
        try:
            for _ in watch:
                post(loop, self.ring)
        except (CortexError, StoreError):
            post(loop, self.ring)  # whoever looks again is told why
