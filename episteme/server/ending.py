"""How a connection ends: when its last answer is given, when its client reads nothing, when it must go at once.

Owns the phase of a connection and the times that belong to it.  A connection
closed with bytes unread is reset, and what was written to it may never be read;
so after an answer to a request that was not read whole, no more is said, and what
still comes is thrown away for a bounded while.

Source: RFC 9112, section 9.6.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from enum import Enum, auto
from math import inf
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from episteme.server.connections import Connections

LINGER_S: Final = 5.0  # how long a client may be silent before a connection that is being closed is cut
LINGER_BYTES_MAX: Final = 32 * 1024 * 1024  # what it may still send: twice the largest body that is ever taken
STALL_BYTES_MIN: Final = 64 * 1024  # what a reader must take in stream_write_s_max: about 1 kB a second

_LINGER_SILENCES_MAX: Final = 6  # times the silence that is granted, one may go on sending
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Phase(Enum):
    """Where a connection stands."""

    IDLE = auto()  # nothing of a request has come
    HEAD = auto()  # some of one
    BUSY = auto()  # a request is with the application
    LINGERING = auto()  # answered for the last time; what still comes is thrown away
    CLOSING = auto()  # what is written goes out, then it is over


# An enumeration's members are found slowly, and these are looked at for every request.
IDLE: Final = Phase.IDLE
HEAD: Final = Phase.HEAD
BUSY: Final = Phase.BUSY
LINGERING: Final = Phase.LINGERING
CLOSING: Final = Phase.CLOSING


class Outlet(asyncio.Transport):
    """A transport whose close is the protocol's to decide."""

    def __init__(self, inner: asyncio.Transport, close: Callable[[], None], is_ending: Callable[[], bool]) -> None:
        super().__init__()
        self.inner = inner
        self._close = close
        self._is_ending = is_ending

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.inner.write(data)

    def close(self) -> None:
        self._close()

    def is_closing(self) -> bool:
        return self._is_ending() or self.inner.is_closing()

    def pause_reading(self) -> None:
        self.inner.pause_reading()

    def resume_reading(self) -> None:
        if not self.inner.is_closing():
            self.inner.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.inner.get_extra_info(name, default)


class EndingProtocol(HttpToolsProtocol):
    """The part of a connection's protocol that knows when and how it ends."""

    guards: Connections

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = self.guards.limits
        self._inner: asyncio.Transport  # from when the connection is made
        self._phase = IDLE
        self._since_s = 0.0  # of the phase
        self._deadline_s = inf  # of the phase
        self._stalled_s = inf  # when a reader must have taken something,
        self._stalled_bytes = 0  # of so much
        self._in_body = False
        self._is_deaf = False  # what comes is thrown away,
        self._left_bytes = LINGER_BYTES_MAX  # so much of it,
        self._linger_until_s = inf  # and so long,
        self._silence_s = LINGER_S  # if it is not silent for this

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._inner = transport
        super().connection_made(Outlet(transport, self._close, self._is_ending))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._phase is not CLOSING:
            self._stalled_s = inf
        if self._phase is IDLE:  # from when its answer has been taken
            self._enter(IDLE, self._limits.idle_s_max)

    def idle_since(self) -> float:
        """Since when nothing is asked; inf if something is."""
        return self._since_s if self._phase is IDLE else inf

    def give_way(self) -> None:
        """Close an idle connection, for there is no room."""
        self._finish()

    def cut(self, reason: str) -> None:
        """Close at once, whatever is going on."""
        self.guards.closed[reason] += 1
        self._phase = CLOSING
        self._deadline_s = self._stalled_s = inf
        self._is_deaf = True
        # Else the system keeps what was not sent, and goes on trying to for minutes.
        self._inner.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._inner.abort()

    def _enter(self, phase: Phase, limit_s: float) -> None:
        self._phase = phase
        self._since_s = self.loop.time()
        self._deadline_s = self._since_s + limit_s

    def _is_ending(self) -> bool:
        return self._phase is LINGERING or self._phase is CLOSING

    def _close(self) -> None:
        """After the last answer: let a client that is still sending read it."""
        if self._is_ending():
            return
        if self._in_body or self._is_deaf:
            self._linger()
        else:
            self._finish()

    def _linger(self, silence_s: float = LINGER_S) -> None:
        """Say that no more is said, throw away what comes, until the other side closes or its time is over.

        A connection closed with bytes unread is reset, and what was written to it may never be read.
        Source: RFC 9112, section 9.6.
        """
        self._is_deaf = True
        self._silence_s = min(silence_s, self._limits.body_s_max)
        self._enter(LINGERING, self._silence_s)
        self._linger_until_s = self._since_s + min(self._limits.body_s_max, _LINGER_SILENCES_MAX * silence_s)
        self.flow.resume_reading()
        self._inner.write_eof()

    def _throw_away(self, size: int) -> None:
        self._left_bytes -= size
        if self._left_bytes < 0:
            self.cut("too-much")
        elif self._phase is LINGERING:
            self._deadline_s = min(self.loop.time() + self._silence_s, self._linger_until_s)

    def _finish(self) -> None:
        self._phase = CLOSING
        self._deadline_s = inf
        self._inner.close()
        self._expect_reading()

    def _expect_reading(self) -> None:
        self._stalled_s = self.loop.time() + self._limits.stream_write_s_max
        self._stalled_bytes = self._inner.get_write_buffer_size()

    def _look_at_reader(self) -> None:
        left = self._inner.get_write_buffer_size()
        if left and left > self._stalled_bytes - STALL_BYTES_MIN:
            self.cut("stalled-reader")
        else:
            self._expect_reading()
