"""A sound log made from a damaged one: in a new folder, never in place.

Every frame that can be saved keeps its seq, time, kind and payload; each one
that cannot is replaced by a frame at its seq with FLAG_LOST and the reason as
payload, so positions never change.  Frames before the first damage keep their
bytes; behind it the chain is made anew.  What is no whole frame is copied to
`quarantine/`.  Refuses: to write into the damaged folder; to fill gaps past a
bound.  Invariant: the new folder has its name only once all of it is durable.

Source: docs/format-log.md.
"""

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from wal.errors import LogError, LogLocked, UnsupportedFormat
from wal.files import Files
from wal.format import FRAME, FRAME_HEADER_BYTES, HEADER_BYTES, SegmentHeader, UnknownFlags
from wal.opening import LOCK_NAME, OWNER_NAME
from wal.rebuild import Quarantined, Rebuilt
from wal.salvage import FRAME_BYTES_MAX, Bounds, Salvaged, Stretch, salvage
from wal.scan import Place, scan, whole_frame_at
from wal.segment import segment_paths
from wal.survey import Damaged, Source, bounds_of, read_file, survey

LOST_COUNT_MAX: Final = 1_000_000  # in one gap: a stray file with a wild name must not fill the disk
UNFINISHED_SUFFIX: Final = ".unfinished"

OnProgress = Callable[[int, int], None]  # bytes read, bytes in all


class Repaired(NamedTuple):
    """What a repair made."""

    log_id: bytes
    segment_count: int
    kept_count: int  # frames
    lost: tuple[tuple[int, int], ...]  # first and last seq of each range of frames that could not be saved
    quarantined_bytes: int
    first_seq: int
    end_seq: int
    findings: tuple[Quarantined, ...]

    @property
    def lost_count(self) -> int:
        """How many frames could not be saved."""
        return sum(last - first + 1 for first, last in self.lost)


def repair_log(
    source: Path, target: Path, *, files: Files | None = None, on_progress: OnProgress | None = None
) -> Repaired:
    """Make a sound log in the folder target from the damaged one in source, which is only read.

    The new log is durable on return, and opens.  A tail that no fsync covered is left out, as an opening
    would cut it.  The folder of a replica gives one of the same owner.
    Raises: LogLocked if a writer has source; UnsupportedFormat; LogError if source holds no log or nothing
    that says which, if target is not empty, or if a gap is too wide; OSError.
    """
    files = files or Files()
    if not source.is_dir() or not segment_paths(files, source):
        raise LogError(f"{source} holds no log")
    unfinished = target.with_name(f"{target.name}{UNFINISHED_SUFFIX}")
    _check_free(files, target, f"{target} is there and not empty; a repair makes a new folder")
    _check_free(files, unfinished, f"{unfinished} is left from a repair that was broken off; remove it")
    lock_handle = files.lock(source / LOCK_NAME)
    if lock_handle is None:
        raise LogLocked(f"{source} is open in a writer; stop that one first")
    try:
        damaged = survey(files, source)
        files.make_folder(unfinished)
        try:
            repaired = _repair(files, damaged, unfinished, on_progress)
        except BaseException:
            _remove(files, unfinished)
            raise
        files.rename(unfinished, target)
        files.sync_folder(target.parent)
    finally:
        files.close(lock_handle)
    return repaired


def _check_free(files: Files, folder: Path, refusal: str) -> None:
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or files.names(folder))):
        raise LogError(refusal)


def _remove(files: Files, folder: Path) -> None:
    """Remove what a repair that failed has made."""
    with suppress(OSError):
        for path in sorted(folder.rglob("*"), reverse=True):
            (files.remove_folder if path.is_dir() else files.remove)(path)
        files.remove_folder(folder)


