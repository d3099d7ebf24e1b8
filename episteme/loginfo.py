"""What a log's folder holds, told from its headers and its mark: no frame is checked, nothing changed.

May run beside a server.  Source: docs/format-log.md.
"""

from pathlib import Path

from msgspec import Struct

from wal import Files, ReadOnlyLog
from wal.format import wall_ms
from wal.segment import Segment, open_segment, segment_paths


class SegmentInfo(Struct, frozen=True):
    """One file of a log; times: of its first and its last event, none while it has none."""

    file: str
    format: int
    epoch: int
    first_seq: int
    count: int
    bytes: int
    first_time_ms: int | None
    last_time_ms: int | None
    sealed: bool


class LogInfo(Struct, frozen=True):
    """A log; seq: its last position, -1 for none.  epoch: how often it was opened for writing."""

    log_id: str
    first_seq: int
    seq: int
    count: int
    bytes: int
    first_time_ms: int | None
    last_time_ms: int | None
    epoch: int
    owner: str | None
    segments: list[SegmentInfo]


def log_info(folder: Path) -> LogInfo:
    """Look at a log's own folder.

    Raises: LogError if it holds none, or one that cannot be read; OSError.
    """
    files = Files()
    with ReadOnlyLog.open(folder, files=files) as log:
        paths = [path for path in segment_paths(files, folder) if int(path.stem) <= log.durable_end]
        segments = [_segment_info(log, open_segment(files, path)) for path in paths]
        times = [one for one in segments if one.count]
        return LogInfo(
            log_id=log.log_id.hex(),
            first_seq=log.first_seq,
            seq=log.durable_end - 1,
            count=log.durable_end - log.first_seq,
            bytes=log.size_bytes,
            first_time_ms=times[0].first_time_ms if times else None,
            last_time_ms=times[-1].last_time_ms if times else None,
            epoch=max(one.epoch for one in segments),
            owner=log.owner,
            segments=segments,
        )


def _segment_info(log: ReadOnlyLog, segment: Segment) -> SegmentInfo:
    header, footer = segment.header, segment.footer
    if footer is not None:
        count, first_time, last_time = footer.frame_count, footer.first_time, footer.last_time
    else:
        count = max(0, log.durable_end - header.first_seq)
        first_time, last_time = (log.get(header.first_seq).time, log.last_time) if count else (0, 0)
    return SegmentInfo(
        file=segment.path.name,
        format=header.version,
        epoch=header.epoch,
        first_seq=header.first_seq,
        count=count,
        bytes=segment.path.stat().st_size,
        first_time_ms=wall_ms(first_time) if count else None,
        last_time_ms=wall_ms(last_time) if count else None,
        sealed=footer is not None,
    )
