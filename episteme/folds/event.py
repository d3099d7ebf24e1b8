"""What our folds read: an event with its place in the log."""

import msgspec
from msgspec import Struct

from model import FRAME_KIND_EVENT, Event, Signature, UnsupportedRecord, decode_event, decode_raw_record
from wal import Frame

ASSERTION = "assertion"
VOTE = "vote"


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
    assertion: str  # hash in hex of what a vote is on

    @property
    def event(self) -> Event:
        """The event itself, by all rules of its kind.  Raises: UnsupportedRecord."""
        return decode_event(self.raw)


def decode_frame(frame: Frame) -> LoggedEvent:
    """Read a frame's event.  Raises: UnsupportedRecord for another kind of frame or a damaged record."""
    if frame.kind != FRAME_KIND_EVENT:
        raise UnsupportedRecord(f"seq {frame.seq} is a frame of kind {frame.kind}; this program folds kind 1")
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
    )
