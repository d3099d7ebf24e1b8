"""What may be judged of a submission without the state: shape, limits, audience.

Cheap checks come before dear ones: size, then shape, then audience; the
signature is verified later, in bounded chunks on other threads.
"""

from collections.abc import Iterator
from typing import Final

from episteme.errors import TooLarge, WrongAudience, translate
from model import Assertion, SignedEvent, decode_envelope

# A source's content may take 1 MiB, and JSON may write each of its bytes as six.
ENVELOPE_BYTES_MAX: Final = 256 * 1024


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


def check_audience(signed: SignedEvent, database: str) -> None:
    """Refuse an assertion that is meant for another database.  Raises: WrongAudience."""
    event = signed.event
    if isinstance(event, Assertion) and isinstance(event.audience, str) and event.audience != database:
        raise WrongAudience(f"the assertion is meant for {event.audience!r}; this database is {database!r}")


def split_lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines of an NDJSON body that are not blank, with their numbers from 1."""
    for number, line in enumerate(body.split(b"\n"), 1):
        stripped = line.strip()
        if stripped:
            yield number, stripped
