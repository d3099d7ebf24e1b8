"""Many events signed by one signature.  Source: docs/format-events.md, "Signatures by bundle"."""

from collections.abc import Iterable
from typing import Final

from model.assertion import Assertion
from model.envelope import SignedEvent, sign_event
from model.errors import FieldRule, InvalidSignature
from model.event import EVENT_TYPES, Event, event_hash
from model.governance import BUNDLE_EVENTS_MAX, Bundle
from model.signing import Signature, SigningKey
from model.voucher import FindVoucher, verify, voucher_of

BUNDLE_EVENTS: Final = 1000  # the signature is a thousandth of each already, and they fit one request


def sign_bundle(events: Iterable[Event], key: SigningKey, timestamp: int) -> tuple[SignedEvent, list[SignedEvent]]:
    """The bundle of these events, signed, and the events as they are signed by it, in the given order.

    The bundle must be written first.  An event that comes twice is listed once, and given as often as it came.
    timestamp: of the bundle, milliseconds since 1970.
    Raises: FieldRule for no events, for more than BUNDLE_EVENTS_MAX; as check_bundled.
    """
    events = list(events)
    for event in events:
        check_bundled(event, key)
    digests = [event_hash(event) for event in events]
    listed = list(dict.fromkeys(digests))
    if not 1 <= len(listed) <= BUNDLE_EVENTS_MAX:
        raise FieldRule("events", f"are {len(listed)}; a bundle signs 1 to {BUNDLE_EVENTS_MAX}")
    bundle = sign_event(
        Bundle(v=2, agent=key.agent_hex, timestamp=timestamp, events=[digest.hex() for digest in listed]), key
    )
    by_bundle = (Signature(key.agent, bundle.digest),)
    return bundle, [SignedEvent(event, digest, by_bundle) for event, digest in zip(events, digests, strict=True)]


def check_bundled(event: Event, key: SigningKey) -> None:
    """Refuse what no bundle of this key can sign.

    Raises: FieldRule for a bundle, for an event that names another agent, and for what is no unsigned event.
    """
    if isinstance(event, Bundle):
        raise FieldRule("events", "hold a bundle, which takes an own signature")
    if not isinstance(event, EVENT_TYPES):
        raise FieldRule("events", f"hold a {type(event).__name__}; a bundle is made of events that nobody has signed")
    if not isinstance(event, Assertion) and event.agent != key.agent_hex:
        raise FieldRule("events", f"hold one of agent {event.agent}, and the key is that of {key.agent_hex}")


def bundles_at_hand(bundles: Iterable[SignedEvent]) -> FindVoucher:
    """What verifies the events of these bundles, offline: give it to SignedEvent.verify.

    Raises: InvalidSignature for a bundle that its agent has not signed itself; what is no bundle vouches for nothing.
    """
    vouchers = {}
    for one in bundles:
        if isinstance(one.event, Bundle):
            digest, voucher = event_hash(one.event), voucher_of(one.event)
            verify(one.event, digest, one.signatures)
            if voucher.agent not in [signature.agent for signature in one.signatures]:
                raise InvalidSignature("/signatures", f"lack that of the bundle's agent {one.event.agent}")
            vouchers[digest] = voucher
    return vouchers.get
