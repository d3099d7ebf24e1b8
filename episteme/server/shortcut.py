"""A connection whose plain requests are answered where they arrive.

The direct path stands before the parser: it looks at what comes only while nothing is running, half read or
waiting on the connection, and what it does not take the parser gets as if it had come just then.  A body that
is not whole yet is held for a moment; whatever happens meanwhile but the rest of it, the parser gets what is held.
While an answer is awaited nothing more is read.

Source: episteme/server/direct.py.
"""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from episteme.server.connections import Connections
from episteme.server.direct import NOT_MINE, TAKEN, Direct
from episteme.server.ending import BUSY, HEAD, IDLE
from episteme.server.protocol import GuardedProtocol
from episteme.server.wire import BODY_BEGAN

HELD_S_MAX: Final = 0.25  # for the rest of a small body, which comes at once or slowly


class ShortcutProtocol(GuardedProtocol):
    """One connection; of a class that shortcut() makes for one server."""

    direct: Direct

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._awaits = False  # an answer that comes later
        self._next = b""  # what came meanwhile
        self._held: list[bytes] = []  # of a request whose body is not whole,
        self._missing_bytes = 0  # by so much,
        self._held_since_s = 0.0  # since then

    # The connection

    def data_received(self, data: bytes) -> None:
        if self._phase is IDLE:
            if self._is_draining or self.flow.write_paused or not self._take(data):
                super().data_received(data)
        elif self._awaits:
            self._next += data
            self.flow.pause_reading()
        elif self._held:
            self._hold_more(data)
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._let_go()
        self._awaits = False
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self._let_go()
        if self._awaits:
            self._is_draining = True
        else:
            super().shutdown()

    # As direct.Line

    @property
    def keeps(self) -> bool:
        """Whether the connection goes on after this answer."""
        return not self._is_draining

    def wait(self) -> None:
        """The answer comes later."""
        self._awaits = True
        self._phase = BUSY
        self._deadline_s = inf

    def tell(self, answer: bytes) -> None:
        """Send the answer, if there is still somebody to read it, and go on."""
        self._awaits = False
        self.server_state.total_requests += 1
        if self._is_ending():
            return
        self._inner.write(answer)
        if self._is_draining:
            self._is_deaf = bool(self._next)
            self._close()
            return
        self._enter(IDLE, self._limits.idle_s_max)
        if self._next:
            data, self._next = self._next, b""
            self.flow.resume_reading()
            self.data_received(data)

    # Bodies that are not whole

    def _take(self, data: bytes) -> bool:
        missing = self.direct.take(self, data)
        if missing == TAKEN:
            return True
        if missing == NOT_MINE:
            return False
        self._held.append(data)
        self._missing_bytes = missing
        self._enter(HEAD, min(HELD_S_MAX, self._limits.body_s_max))
        self._held_since_s = self._since_s
        return True

    def _hold_more(self, data: bytes) -> None:
        self._held.append(data)
        self._missing_bytes -= len(data)
        if self._missing_bytes > 0:
            return
        whole = b"".join(self._held)
        if self._missing_bytes < 0 or self.direct.take(self, whole) != TAKEN:
            self._let_go()
        else:
            self._held = []

    def _let_go(self) -> None:
        """Give the parser what is held."""
        if not self._held:
            return
        data, self._held = b"".join(self._held), []
        self._phase = IDLE
        super().data_received(data)
        if self._in_body:
            self.scope[BODY_BEGAN] = self._held_since_s  # type: ignore[typeddict-unknown-key]

    # Time, and the end

    def give_up(self) -> None:
        """The time for answers is over: say so to whoever has none yet, and close."""
        self._let_go()
        if self._awaits:
            self._awaits = False
            self._say_stopped()
        else:
            super().give_up()

    def _run_out(self) -> None:
        if self._held:
            self._let_go()
        else:
            super()._run_out()


def shortcut(
    guards: Connections, refusal_headers: Callable[[], dict[str, str]], direct: Direct
) -> type[ShortcutProtocol]:
    """As protocol.guarded, with the direct path before it."""
    return type(
        "ShortcutProtocol",
        (ShortcutProtocol,),
        {"guards": guards, "refusal_headers": staticmethod(refusal_headers), "direct": direct},
    )
