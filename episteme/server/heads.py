"""The head of a request, where it is a plain one: read without the parser, and known again when it comes again.

Only heads of one narrow form are read here: everything else is the parser's, which reads these, too, and to the
same effect.  A header that is in no table below makes a head not plain, so that nothing which means something is
passed over.  A client says nearly the same in each of its requests, so that most heads are found and not read.

Source: RFC 9112, section 5; docs/http.md, "Every request and every answer".
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from episteme.errors import EpistemeError
from episteme.server.compression import Coding, accepted

HEAD_BYTES_MAX: Final = 2048  # of the header lines: several times what clients send that are no browsers

_KNOWN_MAX: Final = 1024  # blocks that are remembered, of HEAD_BYTES_MAX at most
_FIELD: Final = re.compile(rb"([A-Za-z0-9-]+): ?([!-~](?:[ -~]*[!-~])?)\r\n")
_LENGTH: Final = re.compile(rb"[0-9]{1,7}")
# Headers that change nothing here.
_IDLE: Final = frozenset(
    {
        b"accept",
        b"accept-language",
        b"cache-control",
        b"content-type",
        b"forwarded",
        b"pragma",
        b"priority",
        b"traceparent",
        b"tracestate",
        b"user-agent",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-real-ip",
    }
)
_READ: Final = frozenset(
    {b"accept-encoding", b"authorization", b"connection", b"content-length", b"host", b"x-request-id"}
)
# A block with one of these is not remembered: it will not come again, or there is a secret in it.
_PASSING: Final = frozenset(
    {b"authorization", b"forwarded", b"traceparent", b"tracestate", b"x-forwarded-for", b"x-real-ip", b"x-request-id"}
)


class Head(NamedTuple):
    """What a plain head says, its first line aside; its host is one of the server's, and its connection is kept."""

    body_bytes: int
    authorization: bytes | None
    request_id: bytes | None
    coding: Coding | None  # that it wants its answer in


class Heads:
    """Of one server."""

    def __init__(self, check_host: Callable[[bytes], None]) -> None:
        """check_host: raises WrongHost."""
        self._check_host = check_host
        self._known: dict[bytes, Head | None] = {}

    def read(self, block: bytes) -> Head | None:
        """What the header lines say, each with its end; None if they are not plain."""
        try:
            return self._known[block]
        except KeyError:
            return self._read_new(block)

    def _read_new(self, block: bytes) -> Head | None:
        if len(block) > HEAD_BYTES_MAX:
            return None
        fields = _fields_of(block)
        if fields is None:  # and what else is in it is not known
            return None
        head = self._head_of(fields)
        if _PASSING.isdisjoint(fields):
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[block] = head
        return head

    def _head_of(self, fields: dict[bytes, bytes]) -> Head | None:
        length = fields.get(b"content-length", b"0")
        if not _LENGTH.fullmatch(length) or fields.get(b"connection", b"keep-alive").lower() != b"keep-alive":
            return None
        try:
            self._check_host(fields[b"host"])
        except (KeyError, EpistemeError):
            return None
        accepts = fields.get(b"accept-encoding")
        coding = None if accepts is None else accepted(accepts)
        return Head(int(length), fields.get(b"authorization"), fields.get(b"x-request-id"), coding)


def _fields_of(block: bytes) -> dict[bytes, bytes] | None:
    """The headers by their lower-case names; None if one is not known, not plain, or is there twice and is read."""
    fields: dict[bytes, bytes] = {}
    position = 0
    while position < len(block):
        field = _FIELD.match(block, position)
        if field is None:
            return None
        name = field[1].lower()
        if name not in _IDLE and (name not in _READ or name in fields):
            return None
        fields[name] = field[2]
        position = field.end()
    return fields
