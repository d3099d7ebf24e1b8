"""Read-only verification of a log's folder: every frame, every seam, findings as records.

Never changes a file and needs no lock, so it may run beside a writer: what the
writer has not finished shows as an unfinished tail, not as damage.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from wal.errors import Corrupt, LogError
from wal.files import Files
from wal.format import FLAG_MORE, Frame
from wal.segment import Place, Segment, open_segment, segment_paths

OnFrame = Callable[[Path, int, Frame], None]
Severity = Literal["damage", "tail"]


class Finding(NamedTuple):
    """One thing that is not as it should be."""

    severity: Severity
    path: Path
    offset: int
    detail: str


class Checked(NamedTuple):
    """What a verification saw."""

    log_id: bytes
    segment_count: int
    frame_count: int
    size_bytes: int
    first_seq: int
    end_seq: int
    findings: tuple[Finding, ...]


def check_log(folder: Path, on_frame: OnFrame, files: Files | None = None) -> Checked:
    """Walk every frame of a log in order; on_frame gets file, offset and frame of each whole one.

    A damaged segment is reported, the walk goes on with the next one.
    Raises: LogError if the folder holds no log; UnsupportedFormat; OSError.
    """
    files = files or Files()
    paths = segment_paths(files, folder) if folder.is_dir() else []
    if not paths:
        raise LogError(f"{folder} holds no log")
    findings: list[Finding] = []
    log_id, frame_count, size_bytes, end_seq = b"", 0, 0, 0
    before: Place | None = None
    for path in paths:
        try:
            segment = open_segment(files, path, writable=False)
        except Corrupt as damage:
            findings.append(_damage(damage))
            before = None
            continue
        try:
            log_id = log_id or segment.header.log_id
            findings.extend(_check_seam(segment, log_id, before))
            walked = _walk(segment, on_frame, is_last=path is paths[-1])
            size_bytes += segment.size()
        finally:
            files.close(segment.handle)
        findings.extend(walked.findings)
        frame_count += walked.end.seq - segment.first_seq
        end_seq = walked.end.seq
        before = None if walked.findings else walked.end
    return Checked(log_id, len(paths), frame_count, size_bytes, int(paths[0].stem), end_seq, tuple(findings))


class _Walked(NamedTuple):
    """How far a segment could be walked, and what stood in the way."""

    end: Place
    findings: tuple[Finding, ...]


def _walk(segment: Segment, on_frame: OnFrame, *, is_last: bool) -> _Walked:
    size = segment.size()
    place = whole = segment.start  # whole: after the last frame that completes its batch
    try:
        for frame, after in segment.walk(place, size):
            on_frame(segment.path, place.offset, frame)
            place = after
            if not frame.flags & FLAG_MORE:
                whole = after
    except Corrupt as damage:
        rot = not is_last or segment.whole_frame_at(place, size) or segment.whole_frame_follows(place, size)
        severity: Severity = "damage" if rot else "tail"
        return _Walked(place, (Finding(severity, segment.path, place.offset, str(damage)),))
    if whole.offset == size:
        return _Walked(place, ())
    severity = "tail" if is_last else "damage"
    return _Walked(place, (Finding(severity, segment.path, whole.offset, "the last batch is not complete"),))


def _check_seam(segment: Segment, log_id: bytes, before: Place | None) -> Iterator[Finding]:
    header = segment.header
    if header.log_id != log_id:
        yield Finding("damage", segment.path, 16, f"log id {header.log_id.hex()}, expected {log_id.hex()}")
    if before is None:
        return
    if header.first_seq != before.seq:
        yield Finding("damage", segment.path, 40, f"starts at seq {header.first_seq}, expected {before.seq}")
    elif header.chain != before.chain:
        yield Finding("damage", segment.path, 56, f"chain {header.chain:08x}, expected {before.chain or 0:08x}")


def _damage(damage: Corrupt) -> Finding:
    return Finding("damage", damage.path, damage.offset, str(damage))
