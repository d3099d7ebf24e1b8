"""Ed25519: sign an event's hash, and verify strictly.

Libsodium's verification refuses non-canonical encodings of the signature's
scalar and of points, and keys of small order, as docs/format-events.md asks.
It lets go of the interpreter lock while it computes.
"""

from typing import Annotated

import nacl.bindings
import nacl.exceptions
from msgspec import Meta, Struct

from model.errors import InvalidSignature
from model.event import Event, event_hash, signed_message

AGENT_BYTES = 32
SIGNATURE_BYTES = 64
BUNDLE_BYTES = 32
SEED_BYTES = 32


class Signature(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An agent (its public key, 32 bytes) and its signature (64 bytes), or the hash of a bundle of its own (32)."""

    agent: Annotated[bytes, Meta(min_length=AGENT_BYTES, max_length=AGENT_BYTES)]
    signature: Annotated[bytes, Meta(min_length=BUNDLE_BYTES, max_length=SIGNATURE_BYTES)]

    @property
    def bundle(self) -> bytes | None:
        """The hash of the bundle by which the agent signed; None: it signed the event itself."""
        return self.signature if len(self.signature) == BUNDLE_BYTES else None


class SigningKey:
    """An Ed25519 private key.  Its text forms never show the secret."""

    __slots__ = ("_secret", "agent")

    def __init__(self, seed: bytes) -> None:
        """Make the key of a 32-byte seed (RFC 8032).

        Raises: ValueError for any other length.
        """
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a seed has {SEED_BYTES} bytes, found {len(seed)}")
        public, self._secret = nacl.bindings.crypto_sign_seed_keypair(seed)
        self.agent: bytes = public

    @property
    def seed(self) -> bytes:
        """The secret itself, for a key file."""
        return self._secret[:SEED_BYTES]

    @property
    def agent_hex(self) -> str:
        """The public key as 64 lower-case hex digits: the agent's name everywhere."""
        return self.agent.hex()

    def sign(self, event: Event) -> Signature:
        """Sign an event under its kind's tag."""
        return self.sign_hash(event, event_hash(event))

    def sign_hash(self, event: Event, digest: bytes) -> Signature:
        """Sign an event whose hash the caller has already: digest must be event_hash(event)."""
        message = signed_message(event, digest)
        signed = nacl.bindings.crypto_sign(message, self._secret)
        return Signature(self.agent, signed[:SIGNATURE_BYTES])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(agent={self.agent_hex})"


def is_signed_by(message: bytes, signature: Signature) -> bool:
    """Whether this signature verifies over signed_message(...)."""
    if len(signature.signature) != SIGNATURE_BYTES or len(signature.agent) != AGENT_BYTES:
        return False
    try:
        nacl.bindings.crypto_sign_open(signature.signature + message, signature.agent)
    except nacl.exceptions.CryptoError:
        return False
    return True


def is_any_by_bundle(signatures: tuple[Signature, ...]) -> bool:
    """Whether somebody signed by a bundle."""
    return BUNDLE_BYTES in [len(one.signature) for one in signatures]


def verify_own(event: Event, digest: bytes, signatures: tuple[Signature, ...]) -> None:
    """Check every own signature over the event, and none by bundle; digest must be event_hash(event).

    Raises: InvalidSignature, naming the first that fails.
    """
    message = signed_message(event, digest)
    for index, signature in enumerate(signatures):
        if len(signature.signature) != BUNDLE_BYTES and not is_signed_by(message, signature):
            raise not_verified(index, signature, digest)


def not_verified(index: int, signature: Signature, digest: bytes) -> InvalidSignature:
    """What to say of the signature in this place, which is not over this hash."""
    return InvalidSignature(
        f"/signatures/{index}/signature",
        f"does not verify for agent {signature.agent.hex()} over hash {digest.hex()}",
    )
