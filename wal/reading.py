"""Reading by position: find the segment, walk to the seq, collect frames up to the bounds.

Works on what the log says is durable and nothing beyond; holds at most one
read buffer and the frames that it gives back.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from wal.errors import Corrupt, FutureSeq, Truncated
from wal.format import Frame
from wal.segment import Place, Segment


class Hint(NamedTuple):
    """Where the last read ended: reading on from there needs no search."""

    segment: Segment
    place: Place


class Durable(NamedTuple):
    """What may be read: the segments, and the place after the last durable frame, in the last of them."""

    segments: tuple[Segment, ...]
    end: Place


def read_frames(
    durable: Durable, seq: int, hint: Hint | None, *, count_max: int, bytes_max: int
) -> tuple[list[Frame], Hint | None]:
    """Frames from seq on in order, at least one if there is any; and where the next read may go on.

    Raises: FutureSeq beyond the end; Truncated before the first; Corrupt.
    """
    if seq > durable.end.seq:
        raise FutureSeq(f"seq {seq} is beyond the end of the log, {durable.end.seq}")
    if seq < durable.segments[0].first_seq:
        raise Truncated(f"seq {seq} is gone; the first one kept is {durable.segments[0].first_seq}")
    frames: list[Frame] = []
    left = max(bytes_max, 1)
    while seq < durable.end.seq and len(frames) < count_max and left > 0:
        index = _segment_index(durable.segments, seq)
        found, hint = _read_segment(durable, index, seq, hint, count_max - len(frames), left)
        frames.extend(found)
        seq += len(found)
        left -= sum(len(frame.payload) for frame in found)
    return frames, hint


def _read_segment(
    durable: Durable, index: int, seq: int, hint: Hint | None, count_max: int, bytes_max: int
) -> tuple[list[Frame], Hint]:
    """Frames of one segment; at least one, for the caller knows that seq is durable."""
    segment = durable.segments[index]
    last = index == len(durable.segments) - 1
    end = durable.end.offset if last else segment.size()
    place = hint.place if hint and hint.segment is segment and hint.place.seq == seq else segment.near(seq)
    frames: list[Frame] = []
    size_bytes = 0
    for frame, after in segment.walk(place, end):
        place = after
        segment.note(after.seq, after.offset)
        if frame.seq < seq:
            continue
        frames.append(frame)
        size_bytes += len(frame.payload)
        if len(frames) >= count_max or size_bytes >= bytes_max:
            return frames, Hint(segment, place)
    expected = durable.end.seq if last else durable.segments[index + 1].first_seq
    if place.seq != expected:
        raise Corrupt(segment.path, end, f"frames up to seq {expected}", f"the end after seq {place.seq - 1}")
    return frames, Hint(segment, place)


def _segment_index(segments: Sequence[Segment], seq: int) -> int:
    return bisect_right(segments, seq, key=lambda segment: segment.first_seq) - 1
