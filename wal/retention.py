"""Which segments retention lets go.  Pure."""

from collections.abc import Iterator, Sequence

from wal.format import wall_ms
from wal.options import Retention
from wal.segment import Segment


def expired(segments: Sequence[Segment], retention: Retention, now_ms: int) -> Iterator[Segment]:
    """Yield the oldest sealed segments that no bound holds, oldest first; the last segment always stays."""
    sealed = segments[:-1]
    count_after = sum(segment.end.seq - segment.first_seq for segment in sealed)
    bytes_after = sum(segment.end.offset for segment in sealed)
    for segment in sealed:
        count_after -= segment.end.seq - segment.first_seq
        bytes_after -= segment.end.offset
        if not (
            (retention.count_min is not None and count_after >= retention.count_min)
            or (retention.bytes_min is not None and bytes_after >= retention.bytes_min)
            or (retention.age_ms is not None and wall_ms(segment.end.time) < now_ms - retention.age_ms)
        ):
            return
        yield segment
