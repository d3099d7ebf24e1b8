"""What may be judged of a submission without the state: shape, limits, audience.

Cheap checks come before dear ones: size, then shape, then audience; the
signature is verified later, in bounded chunks on other threads.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from episteme.errors import (
    FieldProblem,
    InvalidField,
    InvalidSignature,
    TooLarge,
    WrongAudience,
    translate,
)
from model import Assertion, FieldRule, SignedEvent, decode_envelope, encode_envelope

# JSON may write a byte as six: a claim with its longest text, narrative and metadata, and 16 signatures.
ENVELOPE_BYTES_MAX: Final = 256 * 1024
# A source's content may take 1 MiB, again six times that; under the log's bound of 8 MiB a frame.
EVENT_BYTES_MAX: Final = 7 * 1024 * 1024


class _BundleHead(msgspec.Struct):
    """What tells a bundle's envelope from any other."""

    class Event(msgspec.Struct):
        kind: Literal["bundle"]

    event: Event


_decode_bundle_head: Final = msgspec.json.Decoder(_BundleHead).decode


def admit(data: bytes, database: str, *, bytes_max: int) -> SignedEvent:
    """Read one envelope and check all but its signatures.

    Raises: TooLarge; Malformed; InvalidField; UnknownKind; WrongAudience.
    """
    if len(data) > bytes_max:
        raise TooLarge(f"the envelope has {len(data)} bytes; at most {bytes_max} are taken")
    try:
        signed = decode_envelope(data)
    except ValueError as error:
        raise translate(error) from error
    check_audience(signed, database)
    return signed


def readmit(signed: SignedEvent, database: str, *, bytes_max: int) -> SignedEvent:
    """Admit an event that was made in this process: as strictly as one that came over the wire.

    A struct is not checked when it is constructed, and what breaks a rule must never reach the log.
    Raises: as admit; InvalidSignature if the hash is not that of the event.
    """
    admitted = admit(envelope_line(signed), database, bytes_max=bytes_max)
    if admitted.digest != signed.digest:
        problem = FieldProblem("/signatures", f"are over {signed.hash_hex}, the event's hash is {admitted.hash_hex}")
        raise InvalidSignature(f"{problem.pointer}: {problem.detail}", errors=(problem,))
    return admitted


def envelope_line(signed: SignedEvent) -> bytes:
    """The event as it travels.  Raises: InvalidField for one that no envelope can hold."""
    try:
        return encode_envelope(signed)
    except FieldRule as rule:
        problem = FieldProblem(f"/{rule.field}", rule.detail)
    except (TypeError, ValueError) as error:
        problem = FieldProblem("/event", str(error))
    raise InvalidField(f"{problem.pointer}: {problem.detail}", errors=(problem,))


def check_audience(signed: SignedEvent, database: str) -> None:
    """Refuse an assertion that is meant for another database.  Raises: WrongAudience."""
    event = signed.event
    if isinstance(event, Assertion) and isinstance(event.audience, str) and event.audience != database:
        detail = f"the assertion is meant for {event.audience!r}; this database is {database!r}"
        raise WrongAudience(detail, errors=(FieldProblem("/event/audience", detail),))


def check_count(lines: Sequence[tuple[int, bytes]], count_max: int) -> None:
    """Refuse too many lines at once; the bundle that signs those behind it is not counted.  Raises: TooLarge."""
    if len(lines) > count_max + (len(lines) == count_max + 1 and _is_bundle(lines[0][1])):
        raise TooLarge(f"the body has {len(lines)} lines; at most {count_max} are taken, and a bundle before them")


def split_lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines of an NDJSON body that are not blank, with their numbers from 1."""
    for number, line in enumerate(body.split(b"\n"), 1):
        stripped = line.strip()
        if stripped:
            yield number, stripped


def _is_bundle(line: bytes) -> bool:
    try:
        _decode_bundle_head(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