def _repair(files: Files, damaged: Damaged, folder: Path, on_progress: OnProgress | None) -> Repaired:
    lock_handle = files.lock(folder / LOCK_NAME)
    assert lock_handle is not None, f"{folder} was made by this call"
    repair = _Repair(files, damaged, folder)
    try:
        if damaged.is_replica:
            repair.target.put_file(OWNER_NAME, read_file(files, damaged.sources[0].path.with_name(OWNER_NAME)))
        sizes = [source.path.stat().st_size for source in damaged.sources]
        for index in range(len(sizes)):
            repair.mend(index)
            if on_progress is not None:
                on_progress(sum(sizes[: index + 1]), sum(sizes))
        repair.target.finish(lock_handle)
    finally:
        repair.target.close()
        files.close(lock_handle)
    return repair.result()


class _Repair:
    """The walk over the segments of a damaged log.  Holds one of them in memory."""

    def __init__(self, files: Files, damaged: Damaged, folder: Path) -> None:
        first = damaged.sources[0]
        chain = first.header.chain if first.header is not None and not first.foreign else 0
        start = SegmentHeader(damaged.log_id, 0, first.first_seq, first.time_before, chain)
        self.target = Rebuilt(files, folder, damaged.log_id, damaged.epoch + 1, start)
        self._files = files
        self._damaged = damaged
        self._crc: int | None = None  # of the frame before, as it was; None: it is lost, or there is none
        self._doubtful: list[Stretch] = []  # of the segment at hand
        self._kept_count = 0

    def result(self) -> Repaired:
        """What came of it."""
        findings, sources = tuple(self.target.findings), self._damaged.sources
        ranges = [(one.seq_from, one.seq_to) for one in findings]
        return Repaired(
            self._damaged.log_id,
            len(sources),
            self._kept_count,
            tuple((first, last) for first, last in ranges if first is not None and last is not None),
            sum(one.length for one in findings),
            sources[0].first_seq,
            self.target.seq,
            findings,
        )

    def mend(self, index: int) -> None:
        """Make one segment anew, and fill the gap between it and the next."""
        source, after = self._damaged.sources[index], next(iter(self._damaged.sources[index + 1 : index + 2]), None)
        data = read_file(self._files, source.path)
        bounds = bounds_of(self._files, self._damaged, source, after, self.target.time)
        end_seq = after.first_seq if after is not None else self._acknowledged(source, bounds)
        stretches, self._doubtful = Salvaged([], []) if source.foreign else salvage(data, bounds)
        if after is None:
            stretches = self._without_torn(data, bounds, stretches, end_seq)
        place = self._begin(source, data, bounds, stretches)
        for stretch in stretches:
            self._fill(source.path, data, place, stretch.start, stretch.first_seq)
            self._keep(source.path, data, stretch)
            place = stretch.after
        self._fill(source.path, data, place, bounds.end, min(end_seq, bounds.end_seq))
        self._fill(source.path, data, place._replace(offset=bounds.end), bounds.end, end_seq)
        self.target.end(seal=after is not None)

    def _acknowledged(self, source: Source, bounds: Bounds) -> int:
        """The seq up to which all was on the disk once, as far as is known."""
        mark = self._damaged.mark
        marked = max(mark.synced_seq, mark.segment) if mark is not None else 0
        return max(marked, source.first_seq, bounds.end_seq if bounds.exact else 0)

    def _without_torn(self, data: bytes, bounds: Bounds, stretches: list[Stretch], acknowledged: int) -> list[Stretch]:
        """The stretches of the last segment, without what an opening would cut as never acknowledged."""
        first = [one for one in stretches[:1] if one.start == bounds.start.offset]
        place, behind = first[0].after if first else bounds.start, stretches[len(first) :]
        torn = whole_frame_at(data, place.offset) is None and acknowledged <= place.seq
        proof = not self._damaged.is_replica and any(one.synced for one in behind)
        if self._damaged.mark is not None and torn and not proof:
            stretches = first
        while stretches:
            last = stretches[-1]
            count = max(last.complete_count, acknowledged - last.first_seq)
            if count >= last.frame_count:
                break
            stretches = stretches[:-1] + ([last.first(data, count)] if count > 0 else [])
        return stretches

    def _begin(self, source: Source, data: bytes, bounds: Bounds, stretches: list[Stretch]) -> Place:
        """Start the new segment; give the place from which on the old one is to be accounted for."""
        start, header = bounds.start, source.header
        time_before, chain = source.time_before, None
        if stretches and time_before < 0:
            time_before = stretches[0].first_time - (stretches[0].first_seq - start.seq) - 1
        if header is None and stretches and stretches[0].first_seq == source.first_seq:
            chain = stretches[0].chain  # so that the frames of a log's first segment keep their bytes
        self.target.begin(time_before, chain)
        if header is None:
            self._note(source.path, data, 0, min(HEADER_BYTES, len(data)), None, "the header is damaged")
        elif source.foreign:
            return start._replace(offset=0)
        elif self._crc is not None and header.chain != self._crc:
            self._note(source.path, b"", HEADER_BYTES - 8, 0, None, "the chain does not go on; the frames are whole")
            self._crc = None
        return start

    def _keep(self, path: Path, data: bytes, stretch: Stretch) -> None:
        if self._crc is not None and stretch.chain != self._crc:
            self._note(path, b"", stretch.start, 0, None, "the chain does not go on; the frames are whole")
        for start, end in pairwise(stretch.starts):
            _, _, _, time, kind, flags, _ = FRAME.unpack_from(data, start)
            self.target.put(time, kind, flags, data[start + FRAME_HEADER_BYTES : end])
        self._kept_count += stretch.frame_count
        self._crc = stretch.crc

    def _fill(self, path: Path, data: bytes, place: Place, end: int, seq_end: int) -> None:
        """Account for the bytes from place to end, and put frames that keep the positions up to seq_end."""
        first_seq, raw = self.target.seq, data[place.offset : end]
        if seq_end <= first_seq and not any(raw):
            return  # nothing, or space that was reserved
        if seq_end - first_seq > LOST_COUNT_MAX:
            raise LogError(
                f"{path} at byte {place.offset}: {seq_end - first_seq} frames are missing, up to seq {seq_end - 1}; "
                f"a repair fills up to {LOST_COUNT_MAX}: is a file missing, or there by mistake?"
            )
        reason = _reason(path, data, place, end)
        doubtful_count = sum(one.frame_count for one in self._doubtful if place.offset <= one.start < end)
        if doubtful_count:
            reason += f"; {doubtful_count} whole frames in it are kept aside, for a payload may have held them"
        lost = range(first_seq, seq_end)
        self._note(path, data, place.offset, len(raw), lost, reason)
        if lost:
            self.target.put_lost(seq_end, f"{path.name} at byte {place.offset}: {reason}")
            self._crc = None

    def _note(self, path: Path, data: bytes, offset: int, length: int, lost: range | None, reason: str) -> None:
        seq_from, seq_to = (lost[0], lost[-1]) if lost else (None, None)
        finding = Quarantined(path.name, offset, length, seq_from, seq_to, reason, None)
        self.target.quarantine(finding, path.stem, data[offset : offset + length])


def _reason(path: Path, data: bytes, place: Place, end: int) -> str:
    """Why the bytes from place to end are no frames of the log."""
    if place.offset == end:
        return "nothing is there"
    raw = data[place.offset : min(end, place.offset + FRAME_BYTES_MAX)]
    if place.offset < HEADER_BYTES:
        return "a segment of another log"
    if isinstance(whole_frame_at(raw, 0), UnknownFlags):
        raise UnsupportedFormat(f"{path} at byte {place.offset}: a whole frame with flags of a newer program")
    run = scan(raw, path, place, 1, 2**62)
    if run.damage is not None:
        return f"expected {run.damage.expected}, found {run.damage.found}"
    return "a frame that does not belong here" if run.frames else "a frame that ends early"
