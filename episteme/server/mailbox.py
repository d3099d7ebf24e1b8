"""From other threads into the event loop: outcomes in order, many at one wake-up."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from episteme.gate import Outcome

_LOGGER: Final = logging.getLogger("episteme.server")


class Mailbox:
    """One for each event loop.  Made for in the loop, told from any thread."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Callable[[Outcome], None], Outcome]] = deque()
        self._is_woken = False

    def expect(self) -> "tuple[asyncio.Future[Outcome], Callable[[Outcome], None]]":
        """A future of the running loop, and what fulfils it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        return future, partial(self.put, loop, partial(_fulfil, future))

    def put(self, loop: asyncio.AbstractEventLoop, call: Callable[[Outcome], None], outcome: Outcome) -> None:
        """Have call told the outcome in the loop, from any thread."""
        self._waiting.append((call, outcome))
        # Two threads may both find it asleep: then it wakes twice.  One that finds it awake has put in before it looks.
        if not self._is_woken:
            self._is_woken = True
            post(loop, self._empty)

    def _empty(self) -> None:
        self._is_woken = False
        for _ in range(len(self._waiting)):
            call, outcome = self._waiting.popleft()
            try:
                call(outcome)
            except Exception:  # whatever it is, it must not keep the others from theirs
                _LOGGER.exception("an outcome could not be told")


def _fulfil(future: "asyncio.Future[Outcome]", outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)


def post(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Run call in the loop, from any thread; a loop that has closed has nobody left to tell."""
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        assert loop.is_closed(), "only a closed loop refuses"
