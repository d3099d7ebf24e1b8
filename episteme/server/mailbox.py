"""From other threads into the event loop: outcomes in order, many at one wake-up."""

import asyncio
import threading
from collections.abc import Callable

from episteme.gate import Outcome


class Mailbox:
    """One for each event loop.  Futures are made in the loop and fulfilled from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.Future[Outcome], Outcome]] = []

    def expect(self) -> "tuple[asyncio.Future[Outcome], Callable[[Outcome], None]]":
        """A future of the running loop, and what fulfils it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()

        def deliver(outcome: Outcome) -> None:
            with self._lock:
                self._waiting.append((future, outcome))
                first = len(self._waiting) == 1
            if first:
                post(loop, self._empty)

        return future, deliver

    def _empty(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for future, outcome in waiting:
            if not future.done():
                future.set_result(outcome)


def post(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Run call in the loop, from any thread; a loop that has closed has nobody left to tell."""
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        assert loop.is_closed(), "only a closed loop refuses"
