"""What our folds read: an event with its place in the log."""

import msgspec
from msgspec import Struct

from model import (
    FRAME_KIND_EVENT,
    FRAME_KIND_RULES,
    DatabaseRules,
    Event,
    Signature,
    UnsupportedRecord,
    decode_event,
    decode_raw_record,
    decode_rules,
)
from wal import Frame

ASSERTION = "assertion"
VOTE = "vote"
RULES = "rules"  # no event: the database's own rules from here on


class LoggedEvent(Struct, frozen=True, gc=False):
    """An event as it stands in the log; what is empty its kind does not have.

    Folding most events needs no more than their head, so the rest is read when it is asked for.
    """

    seq: int
    time: int  # hybrid logical clock, as the frame's
    digest: bytes
    signatures: tuple[Signature, ...]
    raw: msgspec.Raw  # the event in msgpack, as the log has it
    kind: str
    subject: str
    predicate: str
    assertion: str  # hash in hex of what a vote or a supersession is on
    tokens: int = 0  # what it cost the quota of each who said something new by it
    known: tuple[int, ...] = ()  # places of the signatures that did not
    source_class: str = ""
    parent_hash: str = ""
    source_hash: str = ""
    epoch: str = ""

    @property
    def event(self) -> Event:
        """The event itself, by all rules of its kind; not of RULES.  Raises: UnsupportedRecord."""
        return decode_event(self.raw)

    @property
    def rules(self) -> DatabaseRules:
        """What a frame of kind RULES says.  Raises: UnsupportedRecord."""
        return decode_rules(bytes(self.raw))


def decode_frame(frame: Frame) -> LoggedEvent:
    """Read a frame's event, or the rules that it sets.

    Raises: UnsupportedRecord for another kind of frame or a damaged record.
    """
    if frame.kind == FRAME_KIND_RULES:
        return LoggedEvent(frame.seq, frame.time, b"", (), msgspec.Raw(frame.payload), RULES, "", "", "")
    if frame.kind != FRAME_KIND_EVENT:
        raise UnsupportedRecord(f"seq {frame.seq} is a frame of kind {frame.kind}; this program folds kinds 1 and 2")
    record, head = decode_raw_record(frame.payload)
    return LoggedEvent(
        frame.seq,
        frame.time,
        record.digest,
        record.signatures,
        record.event,
        head.kind,
        head.subject,
        head.predicate,
        head.assertion,
        record.receipt.tokens,
        record.receipt.known,
        head.source_class,
        head.parent_hash,
        head.source_hash,
        head.epoch,
    )
