"""Reading by position: find the segment, walk to the seq, collect frames up to the bounds.

Works on the contents that the log shows and nothing beyond; holds at most one
read buffer, the frames that it gives back, and the places where reads ended.
"""

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from wal.errors import Corrupt, FutureSeq, Truncated
from wal.files import Files
from wal.format import LOGICAL_BITS, Frame
from wal.index import STRIDE
from wal.scan import READ_BYTES, Place, walk
from wal.segment import Segment

_PLACES_MAX: Final = 256  # readers that go on where they were need no search
_FIRST_READ_BYTES: Final = 64 * 1024  # of a read whose length is not known


class Contents(NamedTuple):
    """What there is: the segments, and the place after the last frame, in the last of them."""

    segments: tuple[Segment, ...]
    end: Place

    @property
    def first_seq(self) -> int:
        """The first seq that is kept."""
        return self.segments[0].first_seq

    def index_of(self, seq: int) -> int:
        """Which segment holds seq."""
        return bisect_right(self.segments, seq, key=lambda segment: segment.first_seq) - 1

    def end_of(self, index: int) -> Place:
        """The place behind the last frame of a segment."""
        return self.end if index == len(self.segments) - 1 else self.segments[index].end


class Reading:
    """Reads of one log's segments.  Thread-safe."""

    def __init__(self, files: Files, contents: Callable[[], Contents]) -> None:
        """contents: what may be read now; a newer answer never shows less, but for what retention removed."""
        self._files = files
        self._contents = contents
        self._places: dict[int, tuple[Segment, Place]] = {}
        self._remembering = threading.Lock()  # of changes to the places; a look at one needs none

    def forward(self, seq: int, count_max: int, bytes_max: int) -> list[Frame]:
        """Frames from seq on, at least one if there is any.

        Raises: FutureSeq; Truncated; Corrupt.
        """
        contents = self._contents()
        _check_range(contents, seq)
        frames: list[Frame] = []
        left = max(bytes_max, 1)
        count_max = max(count_max, 1)
        while seq < contents.end.seq and len(frames) < count_max and left > 0:
            try:
                found = self._segment(contents, seq, count_max - len(frames), left)
            except (FileNotFoundError, Corrupt, Truncated):
                if frames:
                    return frames  # the next read will meet it
                raise
            frames = frames + found if frames else found
            seq += len(found)
            left -= sum(len(frame.payload) for frame in found) if seq < contents.end.seq else 0
        return frames

    def backward(self, seq: int, count_max: int, bytes_max: int) -> list[Frame]:
        """Frames before seq, newest first, at least one if there is any.

        Where retention overtakes the read, it ends at the new floor.
        Raises: FutureSeq; Truncated only if seq itself is below the floor; Corrupt.
        """
        contents = self._contents()
        _check_range(contents, seq)
        frames: list[Frame] = []
        count_max, bytes_max = max(count_max, 1), max(bytes_max, 1)
        while seq > contents.first_seq and len(frames) < count_max and bytes_max > 0:
            start = max(contents.first_seq, (seq - 1) // STRIDE * STRIDE)
            try:
                found = self._newest(contents, start, seq, count_max - len(frames), bytes_max)
            except Truncated:
                contents = self._contents()
                continue
            frames += reversed(found)
            bytes_max -= sum(len(frame.payload) for frame in found)
            seq = start
        return frames

    def seek_time(self, time_ms: int) -> int:
        """The seq of the first frame whose milliseconds are not below time_ms; else the end.

        Raises: Corrupt.
        """
        while True:
            contents = self._contents()
            try:
                return self._seek(contents, max(0, time_ms) << LOGICAL_BITS)
            except FileNotFoundError:
                if self._contents().first_seq == contents.first_seq:  # it was not retention
                    raise

    def _seek(self, contents: Contents, time: int) -> int:
        ends = range(len(contents.segments))
        index = bisect_right(ends, time - 1, key=lambda at: contents.end_of(at).time)
        if index == len(ends):
            return contents.end.seq
        segment, end = contents.segments[index], contents.end_of(index)
        near = segment.index.near_time(time)
        with segment.opened() as handle:
            if near is not None:
                with suppress(Corrupt):
                    seq = self._first_since(segment, handle, near, end, time)
                    if seq > near.seq:
                        return seq
                segment.make_index()  # it may be the index that is wrong: the frame that it names must be earlier
            return self._first_since(segment, handle, segment.start, end, time)

    def _first_since(self, segment: Segment, handle: int, place: Place, end: Place, time: int) -> int:
        """The seq of the first frame from place on that is not before time; else the end."""
        for run in walk(self._files, handle, segment.path, place, end.offset, read_bytes=_FIRST_READ_BYTES):
            for frame in run.frames:
                if frame.time >= time:
                    return frame.seq
            place = run.after
            if run.damage:
                raise run.damage
        if place.seq != end.seq:
            raise _ends_early(segment, place, end)
        return end.seq

    def _newest(self, contents: Contents, start: int, end: int, count_max: int, bytes_max: int) -> deque[Frame]:
        """The last of the frames from start to end that the bounds allow; never holds many more than those."""
        kept: deque[Frame] = deque(maxlen=min(count_max, STRIDE))
        while start < end:
            found = self._segment(contents, start, end - start, READ_BYTES)
            start += len(found)
            kept.extend(found)
            size = sum(len(frame.payload) for frame in kept)
            while size - len(kept[0].payload) >= bytes_max:
                size -= len(kept.popleft().payload)
        return kept

    def _segment(self, contents: Contents, seq: int, count_max: int, bytes_max: int) -> list[Frame]:
        """Frames of one segment; at least one, for seq is known to be there.

        Raises: Truncated if retention has just removed it; Corrupt.
        """
        index = contents.index_of(seq)
        segment, end = contents.segments[index], contents.end_of(index)
        try:
            with segment.opened() as handle:
                place = self._locate(segment, handle, seq, end)
                return self._collect(segment, handle, place, end, count_max, bytes_max)
        except FileNotFoundError:
            floor = self._contents().first_seq
            if seq < floor:
                raise Truncated(seq, floor) from None
            raise

    def _locate(self, segment: Segment, handle: int, seq: int, end: Place) -> Place:
        """Where seq starts: known from the read before, or found from the nearest place that the index knows."""
        known = self._places.get(seq)
        if known is not None and known[0] is segment:
            return known[1]
        place = segment.index.near(seq) if seq > segment.first_seq else None
        try:
            return self._advance(segment, handle, place or segment.start, seq, end)
        except Corrupt:
            if place is None:
                raise
            segment.make_index()  # it may be the index that is wrong
            return self._advance(segment, handle, segment.start, seq, end)

    def _advance(self, segment: Segment, handle: int, place: Place, seq: int, end: Place) -> Place:
        runs = walk(
            self._files,
            handle,
            segment.path,
            place,
            end.offset,
            count_max=seq - place.seq,
            read_bytes=_FIRST_READ_BYTES,
        )
        for run in runs:
            place = run.after
            segment.index.note_run(run)
            if run.damage:
                raise run.damage
        if place.seq != seq:
            raise _ends_early(segment, place, end)
        return place

    def _collect(
        self, segment: Segment, handle: int, place: Place, end: Place, count_max: int, bytes_max: int
    ) -> list[Frame]:
        frames: list[Frame] = []
        read_bytes = READ_BYTES if count_max > STRIDE else _FIRST_READ_BYTES
        runs = walk(
            *(self._files, handle, segment.path, place, end.offset),
            count_max=count_max,
            bytes_max=bytes_max,
            read_bytes=read_bytes,
        )
        for run in runs:
            frames = frames + run.frames if frames else run.frames
            place = run.after
            if run.damage and not frames:
                raise run.damage
        if not frames:
            raise _ends_early(segment, place, end)
        self._remember(segment, place)
        return frames

    def _remember(self, segment: Segment, place: Place) -> None:
        with self._remembering:
            if len(self._places) >= _PLACES_MAX:
                self._places.pop(next(iter(self._places)))
            self._places[place.seq] = segment, place


def _ends_early(segment: Segment, place: Place, end: Place) -> Corrupt:
    return Corrupt(segment.path, end.offset, f"frames up to seq {end.seq}", f"the end after seq {place.seq - 1}")


def _check_range(contents: Contents, seq: int) -> None:
    if seq > contents.end.seq:
        raise FutureSeq(seq, contents.end.seq)
    if seq < contents.first_seq:
        raise Truncated(seq, contents.first_seq)
