"""One frame of the log as a line of JSON, and back: nothing is lost on the way.

An event shows its fields as they were signed, rules and lost frames say what
they are.  A frame that is none of these, or whose bytes are not what this
program would write, travels as bytes.  Every frame has exactly one line, so a
line that is not the one of its frame is refused.

Source: docs/http.md, "The log"; docs/format-log.md.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from episteme.errors import FieldProblem, InvalidField, Malformed, VerificationFailed
from model import (
    FRAME_KIND_EVENT,
    FRAME_KIND_RULES,
    OPERATORS_MAX,
    SIGNATURES_MAX,
    DatabaseRules,
    EnvelopeSignature,
    Event,
    ModelError,
    Receipt,
    SignedEvent,
    decode_record,
    decode_rules,
    encode_record,
    encode_rules,
    event_hash,
    kind_of,
    raw_signature,
    shown_signature,
)
from model.text import HexAgent, HexHash
from wal import Frame
from wal.format import FLAG_LOST, FLAG_MORE, FLAG_SYNCED, KIND_MAX, LOGICAL_BITS

RULES: Final = "rules"
LOST: Final = "lost"
OPAQUE: Final = "opaque"
FRAME_KIND_LOST: Final = 0  # what a repair gives the frames that it puts

FlagName = Literal["more", "synced", "lost"]
_FLAGS: Final[tuple[tuple[FlagName, int], ...]] = (("more", FLAG_MORE), ("synced", FLAG_SYNCED), ("lost", FLAG_LOST))
_NAMES_BY_FLAGS: Final = tuple(tuple(name for name, bit in _FLAGS if flags & bit) for flags in range(8))
_FLAGS_BY_NAMES: Final = {names: flags for flags, names in enumerate(_NAMES_BY_FLAGS)}
_COUNTER_MAX: Final = 2**LOGICAL_BITS - 1
_INT_MAX: Final = 2**53 - 1  # what every reader of JSON holds exactly
_CHAIN_MAX: Final = 2**32 - 1
_TIME_MS_MAX: Final = 2**48 - 1


class LoggedReceipt(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """What the database saw when it took an event; nobody signed it.

    via: how it came.  tokens: what it cost each signer who said something new by it.
    known: places of the signatures, from 0, that were known before.
    """

    via: str = ""
    tokens: Annotated[int, Meta(ge=0, le=_INT_MAX)] = 0
    known: Annotated[tuple[Annotated[int, Meta(ge=0, lt=SIGNATURES_MAX)], ...], Meta(max_length=SIGNATURES_MAX)] = ()


class LoggedRules(Struct, frozen=True, forbid_unknown_fields=True):
    """Rules of the database, which hold from their position on; operators: public keys in hex."""

    operators: Annotated[tuple[HexAgent, ...], Meta(max_length=OPERATORS_MAX)]
    anecdotal_cluster_count: Annotated[int, Meta(ge=1, le=_INT_MAX)]
    regulatory_conflict_micros: Annotated[int, Meta(ge=0, le=1_000_000)]


class LogLine(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """One position of the log.

    time_ms, counter: when the log took it; a counter above 0 parts frames of one millisecond.
    chain: checksum of the frame before (CRC-32C), 0 for the first.
    flags: more (the next frame is of the same batch), synced, lost; docs/format-log.md says what they mean.
    An event has hash, event, signatures and receipt.  rules: the database's own, from here on.
    lost: why a repair found nothing whole at this position.
    frame_kind and payload (Base64): of a frame that this program cannot show otherwise.
    """

    seq: Annotated[int, Meta(ge=0, le=_INT_MAX)]
    time_ms: Annotated[int, Meta(ge=0, le=_TIME_MS_MAX)]
    counter: Annotated[int, Meta(ge=0, le=_COUNTER_MAX)] = 0
    hash: HexHash | None = None
    event: Event | None = None
    signatures: Annotated[tuple[EnvelopeSignature, ...], Meta(max_length=SIGNATURES_MAX)] = ()
    receipt: LoggedReceipt | None = None
    rules: LoggedRules | None = None
    lost: str | None = None
    frame_kind: Annotated[int, Meta(ge=0, le=KIND_MAX)] | None = None
    payload: bytes | None = None
    flags: tuple[FlagName, ...] = ()
    chain: Annotated[int, Meta(ge=0, le=_CHAIN_MAX)] = 0

    @property
    def kind(self) -> str:
        """The event's kind; or rules, lost, opaque."""
        if self.event is not None:
            return kind_of(self.event)
        if self.rules is not None:
            return RULES
        return LOST if "lost" in self.flags else OPAQUE

    @property
    def subject(self) -> str | None:
        """What the event is about, if its kind has a subject."""
        return getattr(self.event, "subject", None)

    @property
    def predicate(self) -> str | None:
        """Which property, if the event's kind has one."""
        return getattr(self.event, "predicate", None)

    @property
    def agents(self) -> tuple[str, ...]:
        """Who signed, as public keys in hex."""
        return tuple(signature.agent for signature in self.signatures)

    @property
    def signed(self) -> SignedEvent | None:
        """The event as it was signed, its hash checked, its signatures not; None: it is no event.

        Raises: VerificationFailed if the hash is not the event's.
        """
        if self.event is None:
            return None
        digest = event_hash(self.event)
        if digest.hex() != self.hash:
            detail = f"seq {self.seq}: the event's hash is {digest.hex()}, and the line says {self.hash}"
            raise VerificationFailed(detail, errors=(FieldProblem("/hash", "is not the event's"),))
        return SignedEvent(self.event, digest, tuple([raw_signature(one) for one in self.signatures]))


