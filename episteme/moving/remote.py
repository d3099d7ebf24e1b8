"""Frames of a server's log, rebuilt from the lines that it tells: the same bytes, or an error."""

from collections.abc import Callable, Iterator, Sequence

from episteme.loglines import LogLine, frame_of
from episteme.moving.copying import PAGE_BYTES_MAX, PAGE_COUNT_MAX
from wal import Frame

ReadLines = Callable[[int], Iterator[LogLine]]  # after a seq (-1: from the first), to the end as it is at the call


class LineSource:
    """A log that another process tells of, line by line.  A FrameSource."""

    def __init__(self, database: str, end: int, read: ReadLines) -> None:
        """Of the database of this id (hex), whose log ended before end when it was asked."""
        self._log_id = bytes.fromhex(database)
        self._end = end
        self._read = read

    @property
    def log_id(self) -> bytes:
        """As FrameSource."""
        return self._log_id

    @property
    def end(self) -> int:
        """As FrameSource."""
        return self._end

    def pages(self, start: int, end: int) -> Iterator[Sequence[Frame]]:
        """As FrameSource.  Raises: VerificationFailed for a line that is not of its frame; as the reading of lines."""
        if start >= end:
            return
        page: list[Frame] = []
        size_bytes = 0
        for line in self._read(start - 1):
            if line.seq >= end:
                break
            frame = frame_of(line)
            page.append(frame)
            size_bytes += len(frame.payload)
            if len(page) == PAGE_COUNT_MAX or size_bytes >= PAGE_BYTES_MAX:
                yield page
                page, size_bytes = [], 0
        if page:
            yield page
