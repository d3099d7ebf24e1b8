"""What our folds read: an event with its place in the log."""

from msgspec import Struct

from model import FRAME_KIND_EVENT, EventRecord, UnsupportedRecord, decode_record
from wal import Frame


class LoggedEvent(Struct, frozen=True):
    """An event as it stands in the log."""

    seq: int
    time: int
    record: EventRecord


def decode_frame(frame: Frame) -> LoggedEvent:
    """Read a frame's event.  Raises: UnsupportedRecord for another kind of frame or a damaged record."""
    if frame.kind != FRAME_KIND_EVENT:
        raise UnsupportedRecord(f"seq {frame.seq} is a frame of kind {frame.kind}; this program folds kind 1")
    return LoggedEvent(frame.seq, frame.time, decode_record(frame.payload))