encode_line: Final = msgspec.json.Encoder().encode  # compact, without a line break
_decode: Final = msgspec.json.Decoder(LogLine).decode


def decode_line(data: bytes) -> LogLine:
    """Read one line of JSON; whether it is the line of a frame, frame_of tells.

    Raises: Malformed; InvalidField.
    """
    try:
        return _decode(data)
    except msgspec.ValidationError as error:
        raise InvalidField(f"the log line breaks a rule: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"the log line is not one JSON object in UTF-8: {error}") from error


def line_of(frame: Frame) -> LogLine:
    """The line of a frame."""
    return LogLine(
        seq=frame.seq,
        time_ms=frame.time_ms,
        counter=frame.time & _COUNTER_MAX,
        flags=_NAMES_BY_FLAGS[frame.flags],
        chain=frame.chain,
        **(_told(frame) or {"frame_kind": frame.kind, "payload": frame.payload}),
    )


def frame_of(line: LogLine) -> Frame:
    """The frame of a line, byte for byte.

    An event's hash is checked, its signatures are not: SignedEvent.verify does that.
    Raises: VerificationFailed if the hash is not the event's; InvalidField if this is the line of no frame.
    """
    bodies = (line.event, line.rules, line.lost, line.payload)
    if sum(body is not None for body in bodies) != 1:
        raise _not_canonical(line, "", "has not exactly one of event, rules, lost and payload")
    if line.flags not in _FLAGS_BY_NAMES:
        raise _not_canonical(line, "flags", "are not in the order more, synced, lost, each at most once")
    if line.event is None and (line.hash is not None or line.signatures or line.receipt is not None):
        raise _not_canonical(line, "event", "is missing, and there is a hash, a signature or a receipt")
    kind, payload = _payload_of(line)
    flags = _FLAGS_BY_NAMES[line.flags]
    frame = Frame(line.seq, line.time_ms << LOGICAL_BITS | line.counter, kind, flags, payload, line.chain)
    if (_told(frame) is None) is (line.payload is None):
        raise _not_canonical(line, "payload", "or flags say otherwise what has a form of its own")
    return frame


def _told(frame: Frame) -> dict[str, Any] | None:
    """What a line says of the payload; None for one that can only be shown as bytes."""
    try:
        if frame.lost:
            return {"lost": frame.payload.decode()} if frame.kind == FRAME_KIND_LOST else None
        if frame.kind == FRAME_KIND_EVENT:
            return _told_event(frame.payload)
        return _told_rules(frame.payload) if frame.kind == FRAME_KIND_RULES else None
    except (ModelError, UnicodeDecodeError):
        return None


def _told_event(payload: bytes) -> dict[str, Any] | None:
    record = decode_record(payload)
    receipt = record.receipt
    fits = len(record.signatures) <= SIGNATURES_MAX and 0 <= receipt.tokens <= _INT_MAX
    known = receipt.known
    if not fits or len(known) > SIGNATURES_MAX or any(not 0 <= place < SIGNATURES_MAX for place in known):
        return None
    if encode_record(record.signed, receipt) != payload:
        return None
    return {
        "hash": record.digest.hex(),
        "event": record.event,
        "signatures": tuple([shown_signature(one) for one in record.signatures]),
        "receipt": LoggedReceipt(receipt.via, receipt.tokens, receipt.known),
    }


def _told_rules(payload: bytes) -> dict[str, Any] | None:
    rules = decode_rules(payload)
    if encode_rules(rules) != payload or rules.anecdotal_cluster_count > _INT_MAX:
        return None
    operators = tuple(operator.hex() for operator in rules.operators)
    return {"rules": LoggedRules(operators, rules.anecdotal_cluster_count, rules.regulatory_conflict_micros)}


def _payload_of(line: LogLine) -> tuple[int, bytes]:
    """Kind and payload of the frame."""
    if line.payload is not None:
        if line.frame_kind is None:
            raise _not_canonical(line, "frame_kind", "is missing beside the payload")
        return line.frame_kind, line.payload
    if line.frame_kind is not None:
        raise _not_canonical(line, "frame_kind", "goes with a payload, and there is none")
    if line.rules is not None:
        operators = tuple(bytes.fromhex(operator) for operator in line.rules.operators)
        rules = DatabaseRules(operators, line.rules.anecdotal_cluster_count, line.rules.regulatory_conflict_micros)
        return FRAME_KIND_RULES, encode_rules(rules)
    if line.lost is not None:
        return FRAME_KIND_LOST, line.lost.encode()
    signed, receipt = line.signed, line.receipt
    assert signed is not None, line
    if receipt is None:
        raise _not_canonical(line, "receipt", "is missing")
    return FRAME_KIND_EVENT, encode_record(signed, Receipt(receipt.via, receipt.tokens, receipt.known))


def _not_canonical(line: LogLine, field: str, detail: str) -> InvalidField:
    problem = FieldProblem(f"/{field}" if field else "", detail)
    return InvalidField(f"seq {line.seq}: {field or 'the line'} {detail}", errors=(problem,))
