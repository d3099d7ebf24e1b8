"""Server-Sent Events out of bytes, however they are cut.  Pure.

Source: WHATWG HTML, "Server-sent events", 9.2.5 and 9.2.6.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from episteme.errors import Internal

# A frame of the log has at most 8 MiB, which as Base64 or as JSON is never twice that.
EVENT_BYTES_MAX: Final = 16 * 1024 * 1024


class ServerEvent(NamedTuple):
    """One event; what it does not say is None.  A heartbeat is one that says nothing, or no more than an id."""

    name: str | None = None
    data: bytes | None = None
    id: str | None = None
    retry_ms: int | None = None


class EventReader:
    """The state of one stream.  Not thread-safe."""

    def __init__(self, bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._rest = bytearray()  # a line that has not ended yet
        self._fields: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """The events that end in this piece, comments aside.

        Raises: Internal for one that is too large, or not UTF-8 where it must be.
        """
        self._rest += chunk
        lines: list[bytes] = []
        if b"\n" in chunk:
            *lines, rest = bytes(self._rest).split(b"\n")
            self._rest = bytearray(rest)
        for line in lines:
            line = line.removesuffix(b"\r")
            if line:
                self._take(line)
            elif self._fields:
                fields, self._fields, self._size = self._fields, [], 0
                yield _event_of(fields)
        if len(self._rest) + self._size > self._bytes_max:
            raise Internal(f"an event of the stream has more than {self._bytes_max} bytes")

    def _take(self, line: bytes) -> None:
        if line.startswith(b":"):
            return
        self._fields.append(line)
        self._size += len(line)


def _event_of(fields: list[bytes]) -> ServerEvent:
    name = data = identifier = retry_ms = None
    for field in fields:
        key, _, value = field.partition(b":")
        value = value.removeprefix(b" ")
        if key == b"data":
            data = value if data is None else data + b"\n" + value
        elif key == b"event":
            name = _text(value)
        elif key == b"id" and b"\0" not in value:
            identifier = _text(value)
        elif key == b"retry" and value.isdigit() and len(value) <= 9:
            retry_ms = int(value)
    return ServerEvent(name, data, identifier, retry_ms)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Internal(f"an event of the stream is not UTF-8: {error}") from error
