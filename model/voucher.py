"""What a bundle vouches for, and whether it vouches for an event.

A signature by bundle holds where the bundle's own agent is the one that the
entry names and the bundle lists the event's hash; that the bundle itself was
signed is proven apart, by an own signature of that agent.  Co-signers of a
bundle vouch for nothing in it.

Source: docs/format-events.md, "Signatures by bundle".
"""

from collections.abc import Callable

from msgspec import Struct

from model.errors import InvalidSignature, UnknownBundle
from model.event import Event
from model.governance import Bundle
from model.signing import BUNDLE_BYTES, Signature, verify_own


class Voucher(Struct, frozen=True, gc=False):
    """The agent of a bundle (32 bytes), and the hashes of the events that it signed by it (32 bytes each)."""

    agent: bytes
    digests: frozenset[bytes]


FindVoucher = Callable[[bytes], Voucher | None]  # by the bundle's hash, 32 bytes; only of bundles that were verified


def voucher_of(bundle: Bundle) -> Voucher:
    """What a bundle vouches for, once its own signature is verified."""
    return Voucher(bytes.fromhex(bundle.agent), frozenset(map(bytes.fromhex, bundle.events)))


def no_bundles(_digest: bytes) -> Voucher | None:
    """Of a caller who has no bundles at hand."""
    return None


def check_vouched(digest: bytes, signatures: tuple[Signature, ...], find: FindVoucher) -> None:
    """Check every signature by bundle; own ones are passed over.

    Raises: UnknownBundle; InvalidSignature; both name the first that does not hold.
    """
    for index, one in enumerate(signatures):
        if len(one.signature) == BUNDLE_BYTES:
            voucher = find(one.signature)
            if voucher is None or digest not in voucher.digests or voucher.agent != one.agent:
                raise _refusal(index, digest, one, voucher)


def verify(event: Event, digest: bytes, signatures: tuple[Signature, ...], find: FindVoucher = no_bundles) -> None:
    """Check every signature over the event; digest must be event_hash(event).

    find: verified bundles at hand, by which signatures by bundle are judged.
    Raises: InvalidSignature, naming the first that fails; UnknownBundle for one by a bundle that is not at hand.
    """
    verify_own(event, digest, signatures)
    check_vouched(digest, signatures, no_bundles if isinstance(event, Bundle) else find)


def _refusal(index: int, digest: bytes, one: Signature, voucher: Voucher | None) -> UnknownBundle | InvalidSignature:
    pointer, bundle = f"/signatures/{index}/bundle", one.signature.hex()
    if voucher is None:
        return UnknownBundle(pointer, f"is {bundle}, and no such bundle came before")
    if voucher.agent != one.agent:
        return InvalidSignature(
            pointer, f"is {bundle}, which agent {voucher.agent.hex()} signed, not {one.agent.hex()}"
        )
    return InvalidSignature(pointer, f"is {bundle}, which does not list {digest.hex()}")
