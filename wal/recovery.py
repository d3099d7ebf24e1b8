"""Opening what a crash may have left: walk the last segment, cut a torn tail, refuse rot.

Invariant: nothing but a torn tail of the last segment is ever removed, and a
tail is torn only if no whole frame follows the damage.  Damage elsewhere is
Corrupt, and nothing behind it is touched.
"""

from pathlib import Path
from typing import NamedTuple

from wal.errors import Corrupt
from wal.files import Files
from wal.format import FLAG_MORE
from wal.segment import Place, Segment, open_segment, segment_paths


class TornTail(NamedTuple):
    """What was cut at open: where, how many bytes, and why."""

    path: Path
    offset: int
    cut_bytes: int
    reason: str


class Recovered(NamedTuple):
    """A log as found: its segments in order, the place after the last frame, what was cut."""

    segments: list[Segment]
    end: Place
    torn_tail: TornTail | None


def recover(files: Files, folder: Path) -> Recovered:
    """Open every segment of a log; the last one is walked whole and synced.

    Raises: Corrupt; UnsupportedFormat; OSError.
    """
    segments: list[Segment] = []
    try:
        for path in segment_paths(files, folder):
            segments.append(open_segment(files, path, writable=True))  # noqa: PERF401  (closed on error)
        _check_family(segments)
        end, torn_tail = _walk_last(segments)
        # What a killed writer left in the page cache must be on the disk before anyone may see it.
        files.sync(segments[-1].handle)
        files.sync_folder(folder)
    except BaseException:
        for segment in segments:
            files.close(segment.handle)
        raise
    return Recovered(segments, end, torn_tail)


def _check_family(segments: list[Segment]) -> None:
    """One log id in all; the seam between two segments is checked when it is walked."""
    first = segments[0].header
    for segment in segments[1:]:
        if segment.header.log_id != first.log_id:
            raise Corrupt(segment.path, 16, f"log id {first.log_id.hex()}", segment.header.log_id.hex())


def _walk_last(segments: list[Segment]) -> tuple[Place, TornTail | None]:
    segment = segments[-1]
    start = segment.start._replace(time=_time_before(segments))
    end = segment.size()
    whole = place = start  # whole: after the last frame that completes its batch
    try:
        for frame, after in segment.walk(start, end):
            segment.note(place.seq, place.offset)
            place = after
            if not frame.flags & FLAG_MORE:
                whole = after
    except Corrupt as damage:
        if segment.whole_frame_at(place, end) or segment.whole_frame_follows(place, end):
            raise
        return whole, _cut(segment, whole, end, f"expected {damage.expected}, found {damage.found}")
    if whole.offset < end:
        return whole, _cut(segment, whole, end, "the last batch is not complete")
    return whole, None


def _time_before(segments: list[Segment]) -> int:
    """The time of the last frame of the segment before the last; -1 if there is none.

    Walks that segment whole, and so proves the seam between the two.
    """
    if len(segments) < 2:
        return -1
    before, last = segments[-2], segments[-1]
    place = before.start
    for _, after in before.walk(place, before.size()):
        place = after
    if (place.seq, place.chain) != (last.first_seq, last.header.chain):
        expected = f"segment to start at seq {place.seq} with chain {place.chain or 0:08x}"
        raise Corrupt(last.path, 40, expected, f"seq {last.first_seq}, chain {last.header.chain:08x}")
    return place.time


def _cut(segment: Segment, place: Place, end: int, reason: str) -> TornTail:
    segment.cut(place)
    return TornTail(segment.path, place.offset, end - place.offset, reason)
