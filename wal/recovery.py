"""Opening what a crash may have left: walk the last segment, cut a torn tail, refuse rot.

Invariant: nothing but a torn tail of the last segment is ever removed.  A tail
is torn if no whole frame follows the damage, or if what follows was written
together with it and never acknowledged.  Damage elsewhere is Corrupt, and
nothing behind it is touched.

Source: docs/format-log.md, "Opening".
"""

import logging
from collections.abc import Callable
from itertools import chain, count, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from wal.errors import Corrupt
from wal.files import Files
from wal.format import FLAG_MORE, FLAG_SYNCED, FOOTER_BYTES, Footer, Frame
from wal.index import SparseIndex
from wal.mark import MARK_BYTES, Mark, decode_mark
from wal.mark import NAME as MARK_NAME
from wal.scan import Place, Run, frames_behind, read_exactly, walk, whole_frame_at
from wal.segment import Segment, digest_of, open_segment, read_footer, read_index, segment_paths

_LOGGER = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # bytes walked, bytes to walk


class TornTail(NamedTuple):
    """What was cut at open: where, how many bytes, and why."""

    path: Path
    offset: int
    cut_bytes: int
    reason: str
    acknowledged_count: int = 0  # frames in it that had been acknowledged: the disk lost or damaged them
    kept_in: Path | None = None  # a copy of the bytes, where they held whole or acknowledged frames


class Recovered(NamedTuple):
    """A log as found: its segments in order, the place after the last frame, what was cut."""

    segments: tuple[Segment, ...]
    end: Place
    torn_tail: TornTail | None
    handle: int  # of the last segment, for writing
    hasher: Any  # BLAKE3 of that segment up to the end


class _Walked(NamedTuple):
    """The last segment, up to its last complete batch, and the first thing that is not as written."""

    whole: Place
    place: Place  # at or behind whole: after the last whole frame
    damage: Corrupt | None


def recover(files: Files, folder: Path, *, replica: bool, progress: Progress | None = None) -> Recovered:
    """Open every segment of a log; what is not known of the last one is walked, and it is synced.

    replica: its writer syncs the mark before it writes.
    Raises: Corrupt; UnsupportedFormat; OSError.
    """
    segments = tuple(open_segment(files, path) for path in segment_paths(files, folder))
    mark = read_mark(files, folder, segments[0].header.log_id)
    check_segments(files, segments, progress)
    last = segments[-1]
    if mark is not None and mark.segment > last.first_seq:
        raise Corrupt(folder / MARK_NAME, 32, f"a segment that starts at seq {mark.segment}", "none")
    handle = files.open_write(last.path)
    try:
        end, torn_tail, hasher = _recover_last(files, last, handle, mark, progress, replica=replica)
        if len(segments) > 1:  # an empty last segment of version 1 does not tell
            end = end._replace(time=max(end.time, segments[-2].end.time))
        # What a killed writer left in the page cache must be on the disk before anyone may see it.
        files.sync(handle)
        files.sync_folder(folder)
    except BaseException:
        files.close(handle)
        raise
    return Recovered(segments, end, torn_tail, handle, hasher)


def read_mark(files: Files, folder: Path, log_id: bytes) -> Mark | None:
    """The mark of a log; None if there is none, it is not whole, or it is of another log."""
    try:
        handle = files.open_read(folder / MARK_NAME)
    except FileNotFoundError:
        return None
    try:
        mark = decode_mark(files.read(handle, MARK_BYTES, 0))
    finally:
        files.close(handle)
    return mark if mark is not None and mark.log_id == log_id else None


def check_segments(files: Files, segments: tuple[Segment, ...], progress: Progress | None) -> None:
    """One log id in all, and each segment starts where, and with the chain with which, the one before ends.

    A segment before the last that has no whole footer is walked and counted.
    Raises: Corrupt.
    """
    first = segments[0].header
    for before, segment in pairwise(segments):
        if segment.header.log_id != first.log_id:
            raise Corrupt(segment.path, 16, f"log id {first.log_id.hex()}", segment.header.log_id.hex())
        if before.footer is None:
            before.footer = count_segment(files, before, progress)
        end, header = before.end, segment.header
        if (end.seq, end.chain) != (header.first_seq, header.chain):
            expected = f"the segment to start at seq {end.seq} with chain {end.chain or 0:08x}"
            raise Corrupt(segment.path, 40, expected, f"seq {header.first_seq}, chain {header.chain:08x}")


def count_segment(files: Files, segment: Segment, progress: Progress | None) -> Footer:
    """Make a footer for a segment that has none (version 1), or whose own is damaged, from its frames.

    Raises: Corrupt if a frame is damaged.
    """
    with segment.opened() as handle:
        size = files.size(handle)
        place, first_time = segment.start, -1
        for run in walk(files, handle, segment.path, place, size):
            first_time = run.frames[0].time if run.frames and first_time < 0 else first_time
            place = run.after
            segment.index.note_run(run)
            if progress is not None:
                progress(place.offset, size)
            if run.damage and not (segment.header.version > 1 and size - place.offset == FOOTER_BYTES):
                raise run.damage
        if segment.header.version > 1:
            _LOGGER.warning(
                "%s: its footer is damaged or missing; its frames are whole, and were counted", segment.path
            )
        digest = digest_of(files, handle, place.offset).digest()
    return Footer(place.offset, place.seq - segment.first_seq, first_time, place.time, digest, place.chain or 0)


