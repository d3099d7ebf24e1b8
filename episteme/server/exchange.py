"""One request and its answer, as the edge sees them: how long, how it ended, and under what id."""

import os
import re
from itertools import count
from typing import Final

from starlette.types import Scope as Connection

EXCHANGE: Final = "episteme.exchange"  # under this name it is in the scope
PASSED: Final = "episteme.passed"  # and under this one, True, that it ends without an answer: Elsewhere was raised

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")  # nothing that a header, a log line or a shell obeys
_START: Final = b"%s-" % os.urandom(6).hex().encode("ascii")  # of this process's own ids: no other gives the same
_numbers: Final = count()


class Elsewhere(Exception):
    """Raised by a handler: another process is to answer this request; nothing has been done or sent."""


class Exchange:
    """Of one request; made when its head is there.  Of one event loop."""

    __slots__ = ("code", "request_id", "started_s", "status")

    def __init__(self, request_id: bytes, started_s: float) -> None:
        self.request_id = request_id
        self.started_s = started_s  # by the monotonic clock
        self.status = 0  # as long as none was sent
        self.code: str | None = None  # of the refusal, if it is one


def request_id(sent: bytes | None) -> bytes:
    """The id that was sent, if it is one, else a new one."""
    if sent is not None and _REQUEST_ID.fullmatch(sent):
        return sent
    return _START + b"%x" % next(_numbers)


def exchange_of(connection: Connection) -> Exchange | None:
    """The exchange that a request belongs to; None where no edge is before it."""
    return connection.get(EXCHANGE)
