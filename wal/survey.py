"""What is there of a damaged log: headers, footers, indexes and the mark, as far as they are whole.

Reads only.  Decides which log it is, and what is known of each segment's
frames besides their own bytes.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wal.errors import Corrupt, LogError
from wal.files import Files
from wal.format import HEADER_BYTES, SEQ_MAX, SegmentHeader
from wal.index import STRIDE, entry_of
from wal.mark import MARK_BYTES, Mark, decode_mark
from wal.mark import NAME as MARK_NAME
from wal.opening import LOCK_NAME, OWNER_NAME
from wal.salvage import TIME_MAX, Bounds
from wal.scan import Place, read_exactly
from wal.segment import open_segment, read_footer, read_index, segment_paths


class Source(NamedTuple):
    """A segment as found; header None: damaged."""

    path: Path
    first_seq: int
    header: SegmentHeader | None
    foreign: bool  # a whole header, of another log

    @property
    def time_before(self) -> int:
        """No frame of it is at or before this hybrid time; -1: not known."""
        return self.header.time_before if self.header is not None and not self.foreign else -1


class Damaged(NamedTuple):
    """A log as found."""

    log_id: bytes
    epoch: int  # the highest in it
    mark: Mark | None
    sources: list[Source]
    is_replica: bool


def survey(files: Files, folder: Path) -> Damaged:
    """Look at every header, at the mark and at the count of openings.

    Raises: UnsupportedFormat; LogError if nothing says which log it is; Corrupt for a file of another's name.
    """
    found = [(path, _read_header(files, path)) for path in segment_paths(files, folder)]
    ids = Counter(header.log_id for _, header in found if header is not None)
    raw_mark = _read_mark(files, folder)
    if not ids and raw_mark is None:
        raise LogError(f"{folder}: no header of a segment is whole, and there is no mark: which log this was is lost")
    log_id = (
        raw_mark.log_id
        if raw_mark is not None and (not ids or raw_mark.log_id in ids)
        else max(ids, key=lambda one: ids[one])
    )
    mark = raw_mark if raw_mark is not None and raw_mark.log_id == log_id else None
    sources = [
        Source(path, int(path.stem), header, header is not None and header.log_id != log_id) for path, header in found
    ]
    epochs = [source.header.epoch for source in sources if source.header is not None and not source.foreign]
    epoch = max([*epochs, mark.epoch if mark else 0, _read_epoch(files, folder)])
    return Damaged(log_id, epoch, mark, sources, OWNER_NAME in files.names(folder))


def bounds_of(files: Files, damaged: Damaged, source: Source, after: Source | None, time_before: int) -> Bounds:
    """What the footer, the next segment, the index and the mark say of a segment's frames."""
    header = source.header or SegmentHeader(damaged.log_id, 0, source.first_seq, 0, 0)
    known = set(_index_places(files, source.path, header))
    mark, seq_max = damaged.mark, after.first_seq if after is not None else SEQ_MAX
    if mark is not None and mark.segment == source.first_seq:
        known.add((mark.seq, mark.offset))
    start = Place(HEADER_BYTES, source.first_seq, None, max(time_before, source.time_before))
    handle = files.open_read(source.path)
    try:
        footer, size = read_footer(files, handle, header), files.size(handle)
    finally:
        files.close(handle)
    if footer is not None and not source.foreign and source.first_seq + footer.frame_count <= seq_max:
        end_seq = source.first_seq + footer.frame_count
        return Bounds(start, footer.end, end_seq, True, footer.chain, footer.last_time, sorted(known))
    time_max, chain = TIME_MAX, None
    if after is not None and after.header is not None and not after.foreign:
        chain = after.header.chain
        time_max = after.time_before if after.time_before >= 0 else TIME_MAX
    return Bounds(start, size, seq_max, False, chain, time_max, sorted(known))


def _read_header(files: Files, path: Path) -> SegmentHeader | None:
    """A segment's header; None if it is damaged.

    Raises: UnsupportedFormat; Corrupt if the file has another's name: who renamed it can name it back.
    """
    if int(path.stem) > SEQ_MAX:
        raise LogError(f"{path}: no segment starts at that seq")
    try:
        return open_segment(files, path).header
    except Corrupt as damage:
        if damage.offset:
            raise
        return None


def _read_mark(files: Files, folder: Path) -> Mark | None:
    if MARK_NAME not in files.names(folder):
        return None
    return decode_mark(read_file(files, folder / MARK_NAME, MARK_BYTES))


def _read_epoch(files: Files, folder: Path) -> int:
    text = read_file(files, folder / LOCK_NAME, 20).strip()
    epoch = int(text) if text.isdigit() else 0
    return epoch if epoch <= SEQ_MAX else 0  # damaged: nobody opens a log that often


def read_file(files: Files, path: Path, size: int | None = None) -> bytes:
    """The first bytes of a file, or all."""
    handle = files.open_read(path)
    try:
        return read_exactly(files, handle, 0, files.size(handle) if size is None else size)
    finally:
        files.close(handle)


def _index_places(files: Files, path: Path, header: SegmentHeader) -> Iterator[tuple[int, int]]:
    """Seqs of a segment and the offsets at which they start, as its index file says; none if that is not whole."""
    found = read_index(files, path, header)
    if found is not None:
        index, covered = found
        first_entry = entry_of(header.first_seq)
        yield from ((entry * STRIDE, offset) for entry, offset in enumerate(index.offsets, first_entry))
        yield covered.place.seq, covered.place.offset