def _recover_last(
    files: Files, segment: Segment, handle: int, mark: Mark | None, progress: Progress | None, *, replica: bool
) -> tuple[Place, TornTail | None, Any]:
    if segment.footer is not None:
        hasher = digest_of(files, handle, segment.footer.end)
        if hasher.digest() == segment.footer.digest:
            return segment.end, None, hasher
    size = files.size(handle)
    start, hasher = _known_start(files, segment, handle, size)
    walked = _walk_rest(files, segment, handle, start, size, progress)
    torn_tail = _judge(files, segment, handle, walked, mark, size, replica=replica)
    segment.footer = None  # sealed by its next writer, if at all
    return walked.whole, torn_tail, digest_of(files, handle, walked.whole.offset, hasher, start.offset)


def _known_start(files: Files, segment: Segment, handle: int, size: int) -> tuple[Place, Any]:
    """The place up to which the index file proves that the frames are those that were walked before."""
    segment.footer, found = None, read_index(files, segment.path, segment.header)
    if found is not None and found[1].place.offset <= size:
        index, covered = found
        hasher = digest_of(files, handle, covered.place.offset)
        if hasher.digest() == covered.digest:
            segment.use_index(index)
            return covered.place, hasher
    segment.use_index(SparseIndex(segment.first_seq))
    return segment.start, digest_of(files, handle, segment.start.offset)


def _walk_rest(
    files: Files, segment: Segment, handle: int, start: Place, size: int, progress: Progress | None
) -> _Walked:
    whole = place = start
    for run in walk(files, handle, segment.path, start, size):
        place, whole = run.after, _last_whole(run, whole)
        segment.index.note_run(run)
        if progress is not None:
            progress(place.offset, size)
        if run.damage is not None:
            return _Walked(whole, place, run.damage)
    return _Walked(whole, place, None)


def _last_whole(run: Run, whole: Place) -> Place:
    """The place after the last frame of a run that completes its batch."""
    for index in range(len(run.frames), 0, -1):
        if not run.frames[index - 1].flags & FLAG_MORE:
            return run.place(index)._replace(time=run.frames[index - 1].time)
    return whole


def _judge(
    files: Files, segment: Segment, handle: int, walked: _Walked, mark: Mark | None, size: int, *, replica: bool
) -> TornTail | None:
    """Cut what a crash left behind the last complete batch, or refuse.

    Raises: Corrupt.
    """
    whole, reason, behind = walked.whole, "the last batch is not complete", False
    if walked.damage is not None:
        rest = read_exactly(files, handle, walked.place.offset, size - walked.place.offset)
        if whole == walked.place and not any(rest) and mark is not None and _is_reserved(segment, mark, size):
            size = whole.offset  # space for what never came, not a write that was torn
            _cut(files, segment, handle, whole)
        reason = f"expected {walked.damage.expected}, found {walked.damage.found}"
        behind = _check_torn(files, handle, segment, walked, rest, mark, replica=replica)
    lost = max(0, mark.synced_seq - whole.seq) if mark is not None else 0
    if whole.offset == size:
        return TornTail(segment.path, size, 0, "the file ends early", lost) if lost else None
    kept_in = _keep(files, segment, handle, whole, size) if lost or behind else None
    _cut(files, segment, handle, whole)
    return TornTail(segment.path, whole.offset, size - whole.offset, reason, lost, kept_in)


def _check_torn(
    files: Files, handle: int, segment: Segment, walked: _Walked, rest: bytes, mark: Mark | None, *, replica: bool
) -> bool:
    """Refuse damage that no crash leaves; tell whether whole frames lie behind it all the same.

    Raises: Corrupt.
    """
    assert walked.damage is not None, "only damage is judged"
    if whole_frame_at(rest, 0) is not None or read_footer(files, handle, segment.header) is not None:
        raise walked.damage
    first = next(frames_behind(rest, walked.place), None)
    if first is not None and not _never_acknowledged(rest, walked.place, mark, replica=replica):
        raise walked.damage
    return first is not None


def _never_acknowledged(rest: bytes, place: Place, mark: Mark | None, *, replica: bool) -> bool:
    """Whether whole frames behind damage belong to the same write as the damage: one that no fsync covered.

    The mark, which is never newer than the truth, must not reach beyond the damage; and since it may be
    older, none of the frames may say that all before it was on the disk.
    """
    if mark is None or mark.synced_seq > place.seq:
        return False
    behind = frames_behind(rest, place)
    return replica or all(isinstance(frame, Frame) and not frame.flags & FLAG_SYNCED for frame in behind)


def _is_reserved(segment: Segment, mark: Mark, size: int) -> bool:
    return (mark.segment, mark.size_bytes) == (segment.first_seq, size)


def _keep(files: Files, segment: Segment, handle: int, place: Place, size: int) -> Path:
    """Copy what will be cut to a file beside the segment; durable on return."""
    taken = set(files.names(segment.path.parent))
    name = f"{segment.path.stem}-{place.offset}"
    names = chain([f"{name}.torn"], (f"{name}-{number}.torn" for number in count(2)))  # none is overwritten
    path = segment.path.with_name(next(free for free in names if free not in taken))
    copy = files.create(path)
    try:
        files.write(copy, read_exactly(files, handle, place.offset, size - place.offset), 0)
        files.sync(copy)
    finally:
        files.close(copy)
    files.sync_folder(path.parent)
    return path


def _cut(files: Files, segment: Segment, handle: int, place: Place) -> None:
    files.truncate(handle, place.offset)
    segment.index.cut(place.seq)
