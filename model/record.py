"""The payload of an event frame in the log.

Layout: one version byte, then a msgpack array [hash, event, signatures,
receipt].  In version 2 one signature or more is by bundle: 32 bytes, the hash
of the bundle, where version 1 has the 64 of an own signature.  The event is
kept as the struct, and must give back the canonical bytes exactly: a reader
recomputes the hash to prove it.

Source: docs/format-events.md, "In the log".
"""

from collections.abc import Callable
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from model.envelope import SignedEvent
from model.errors import UnsupportedRecord
from model.event import Event
from model.signing import BUNDLE_BYTES, SIGNATURE_BYTES, Signature, is_any_by_bundle

Read = TypeVar("Read")

RECORD_VERSION: Final = 1
BUNDLED_VERSION: Final = 2  # of a record with a signature by bundle, and of no other
HASH_BYTES: Final = 32
FRAME_KIND_EVENT: Final = 1  # the frame's kind field
_VERSION_BYTE = bytes([RECORD_VERSION])
_BUNDLED_BYTE = bytes([BUNDLED_VERSION])


class Receipt(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """What the database itself saw when it took the event; not signed.

    tokens: what the event cost the quota of each signer who said something new by it; 0 where quotas are off.
    known: places of the signatures, from 0, that were known before: those signers it cost nothing.
    """

    via: str = ""
    tokens: int = 0
    known: tuple[int, ...] = ()


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


class EventHead(Struct, frozen=True, gc=False):
    """What tells where an event belongs, read without the rest of it; empty where its kind has no such field."""

    kind: str
    subject: str = ""
    predicate: str = ""
    assertion: str = ""
    source_class: str = ""
    parent_hash: str = ""
    source_hash: str = ""
    epoch: str = ""


class RawRecord(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What one frame holds, with the event left as it is; its rules were checked before it was logged."""

    digest: Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
    event: msgspec.Raw
    signatures: tuple[Signature, ...]
    receipt: Receipt


Record = TypeVar("Record", EventRecord, RawRecord)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(EventRecord).decode
_decode_raw = msgspec.msgpack.Decoder(RawRecord).decode
_decode_head = msgspec.msgpack.Decoder(EventHead).decode
_decode_event: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)


def encode_record(signed: SignedEvent, receipt: Receipt) -> bytes:
    """The payload of a frame of kind FRAME_KIND_EVENT."""
    version = _BUNDLED_BYTE if is_any_by_bundle(signed.signatures) else _VERSION_BYTE
    return version + _encode(EventRecord(signed.digest, signed.event, signed.signatures, receipt))


def decode_record(payload: bytes) -> EventRecord:
    """Read a payload back.

    Raises: UnsupportedRecord for another version, a wrong shape or trailing bytes.
    """
    return _checked(payload, _read(payload, _decode))


def decode_raw_record(payload: bytes) -> tuple[RawRecord, EventHead]:
    """Read a payload back without checking the event's own rules again, at a third of the cost.

    Raises: UnsupportedRecord for another version, a wrong shape or trailing bytes.
    """
    record = _checked(payload, _read(payload, _decode_raw))
    return record, _read_event(record.event, _decode_head)


def decode_event(raw: msgspec.Raw | bytes) -> Event:
    """The event of a raw record.  Raises: UnsupportedRecord."""
    return _read_event(raw, _decode_event.decode)


def _read(payload: bytes, decode: Callable[..., Read]) -> Read:
    if payload[:1] not in (_VERSION_BYTE, _BUNDLED_BYTE):
        raise UnsupportedRecord(f"event record of version {payload[:1].hex() or 'none'}; this program reads 1 and 2")
    return _read_event(memoryview(payload)[1:], decode)


def _checked(payload: bytes, record: Record) -> Record:
    """A record whose signatures are of the lengths that its version has."""
    bundled = False
    for one in record.signatures:
        if len(one.signature) == BUNDLE_BYTES:
            bundled = True
        elif len(one.signature) != SIGNATURE_BYTES:
            raise UnsupportedRecord(f"event record is damaged: a signature has {len(one.signature)} bytes")
    if bundled is not (payload[0] == BUNDLED_VERSION):
        raise UnsupportedRecord(f"event record of version {payload[0]} with signatures of the other version")
    return record


def _read_event(data: memoryview | msgspec.Raw | bytes, decode: Callable[..., Read]) -> Read:
    try:
        return decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnsupportedRecord(f"event record is damaged: {error}") from error
