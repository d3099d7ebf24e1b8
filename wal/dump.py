"""The frames of a folder as they stand, for looking at: no lock, no change, and up to the first damage.

Shows more than a log would: also frames that are written and not yet
acknowledged, and of a damaged log all that comes before the damage.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from wal.errors import Corrupt, LogError
from wal.files import Files
from wal.format import LOGICAL_BITS, Frame
from wal.mark import NAME as MARK_NAME
from wal.recovery import read_mark
from wal.scan import Place, frames_behind, read_exactly, walk, whole_frame_at
from wal.segment import Segment, open_segment, read_index, segment_paths

_READ_BYTES: Final = 64 * 1024  # of the first read: a look takes few frames


def dump_log(
    folder: Path, seq: int | None = None, time_ms: int | None = None, files: Files | None = None
) -> Iterator[Frame]:
    """Yield the frames from seq on, or from the first that is not before time_ms; without either, from the first.

    Ends at a tail that is not finished.
    Raises: LogError if the folder holds no log; UnsupportedFormat; Corrupt at the first damage; OSError.
    """
    files = files or Files()
    paths = segment_paths(files, folder) if folder.is_dir() else []
    if not paths:
        raise LogError(f"{folder} holds no log")
    time = (time_ms or 0) << LOGICAL_BITS
    if seq is not None:
        first = max([index for index, path in enumerate(paths) if int(path.stem) <= seq], default=0)
    else:
        first = _segment_before(files, paths, time)
    expected: int | None = None
    for path in paths[first:]:
        segment = open_segment(files, path)
        if expected is not None and segment.first_seq != expected:
            raise Corrupt(path, 40, f"a segment that starts at seq {expected}", f"seq {segment.first_seq}")
        expected = segment.first_seq
        for frame in _frames(files, segment, seq or 0, time, is_last=path is paths[-1]):
            expected = frame.seq + 1
            if frame.seq >= (seq or 0) and frame.time >= time:
                yield frame


def _segment_before(files: Files, paths: list[Path], time: int) -> int:
    """The last segment that begins before a time."""
    for index in range(len(paths) - 1, 0, -1):
        try:
            header = open_segment(files, paths[index]).header
        except Corrupt:
            continue
        if 0 <= header.time_before < time:
            return index
    return 0


def _frames(files: Files, segment: Segment, seq: int, time: int, *, is_last: bool) -> Iterator[Frame]:
    mark = read_mark(files, segment.path.parent, segment.header.log_id)  # before the frames: it may grow
    with segment.opened() as handle:
        end = segment.footer.end if segment.footer else files.size(handle)
        place = _start(files, segment, handle, seq, time, end)
        for run in walk(files, handle, segment.path, place, end, read_bytes=_READ_BYTES):
            yield from run.frames
            place = run.after
            if run.damage is not None and not (is_last and _is_tail(files, handle, place, end)):
                raise run.damage
    if is_last and mark is not None and mark.synced_seq > place.seq:
        detail = f"the end of the log at seq {place.seq}"
        raise Corrupt(segment.path.with_name(MARK_NAME), 56, f"frames up to seq {mark.synced_seq}", detail)


def _start(files: Files, segment: Segment, handle: int, seq: int, time: int, end: int) -> Place:
    """The place that the index knows nearest before what is asked for, if a whole frame is there."""
    found = read_index(files, segment.path, segment.header)
    near = None
    if found is not None:
        near = found[0].near(seq) if seq > segment.first_seq else found[0].near_time(time)
    if near is not None and near.offset < end:
        run = next(walk(files, handle, segment.path, near, end, count_max=1, read_bytes=_READ_BYTES), None)
        if run is not None and run.frames:
            return near
    return segment.start


def _is_tail(files: Files, handle: int, place: Place, end: int) -> bool:
    """Whether what stopped the walk is what a writer has not finished, or a crash left."""
    rest = read_exactly(files, handle, place.offset, end - place.offset)
    return whole_frame_at(rest, 0) is None and next(frames_behind(rest, place), None) is None
