"""The shape of any event as it is kept.

Source: docs/http.md, "Lists and records".
"""

from msgspec import Struct

from model import Bundle, EnvelopeSignature, Event


class StoredEvent(Struct, frozen=True):
    """An event of any kind as it was signed, with its first position.

    signatures: those that it first came with, of an assertion all.  agents: all who have signed it so far.
    since_seq: of a kind that counts only when an operator signs it, from which position on it does.
    """

    hash: str
    kind: str
    seq: int
    time_ms: int
    event: Event
    signatures: list[EnvelopeSignature]
    agents: list[str]
    since_seq: int | None


class StoredBundle(Struct, frozen=True):
    """A bundle as it was signed, with its first position: its agent signed all that it lists, written or not.

    agents: all who have signed the bundle so far; only its own agent vouches for what it lists.
    """

    hash: str
    seq: int
    time_ms: int
    event: Bundle
    signatures: list[EnvelopeSignature]
    agents: list[str]
