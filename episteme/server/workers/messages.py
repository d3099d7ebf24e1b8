"""What the owner of a data folder and its workers say to each other: msgpack, each message with its length before it.

Both ends are one program, started together: there are no versions of these.

Invariant: an outcome comes back as it was told: a problem document made of it in the worker is the one that the
owner would have made.
"""

import socket
import struct
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from episteme.errors import PROBLEMS, EpistemeError, FieldProblem, QuotaExceeded
from episteme.gate import Standing
from episteme.settings import Value
from model import SignedEvent

# Some times the largest event that a frame of the log holds; many events go in parts that are far below it.
MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024

_LENGTH: Final = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode

Message = TypeVar("Message")


class Refusal(Struct, frozen=True, omit_defaults=True):
    """An EpistemeError; hint: where it is not that of its kind.  limit, remaining: of a quota."""

    code: str
    detail: str
    errors: tuple[FieldProblem, ...] = ()
    retry_after_s: int | None = None
    hint: str | None = None
    limit: int = 0
    remaining: int = 0

    @classmethod
    def of(cls, error: EpistemeError) -> "Refusal":
        """What is to be said of it."""
        hint = None if error.hint == type(error).hint else error.hint
        limit, remaining = (error.limit, error.remaining) if isinstance(error, QuotaExceeded) else (0, 0)
        return cls(error.code, error.detail, error.errors, error.retry_after_s, hint, limit, remaining)

    def error(self) -> EpistemeError:
        """The error that it was made of."""
        kind = PROBLEMS[self.code].exception
        error = kind(self.detail, errors=self.errors, retry_after_s=self.retry_after_s)
        if self.hint is not None:
            error.hint = self.hint
        if isinstance(error, QuotaExceeded):
            error.limit, error.remaining = self.limit, self.remaining
        return error


class Start(Struct, array_like=True, tag=0, frozen=True):
    """The first that a worker is told: what it serves.

    settings: all of them, by name, as they are for one worker.  database: the id.  folder: of the data.
    address: the IP that is listened on.  name: no other has it that is alive.
    """

    settings: dict[str, Value]
    database: str
    folder: str
    address: str
    name: str


class Outcomes(Struct, array_like=True, tag=1, frozen=True):
    """What became of the events of one Events, in their order.

    told: a position, or -1 minus the position where the event stood first, or a refusal.
    standings: of their signers, where quotas are on.
    """

    batch: int
    told: list[int | Refusal]
    standings: list[Standing | None] = []


class Reached(Struct, array_like=True, tag=2, frozen=True):
    """The position that was waited for is folded; or it will not be: failure says why, stopped that the fold has."""

    seq: int
    failure: str | None = None
    stopped: bool = False


class Collect(Struct, array_like=True, tag=5, frozen=True):
    """Send all audits that are made, then Collected with this number."""

    number: int


class Drain(Struct, array_like=True, tag=4, frozen=True):
    """Take no more connections, finish, end; hurry: wait for nobody."""

    hurry: bool


class Ready(Struct, array_like=True, tag=10, frozen=True):
    """The worker takes connections."""


class Events(Struct, array_like=True, tag=11, frozen=True):
    """Verified events to be appended in this order; sizes: bytes of what brought each."""

    batch: int
    via: str
    events: list[SignedEvent]
    sizes: list[int | None]


class Await(Struct, array_like=True, tag=12, frozen=True):
    """Say when that position is folded; instead of the one that was asked for before."""

    seq: int


class Leaving(Struct, array_like=True, tag=14, frozen=True):
    """The worker takes no more connections; if it was not told to drain, somebody must take its place."""


class Exchanges(Struct, array_like=True, frozen=True):
    """Requests of one kind that were answered, as a histogram's counts."""

    route: str
    method: str
    status: int
    counts: list[int]
    seconds: float


class Audits(Struct, array_like=True, tag=16, frozen=True):
    """Payloads of audits, of answers that the worker gave; and how many it dropped and lost since it told last."""

    payloads: list[bytes]
    dropped_count: int
    lost_count: int


class Collected(Struct, array_like=True, tag=17, frozen=True):
    """All audits that were made before that Collect came have been sent."""

    number: int


class Counts(Struct, array_like=True, tag=15, frozen=True):
    """What the worker has counted since it told last; open_count and in_flight are as they are now."""

    exchanges: list[Exchanges]
    refused: dict[str, int]  # by code
    refused_early: dict[str, int]  # before there was a request
    closed: dict[str, int]  # by reason
    opened_count: int
    signatures_bad: int
    open_count: int
    in_flight: int


ToWorker = Start | Outcomes | Reached | Collect | Drain
ToOwner = Ready | Events | Await | Leaving | Counts | Audits | Collected


def framed(message: ToWorker | ToOwner) -> bytes:
    """A message as it travels."""
    data = _encode(message)
    assert len(data) <= MESSAGE_BYTES_MAX, f"a message of {len(data)} bytes"
    return _LENGTH.pack(len(data)) + data


class Splitter(Generic[Message]):
    """Messages of one kind out of the bytes of a channel.  For one thread."""

    def __init__(self, kind: type[Message]) -> None:
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._parts: list[bytes] = []
        self._held = 0
        self._needed = _LENGTH.size  # for the message that is not whole, as far as that is known

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are whole by now."""
        self._parts.append(data)
        self._held += len(data)
        if self._held < self._needed:
            return []
        if len(self._parts) > 1:
            data = b"".join(self._parts)
        found: list[Message] = []
        start, view = 0, memoryview(data)
        while (needed := _needed(data, start)) <= len(data) - start:
            found.append(self._decode(view[start + _LENGTH.size : start + needed]))
            start += needed
        self._parts, self._held, self._needed = [data[start:]], len(data) - start, needed
        return found


def _needed(data: bytes, start: int) -> int:
    """How many bytes the message that begins there has with its length, as far as what is there tells."""
    if len(data) - start < _LENGTH.size:
        return _LENGTH.size
    (size,) = _LENGTH.unpack_from(data, start)
    assert size <= MESSAGE_BYTES_MAX, f"a message of {size} bytes"
    return _LENGTH.size + int(size)


def read_message(end: socket.socket, kind: type[Message]) -> Message:
    """The next message of a blocking socket, and not a byte more.  Raises: EOFError."""
    (size,) = _LENGTH.unpack(_read_exactly(end, _LENGTH.size))
    return msgspec.msgpack.decode(_read_exactly(end, size), type=kind)


def _read_exactly(end: socket.socket, size: int) -> bytes:
    data = end.recv(size, socket.MSG_WAITALL)
    if len(data) < size:
        raise EOFError("the channel has ended")
    return data
