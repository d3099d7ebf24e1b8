"""The union of all that may be said, its canonical bytes and its hash.

Canonical bytes are RFC 8785 (JCS).  As no number is a float and every key is
ASCII, sorted compact JSON is exactly that.  The hash covers a tag that names
the kind and the format version, so equal bytes of two kinds never collide.

Source: docs/format-events.md.
"""

from typing import Final, get_args

import msgspec
from blake3 import blake3

from model.assertion import Assertion
from model.governance import (
    Alias,
    Bundle,
    Epoch,
    EscalationAck,
    GoldStandard,
    KeyRevocation,
    PredicateRule,
    QuotaLimit,
    Source,
    Supersession,
    TrustPack,
)
from model.vote import Vote

Event = (
    Assertion
    | Vote
    | Epoch
    | Supersession
    | Source
    | GoldStandard
    | TrustPack
    | QuotaLimit
    | PredicateRule
    | Alias
    | KeyRevocation
    | EscalationAck
    | Bundle
)

EVENT_TYPES: Final[tuple[type[Event], ...]] = get_args(Event)
_KIND_BY_TYPE: Final[dict[type, str]] = {cls: str(cls.__struct_config__.tag) for cls in EVENT_TYPES}
KINDS: Final = tuple(_KIND_BY_TYPE.values())
_TAG_BY_TYPE: Final = {cls: f"episteme/{kind}/v2\n".encode() for cls, kind in _KIND_BY_TYPE.items()}

_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def kind_of(event: Event) -> str:
    """The event's kind, as its `kind` field says it."""
    return _KIND_BY_TYPE[type(event)]


def canonical_bytes(event: Event) -> bytes:
    """RFC 8785 bytes of the event: UTF-8, keys sorted, no white space, absent fields left out."""
    return _encode_sorted(event)


def event_hash(event: Event) -> bytes:
    r"""BLAKE3-256 over ``episteme/{kind}/v2\n`` and the canonical bytes: 32 bytes."""
    return hash_of_canonical(event, _encode_sorted(event))


def hash_of_canonical(event: Event, canonical: bytes) -> bytes:
    """As event_hash, for a caller that has the canonical bytes already."""
    return blake3(_TAG_BY_TYPE[type(event)] + canonical).digest()


def signed_message(event: Event, digest: bytes) -> bytes:
    """What Ed25519 signs: the same tag, then the 32 raw bytes of the hash."""
    return _TAG_BY_TYPE[type(event)] + digest
