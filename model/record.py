"""The payload of an event frame in the log.

Layout: one version byte, then a msgpack array [hash, event, signatures,
receipt].  The event is kept as the struct, and must give back the canonical
bytes exactly: a reader recomputes the hash to prove it.

Source: docs/format-events.md, "In the log".
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from model.envelope import SignedEvent
from model.errors import UnsupportedRecord
from model.event import Event
from model.signing import Signature

RECORD_VERSION: Final = 1
HASH_BYTES: Final = 32
FRAME_KIND_EVENT: Final = 1  # the frame's kind field; others are refused by the fold
_VERSION_BYTE = bytes([RECORD_VERSION])


class Receipt(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """What the database itself saw when it took the event; not signed."""

    via: str = ""


class EventRecord(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What one frame holds."""

    digest: Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
    event: Event
    signatures: tuple[Signature, ...]
    receipt: Receipt

    @property
    def signed(self) -> SignedEvent:
        """The event as it was signed."""
        return SignedEvent(self.event, self.digest, self.signatures)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(EventRecord).decode


def encode_record(signed: SignedEvent, receipt: Receipt) -> bytes:
    """The payload of a frame of kind FRAME_KIND_EVENT."""
    return _VERSION_BYTE + _encode(EventRecord(signed.digest, signed.event, signed.signatures, receipt))


def decode_record(payload: bytes) -> EventRecord:
    """Read a payload back.

    Raises: UnsupportedRecord for another version, a wrong shape or trailing bytes.
    """
    if payload[:1] != _VERSION_BYTE:
        raise UnsupportedRecord(f"event record of version {payload[:1].hex() or 'none'}; this program reads 1")
    try:
        return _decode(memoryview(payload)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnsupportedRecord(f"event record is damaged: {error}") from error
