"""Good frames behind damage: from the bytes of a segment to stretches of whole frames.  Pure.

A payload is other people's data and may hold bytes that look like frames with
fitting seqs.  So a stretch counts as proven only by what no payload can say:
it starts where the segment does, or where the damaged frame before it leads
(by its length, or by its crc, which the next frame repeats); it passes a place
that the index or the mark names; or it ends where, and with the chain with
which, the footer or the next segment says.  Of others only those are believed
that are too long for a payload, or that end the log outside the reach that the
damaged frame before claims; proven ones come first, then the longer.  What
lies within a whole frame is never looked at.

Source: docs/format-log.md.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from wal.format import (
    BODY_BYTES_MAX,
    FLAG_MORE,
    FLAG_SYNCED,
    FRAME,
    FRAME_HEADER_BYTES,
    BadBytes,
    frame_length,
)
from wal.scan import READ_BYTES, Place, scan

TIME_MAX: Final = 2**63 - 1  # the year 6429: no clock says more
FRAME_BYTES_MAX: Final = BODY_BYTES_MAX + 8
_ALL: Final = 2**62
_NO_PATH: Final = Path()


class Bounds(NamedTuple):
    """What is known of the frames of a segment from elsewhere."""

    start: Place  # of the first frame, and the time before it
    end: int  # offset up to which there may be frames
    end_seq: int  # no frame is at or above
    exact: bool  # the frames end at just these two
    chain: int | None  # crc of the frame before end_seq
    time_max: int  # of the frame before end_seq
    known: list[tuple[int, int]]  # seqs and the offsets at which they start, in order

    @property
    def is_open(self) -> bool:
        """Whether nothing says where the frames end: the last segment, not sealed."""
        return not self.exact and self.chain is None


class Stretch(NamedTuple):
    """Whole frames in a row, each chained to the one before."""

    first_seq: int
    starts: list[int]  # offset of each frame, and of the end
    first_time: int
    last_time: int
    chain: int  # of the first frame: crc of the one before it
    crc: int  # of the last frame
    complete_count: int  # frames up to the last that completes its batch
    synced: bool  # a frame says that all before it was on the disk

    @property
    def start(self) -> int:
        """Offset of the first frame."""
        return self.starts[0]

    @property
    def end(self) -> int:
        """Offset behind the last frame."""
        return self.starts[-1]

    @property
    def end_seq(self) -> int:
        """Seq behind the last frame."""
        return self.first_seq + len(self.starts) - 1

    @property
    def frame_count(self) -> int:
        """How many frames."""
        return len(self.starts) - 1

    @property
    def after(self) -> Place:
        """The place behind the last frame."""
        return Place(self.end, self.end_seq, self.crc, self.last_time)

    def first(self, data: bytes, count: int) -> "Stretch":
        """Its first frames, at least one."""
        _, crc, _, time, *_ = FRAME.unpack_from(data, self.starts[count - 1])
        complete_count = min(self.complete_count, count)
        return self._replace(starts=self.starts[: count + 1], last_time=time, crc=crc, complete_count=complete_count)


class Salvaged(NamedTuple):
    """The stretches to be kept, in order of place and of seq, and those that fit but are not to be believed."""

    kept: list[Stretch]
    doubtful: list[Stretch]


def salvage(data: bytes, bounds: Bounds) -> Salvaged:
    """The stretches of whole frames in a segment.

    data: the segment from its first byte on, so that positions are offsets.
    """
    found = [
        one
        for one in _stretches(data, bounds)
        if _follows(bounds.start, one) and (_is_first(one, bounds) or _ends_before(one, bounds))
    ]
    anchored = [one for one in found if _is_first(one, bounds) or _is_last(one, bounds)]
    known = bounds.known if all(_known(one, bounds.known) is not False for one in anchored) else []
    judged = list(_judged(data, found, bounds, known))
    chosen: list[Stretch] = []
    for _, stretch in sorted(judged, key=lambda one: (not one[0], -len(one[1].starts), one[1].start)):
        index = bisect_left(chosen, stretch.start, key=lambda one: one.start)
        before = chosen[index - 1].after if index else bounds.start
        if _follows(before, stretch) and (index == len(chosen) or _follows(stretch.after, chosen[index])):
            chosen.insert(index, stretch)
    starts = {one.start for one in chosen}
    return Salvaged(chosen, [one for one in found if one.start not in starts])


def _stretches(data: bytes, bounds: Bounds) -> Iterator[Stretch]:
    """Every stretch, in order of place; none lies within a frame of another."""
    first, position = bounds.start.seq, bounds.start.offset
    seqs = range(first, min(bounds.end_seq, first + (bounds.end - position) // FRAME_HEADER_BYTES + 1))
    if not seqs:
        return
    pattern = _pattern(seqs)
    while (match := pattern.search(data, position, bounds.end)) is not None:
        position = match.start()
        stretch = _stretch_at(data, position, bounds.end, seqs)
        if stretch is not None:
            yield stretch
        position = position + 1 if stretch is None else stretch.end


def _pattern(seqs: range) -> re.Pattern[bytes]:
    """Where a frame with one of the seqs could start: a length, the high bytes of the seq, flags."""
    highs = (number.to_bytes(5, "little") for number in range(seqs[0] >> 24, (seqs[-1] >> 24) + 1))
    high = b"|".join(re.escape(one) for one in highs)
    return re.compile(rb"(?s)(?=(?!\x00{3})..[\x00-\x80]\x00.{7}(?:" + high + rb").{10}[\x00-\x07]\x00.{4})")


def _stretch_at(data: bytes, position: int, end: int, seqs: range) -> Stretch | None:
    """The longest stretch that starts at a position."""
    seq = FRAME.unpack_from(data, position)[2]
    if seq not in seqs:
        return None
    place, starts, size = Place(position, seq, None, -1), list[int](), READ_BYTES
    first_time, chain, complete_count, synced = -1, 0, 0, False
    while place.offset < end:
        stop = min(place.offset + size, end)
        run = scan(data[place.offset : stop], _NO_PATH, place, seqs.stop - place.seq, _ALL)
        if run.frames:
            if not starts:
                first_time, chain = run.frames[0].time, run.frames[0].chain
            for index in range(len(run.frames), 0, -1):
                if not run.frames[index - 1].flags & FLAG_MORE:
                    complete_count = len(starts) + index
                    break
            synced = synced or any(frame.flags & FLAG_SYNCED for frame in run.frames)
            starts += run.starts
            place = run.after
        if run.damage is not None or place.seq == seqs.stop or (not run.frames and (stop == end or size > READ_BYTES)):
            break
        size = READ_BYTES if run.frames else FRAME_BYTES_MAX
    if not starts:
        return None
    starts.append(place.offset)
    return Stretch(seq, starts, first_time, place.time, chain, place.chain or 0, complete_count, synced)


def _follows(before: Place, stretch: Stretch) -> bool:
    """Whether a stretch can come after a place: room and time for each frame between."""
    gap, room = stretch.first_seq - before.seq, stretch.start - before.offset
    fits = room == 0 if gap == 0 else gap > 0 and room >= gap * FRAME_HEADER_BYTES
    return fits and stretch.first_time > before.time + gap


def _ends_before(stretch: Stretch, bounds: Bounds) -> bool:
    gap, room = bounds.end_seq - stretch.end_seq, bounds.end - stretch.end
    if gap < 0 or stretch.last_time + (gap if bounds.time_max < TIME_MAX else 0) > bounds.time_max:
        return False
    return not bounds.exact or (room == 0 if gap == 0 else room >= gap * FRAME_HEADER_BYTES)


def _is_first(stretch: Stretch, bounds: Bounds) -> bool:
    return (stretch.start, stretch.first_seq) == (bounds.start.offset, bounds.start.seq)


def _is_last(stretch: Stretch, bounds: Bounds) -> bool:
    return stretch.end_seq == bounds.end_seq and (bounds.exact or stretch.crc == bounds.chain)


def _known(stretch: Stretch, known: list[tuple[int, int]]) -> bool | None:
    """Whether places known from elsewhere confirm a stretch, or contradict it; None: neither."""
    low = bisect_left(known, stretch.first_seq, key=lambda one: one[0])
    high = bisect_right(known, stretch.end_seq, key=lambda one: one[0])
    if any(stretch.starts[seq - stretch.first_seq] != offset for seq, offset in known[low:high]):
        return False
    if low and known[low - 1][1] + FRAME_HEADER_BYTES * (stretch.first_seq - known[low - 1][0]) > stretch.start:
        return False
    if high < len(known) and stretch.end + FRAME_HEADER_BYTES * (known[high][0] - stretch.end_seq) > known[high][1]:
        return False
    return True if high > low else None


def _judged(
    data: bytes, stretches: list[Stretch], bounds: Bounds, known: list[tuple[int, int]]
) -> Iterator[tuple[bool, Stretch]]:
    """The stretches that may be believed, and whether each is proven."""
    damaged = bounds.start  # where the last proven stretch ends, and the first damaged frame behind it starts
    for stretch in stretches:
        confirmed = _known(stretch, known)
        anchored = _is_first(stretch, bounds) or _is_last(stretch, bounds)
        if confirmed is False and not anchored:
            continue
        claim_end, crc = _claim(data, damaged.offset)
        led = stretch.first_seq == damaged.seq + 1 and (stretch.start == claim_end or stretch.chain == crc)
        if anchored or confirmed or led:
            damaged = stretch.after
            yield True, stretch
        elif stretch.end - stretch.start > FRAME_BYTES_MAX:
            yield False, stretch  # no payload could hold it
        elif bounds.is_open and stretch.start >= claim_end and not any(data[stretch.end : bounds.end]):
            yield False, stretch  # it ends the log, and nobody says where that is


def _claim(data: bytes, position: int) -> tuple[int, int | None]:
    """Where the frame at a position says that it ends, and its crc, damaged as it may be; 0, None: nothing."""
    if position + FRAME_HEADER_BYTES > len(data):
        return 0, None
    crc = FRAME.unpack_from(data, position)[1] or None  # 0 is what a wiped disk says
    try:
        return position + frame_length(data, position), crc
    except BadBytes:
        return 0, crc
