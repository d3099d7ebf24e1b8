"""What a peer keeps of a claim: one row, made from an envelope by the same checks as ours.

The services of peers decode, check, hash and verify with `model`, so that this costs all the same and a claim has the
same hash everywhere.  They take assertions with one signature, and nothing else.
"""

import unicodedata
from collections.abc import Iterator
from decimal import Context
from functools import lru_cache
from typing import Final

from msgspec import Struct

from model import (
    TIER_BY_SOURCE_CLASS,
    AnyValue,
    Assertion,
    InvalidField,
    ModelError,
    NumberValue,
    SignedEvent,
    TextValue,
    decode_envelope,
    encode_envelope,
    to_micros,
)

HIDDEN: Final = frozenset({"deprecated", "rejected"})  # stages that an answer leaves out
_EXACT: Final = Context(prec=12_000)  # enough for any number that an event may hold


class Fact(Struct, frozen=True, gc=False):
    """A verified claim as the columns of a table, in their order."""

    hash: bytes
    subject: str
    predicate: str
    object_type: str
    object_value: str
    value_key: str  # two values of a type are one if these are equal
    confidence_micros: int
    tier: int
    is_hidden: bool
    timestamp: int
    agent: bytes
    signature: bytes
    envelope: bytes  # as it is answered


def read_fact(body: bytes) -> Fact:
    """Decode, check, hash and verify one envelope.

    Raises: ModelError, also for what this table has no place for.
    """
    signed = decode_envelope(body)
    signed.verify()
    return fact_of(signed)


def read_facts(lines: list[bytes]) -> list[Fact | ModelError]:
    """The same of many, each on its own."""
    return list(_read_each(lines))


def _read_each(lines: list[bytes]) -> Iterator[Fact | ModelError]:
    for line in lines:
        try:
            yield read_fact(line)
        except ModelError as error:
            yield error


def fact_of(signed: SignedEvent) -> Fact:
    event = signed.event
    if not isinstance(event, Assertion):
        raise InvalidField("/event/kind", "only assertions are kept here")
    if len(signed.signatures) != 1:
        raise InvalidField("/signatures", "only one signature is kept here")
    (signature,) = signed.signatures
    said = event.object
    kind = str(said.__struct_config__.tag)
    return Fact(
        hash=signed.digest,
        subject=event.subject,
        predicate=event.predicate,
        object_type=kind,
        object_value=_text_of(said),
        value_key=f"{kind}:{_plain(said)}",
        confidence_micros=to_micros(event.confidence),
        tier=TIER_BY_SOURCE_CLASS[event.source_class],
        is_hidden=event.lifecycle in HIDDEN,
        timestamp=event.timestamp,
        agent=signature.agent,
        signature=signature.signature,
        envelope=encode_envelope(signed),
    )


def _text_of(said: AnyValue) -> str:
    if isinstance(said.value, bool):
        return "true" if said.value else "false"
    return said.value


def _plain(said: AnyValue) -> str:
    if isinstance(said, NumberValue):
        return _exact_number(said.value)
    if isinstance(said, TextValue):
        return unicodedata.normalize("NFC", said.value).strip()
    return _text_of(said)


@lru_cache(4096)
def _exact_number(text: str) -> str:
    number = _EXACT.create_decimal(text)
    return str(number.normalize(_EXACT)) if number else "0"
