"""The events of the log of audits: a query that was answered, and audits that are let go.

Source: docs/audit.md, "The log of audits".
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from stores import AuditHead, QueryAudit, RawAudit
from wal import Frame

FRAME_KIND_ANSWERED: Final = 1
FRAME_KIND_DROPPED: Final = 2

_VERSION: Final = b"\x01"


class UnreadableAudit(ValueError):
    """A frame that is no audit as this program writes them: no fault of the state's, which goes on without it."""


class Answered(Struct, frozen=True, gc=False):
    """A query that was answered: its id, what lists go by, and its row, with the audit as it was encoded."""

    query_id: str
    head: AuditHead
    row: RawAudit


class Dropped(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The log has let go of all before a position; this is of the audits with ids after one, up to a bound of them."""

    before_seq: int
    after_id: str | None


AuditEvent = Answered | Dropped


class _Written(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    query_id: str
    audit: QueryAudit


class _Read(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    query_id: str
    audit: Raw


_encode = msgspec.msgpack.Encoder().encode
_decode_read = msgspec.msgpack.Decoder(_Read).decode
_decode_head = msgspec.msgpack.Decoder(AuditHead).decode
_decode_dropped = msgspec.msgpack.Decoder(Dropped).decode


def encode_answered(query_id: str, audit: QueryAudit) -> bytes:
    """The payload of a frame of FRAME_KIND_ANSWERED."""
    return _VERSION + _encode(_Written(query_id, audit))


def encode_dropped(dropped: Dropped) -> bytes:
    """The payload of a frame of FRAME_KIND_DROPPED."""
    return _VERSION + _encode(dropped)


def decode_audit_frame(frame: Frame) -> AuditEvent:
    """What a frame of the log of audits says.

    Of an audit only the head is looked into: the rest is copied to the state as it is, and read strictly there.
    Raises: UnreadableAudit.
    """
    payload = frame.payload
    if payload[:1] != _VERSION:
        raise UnreadableAudit(f"audit: version {payload[:1].hex() or 'none'} is not known here")
    try:
        if frame.kind == FRAME_KIND_ANSWERED:
            read = _decode_read(memoryview(payload)[1:])
            return Answered(read.query_id, _decode_head(read.audit), RawAudit(frame.seq, read.audit))
        if frame.kind == FRAME_KIND_DROPPED:
            return _decode_dropped(memoryview(payload)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableAudit(f"audit: {error}") from error
    raise UnreadableAudit(f"audit: a frame of kind {frame.kind} is not known here")
