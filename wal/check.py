"""Read-only verification of a log's folder: every frame, every seam, every footer, findings as records.

Never changes a file and needs no lock, so it may run beside a writer: what the
writer has not finished shows as an unfinished tail, not as damage.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from wal.errors import Corrupt, LogError
from wal.files import Files
from wal.format import FLAG_LOST, FLAG_MORE, FOOTER_BYTES, Footer, Frame
from wal.mark import NAME as MARK_NAME
from wal.mark import Mark
from wal.recovery import read_mark
from wal.scan import Place, frames_behind, read_exactly, walk, whole_frame_at
from wal.segment import INDEX_SUFFIX, Segment, digest_of, open_segment, read_footer, read_index, segment_paths

OnFrame = Callable[[Path, int, Frame], None]
OnProgress = Callable[[int, int], None]  # bytes checked, bytes in all
OnOffset = Callable[[int], None]  # bytes of one segment
# damage: not as it was written.  tail: what a crash left, or a writer has not finished.  lost: a frame that a
# repair could not save.  derived: a side file that is wrong and will be made anew.
Severity = Literal["damage", "tail", "lost", "derived"]


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


class Walked(NamedTuple):
    """How far a segment could be walked, and what stood in the way."""

    first_time: int
    end: Place
    findings: tuple[Finding, ...]


def check_log(
    folder: Path, on_frame: OnFrame, files: Files | None = None, on_progress: OnProgress | None = None
) -> Checked:
    """Walk every frame of a log in order; on_frame gets file, offset and frame of each whole one.

    A damaged segment is reported, the walk goes on with the next one.
    Raises: LogError if the folder holds no log; UnsupportedFormat; OSError.
    """
    files = files or Files()
    if not folder.is_dir() or not segment_paths(files, folder):
        raise LogError(f"{folder} holds no log")
    mark = _mark(files, folder)  # before the segments are listed, so that a writer beside us is never behind it
    paths = _listed(files, folder)
    sizes = [_size(path) for path in paths]
    findings: list[Finding] = []
    log_id, frame_count, end_seq = b"", 0, 0
    before: Place | None = None
    for number, path in enumerate(paths):
        try:
            segment = open_segment(files, path)
            on_offset = _offset_progress(on_progress, sum(sizes[:number]), sum(sizes))
            walked = check_segment(files, segment, on_frame, is_last=path is paths[-1], on_offset=on_offset)
        except FileNotFoundError:
            before = None
            continue  # retention of a writer beside us
        except Corrupt as damage:
            findings.append(_damage(damage))
            before = None
            continue
        log_id = log_id or segment.header.log_id
        findings.extend((*_check_seam(segment, log_id, before), *walked.findings))
        frame_count += walked.end.seq - segment.first_seq
        end_seq = walked.end.seq
        before = None if any(finding.severity == "damage" for finding in walked.findings) else walked.end
        if on_progress is not None:
            on_progress(sum(sizes[: number + 1]), sum(sizes))
    if mark is not None and mark.synced_seq > end_seq and paths[-1].exists():
        detail = f"frames up to seq {mark.synced_seq} were acknowledged, the log ends at {end_seq}"
        findings.append(Finding("damage", folder / MARK_NAME, 56, detail))
    return Checked(log_id, len(paths), frame_count, sum(sizes), int(paths[0].stem), end_seq, tuple(findings))


def check_segment(
    files: Files, segment: Segment, on_frame: OnFrame, *, is_last: bool, on_offset: OnOffset | None = None
) -> Walked:
    """Walk one segment, its footer and its index.

    Raises: OSError.
    """
    with segment.opened() as handle:
        size = files.size(handle)
        footer = segment.footer = segment.footer or read_footer(files, handle, segment.header)
        end = footer.end if footer else size
        walked = _walk(files, segment, handle, end, on_frame, is_last=is_last, on_offset=on_offset)
        if footer is not None:
            more = list(_check_footer(files, segment, handle, footer, walked))
        elif not is_last and segment.header.version > 1 and not walked.findings:
            more = [Finding("damage", segment.path, size, "the footer of a sealed segment is missing")]
        else:
            more = []
    return walked._replace(findings=(*walked.findings, *more, *_check_index(files, segment, footer)))


def _walk(
    files: Files,
    segment: Segment,
    handle: int,
    end: int,
    on_frame: OnFrame,
    *,
    is_last: bool,
    on_offset: OnOffset | None,
) -> Walked:
    place = whole = segment.start  # whole: after the last frame that completes its batch
    first_time, findings = -1, []
    for run in walk(files, handle, segment.path, place, end):
        for index, frame in enumerate(run.frames):
            on_frame(segment.path, run.starts[index], frame)
            first_time = frame.time if first_time < 0 else first_time
            if frame.flags & FLAG_LOST:
                detail = f"seq {frame.seq} was lost: {frame.payload.decode('utf-8', 'replace')}"
                findings.append(Finding("lost", segment.path, run.starts[index], detail))
            if not frame.flags & FLAG_MORE:
                whole = run.place(index + 1)
        place = run.after
        if on_offset is not None:
            on_offset(place.offset)
        if run.damage is not None:
            findings.extend(_judge(files, segment, handle, run.damage, place, end, is_last=is_last))
            return Walked(first_time, place, tuple(findings))
    if whole.offset != place.offset:
        severity: Severity = "tail" if is_last else "damage"
        findings.append(Finding(severity, segment.path, whole.offset, "the last batch is not complete"))
    return Walked(first_time, place, tuple(findings))


def _judge(
    files: Files, segment: Segment, handle: int, damage: Corrupt, place: Place, end: int, *, is_last: bool
) -> Iterator[Finding]:
    """Whether what stopped a walk is rot, a torn tail, a damaged footer, or space reserved for what comes."""
    rest = read_exactly(files, handle, place.offset, end - place.offset)
    if not is_last and segment.header.version > 1 and len(rest) == FOOTER_BYTES and segment.footer is None:
        yield Finding("damage", segment.path, place.offset, "the footer is damaged; the frames before it are whole")
        return
    mark = read_mark(files, segment.path.parent, segment.header.log_id)
    if is_last and not any(rest) and mark is not None and _reserved(mark, segment):
        return
    rot = not is_last or whole_frame_at(rest, 0) is not None or next(frames_behind(rest, place), None) is not None
    yield Finding("damage" if rot else "tail", segment.path, place.offset, str(damage))


def _reserved(mark: Mark, segment: Segment) -> bool:
    return mark.segment == segment.first_seq and mark.size_bytes > mark.offset


def _check_footer(files: Files, segment: Segment, handle: int, footer: Footer, walked: Walked) -> Iterator[Finding]:
    if any(finding.severity != "lost" for finding in walked.findings):
        return  # the frames are to blame
    end = walked.end
    digest = digest_of(files, handle, end.offset).digest()
    found = Footer(end.offset, end.seq - segment.first_seq, walked.first_time, end.time, digest, end.chain or 0)
    if found != footer:
        wrong = [name for name, value in found._asdict().items() if value != getattr(footer, name)]
        yield Finding("damage", segment.path, footer.end, f"the footer's {', '.join(wrong)} is not that of the frames")


def _check_index(files: Files, segment: Segment, footer: Footer | None) -> Iterator[Finding]:
    path = segment.path.with_suffix(INDEX_SUFFIX)
    if not path.exists() or footer is None:
        return  # nothing is wrong with an index that is not there, or not whole yet
    found = read_index(files, segment.path, segment.header)
    if found is None or (found[1].place.offset, found[1].digest) != (footer.end, footer.digest):
        yield Finding("derived", path, 0, "the index is damaged or stale; it is made anew when it is needed")


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


def _listed(files: Files, folder: Path) -> list[Path]:
    """The segments without a gap: a listing may miss one that is made meanwhile and see a later one."""
    last = segment_paths(files, folder)[-1:]
    paths = segment_paths(files, folder)
    return [path for path in paths if [path] <= last] or paths[:1]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _offset_progress(on_progress: OnProgress | None, done: int, total: int) -> OnOffset | None:
    return None if on_progress is None else lambda offset: on_progress(done + offset, total)


def _mark(files: Files, folder: Path) -> Mark | None:
    for path in segment_paths(files, folder):
        with suppress(Corrupt, FileNotFoundError):
            return read_mark(files, folder, open_segment(files, path).header.log_id)
    return None


def _damage(damage: Corrupt) -> Finding:
    return Finding("damage", damage.path, damage.offset, str(damage))
