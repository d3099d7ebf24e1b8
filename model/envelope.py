"""The envelope: an event and who signed it, as it travels in JSON.

Decoding is strict: unknown fields, nulls, floats and wrong lengths are refused
with a JSON pointer to the field.  What is verified later is the canonical form
of exactly what was decoded here, so no second reading of the bytes exists.
"""

import re
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from model.assertion import Assertion
from model.errors import FieldRule, InvalidField, Malformed, UnknownKind
from model.event import Event, canonical_bytes, event_hash, hash_of_canonical
from model.governance import Bundle
from model.signing import Signature, SigningKey, verify_own
from model.text import PATTERN_MEANINGS, HexAgent, HexHash, HexSignature, check_form
from model.voucher import FindVoucher, no_bundles, verify

SIGNATURES_MAX: Final = 16
_DETAIL_CHARS_SHOWN: Final = 200  # a refusal shows what was sent, and must not be as large as that


class EnvelopeSignature(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One signer; either its signature, or the bundle in which it signed this event."""

    agent: HexAgent
    signature: HexSignature | UnsetType = UNSET
    bundle: HexHash | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.signature is UNSET) is (self.bundle is UNSET):
            raise FieldRule("signature", "or bundle must be given, and only one of them")


class Envelope(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An event with 1 to 16 signatures, no signer twice."""

    event: Event
    signatures: Annotated[list[EnvelopeSignature], Meta(min_length=1, max_length=SIGNATURES_MAX)]

    def __post_init__(self) -> None:
        agents = {signature.agent for signature in self.signatures}
        if len(agents) != len(self.signatures):
            raise FieldRule("signatures", "name the same agent twice")
        if not isinstance(self.event, Assertion) and self.event.agent not in agents:
            raise FieldRule("signatures", f"lack that of the event's agent {self.event.agent}")


class SignedEvent(Struct, frozen=True, gc=False):
    """An event with its hash (32 bytes) and its signatures; verified or not is the caller's knowledge."""

    event: Event
    digest: bytes
    signatures: tuple[Signature, ...]

    def verify(self, find: FindVoucher = no_bundles) -> None:
        """Check every signature; find: verified bundles at hand.

        Raises: InvalidSignature; UnknownBundle.
        """
        verify(self.event, self.digest, self.signatures, find)

    def verify_own(self) -> None:
        """Check every signature but those by bundle.  Raises: InvalidSignature."""
        verify_own(self.event, self.digest, self.signatures)

    @property
    def hash_hex(self) -> str:
        """The hash as 64 lower-case hex digits."""
        return self.digest.hex()


_decode = msgspec.json.Decoder(Envelope).decode
_encode = msgspec.json.Encoder().encode
_PATH = re.compile(r"(?P<detail>.*) - at `(?P<path>(?:key in )?\$.*)`\Z", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")


def decode_envelope(data: bytes) -> SignedEvent:
    """Read one envelope; the hash is computed, the signatures are not yet verified.

    Raises: Malformed; InvalidField with a pointer; UnknownKind.
    """
    try:
        envelope = _decode(data)
    except msgspec.ValidationError as error:
        raise _invalid_field(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the body is not one JSON object in UTF-8: {error}") from error
    return from_envelope(envelope)


def from_envelope(envelope: Envelope) -> SignedEvent:
    """The event with raw bytes for hex.

    Raises: InvalidField for a string that is not in its Unicode form, and for a bundle that is signed by a bundle.
    """
    canonical = canonical_bytes(envelope.event)
    if not canonical.isascii():
        _check_forms(msgspec.to_builtins(envelope.event), "/event")
    signatures = tuple([raw_signature(entry) for entry in envelope.signatures])
    if isinstance(envelope.event, Bundle):
        _check_own(signatures)
    return SignedEvent(envelope.event, hash_of_canonical(envelope.event, canonical), signatures)


def to_envelope(event: Event, signatures: tuple[Signature, ...]) -> Envelope:
    """The envelope of an event and its signatures."""
    return Envelope(event=event, signatures=[shown_signature(one) for one in signatures])


def raw_signature(entry: EnvelopeSignature) -> Signature:
    """A signer with raw bytes for hex."""
    said = entry.bundle if entry.signature is UNSET else entry.signature
    return Signature(bytes.fromhex(entry.agent), bytes.fromhex(said))  # type: ignore[arg-type]  # one of them is set


def shown_signature(signature: Signature) -> EnvelopeSignature:
    """A signer with hex for raw bytes."""
    agent, said = signature.agent.hex(), signature.signature.hex()
    if signature.bundle is None:
        return EnvelopeSignature(agent=agent, signature=said)
    return EnvelopeSignature(agent=agent, bundle=said)


def encode_envelope(signed: SignedEvent) -> bytes:
    """One envelope as a line of JSON, without the line break."""
    return _encode(to_envelope(signed.event, signed.signatures))


def sign_event(event: Event, key: SigningKey) -> SignedEvent:
    """Sign one event with one key."""
    digest = event_hash(event)
    return SignedEvent(event, digest, (key.sign_hash(event, digest),))


def _check_own(signatures: tuple[Signature, ...]) -> None:
    for index, signature in enumerate(signatures):
        if signature.bundle is not None:
            raise InvalidField(f"/signatures/{index}/bundle", "is of a bundle; a bundle takes an own signature")


def _check_forms(value: Any, pointer: str) -> None:
    """Check every string of an event, wherever it stands."""
    if isinstance(value, str):
        try:
            check_form(pointer, value)
        except FieldRule as rule:
            raise InvalidField(pointer, rule.detail) from rule
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check_forms(inner, f"{pointer}/{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_forms(inner, f"{pointer}/{index}")


def _shortened(detail: str) -> str:
    """The detail, which may quote what was sent: the beginning of a long one, without what moves a cursor."""
    shown = detail if len(detail) <= _DETAIL_CHARS_SHOWN else f"{detail[:_DETAIL_CHARS_SHOWN]}…"
    return shown if shown.isprintable() else "".join(one if one.isprintable() else "\ufffd" for one in shown)


def _invalid_field(error: msgspec.ValidationError) -> InvalidField:
    """Turn msgspec's message, or a struct's own rule, into a pointer and a detail."""
    match = _PATH.match(str(error))
    path, detail = (match["path"], match["detail"]) if match else ("$", str(error))
    pointer = "".join(f"/{name or index}" for name, index in _STEP.findall(path))
    rule = error.__cause__
    if isinstance(rule, FieldRule):
        return InvalidField(f"{pointer}/{rule.field}", rule.detail)
    missing = re.match(r"Object missing required field `(\w+)`", detail)
    if missing:
        return InvalidField(f"{pointer}/{missing[1]}", "is missing")
    unknown = re.match(r"Object contains unknown field `(.*)`\Z", detail, re.DOTALL)
    if unknown:
        name = unknown[1][:80].replace("~", "~0").replace("/", "~1")
        return InvalidField(f"{pointer}/{name}", "is not a field of this object")
    pattern = re.match(r"Expected `str` matching regex (.*)\Z", detail)
    if pattern:
        return InvalidField(pointer, PATTERN_MEANINGS.get(pattern[1], detail))
    if pointer == "/event/kind":
        return UnknownKind(pointer, _shortened(detail))
    return InvalidField(pointer, _shortened(detail))
