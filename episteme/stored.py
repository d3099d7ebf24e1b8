"""The shape of any event as it is kept.

Source: docs/http.md, "Lists and records".
"""

from msgspec import Struct

from model import EnvelopeSignature, Event


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
