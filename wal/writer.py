"""The disk side of a log: one group of frames at a time into the last segment, and the roll to the next.

Owns: the write handle, the mark, the footers and the removal of what retention
lets go.  Knows no threads: its log calls it from one at a time.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from blake3 import blake3

from wal.commit import CommitGroup
from wal.errors import Fenced
from wal.failing import syncing
from wal.files import Files
from wal.format import FRAME, VERSION, Footer, SegmentHeader, encode_footer, encode_header, wall_ms
from wal.index import STRIDE, Covered, SparseIndex
from wal.mark import NAME as MARK_NAME
from wal.mark import Mark, encode_mark
from wal.opening import LOCK_NAME, Opened
from wal.options import LogOptions
from wal.reading import Contents
from wal.retention import expired
from wal.scan import Place, walk
from wal.segment import INDEX_SUFFIX, Segment, create_segment, write_index

_CLOCK_SLACK_MS: Final = 1000  # a clock that is steered does not jump that far
_LOGGER = logging.getLogger(__name__)


class Observer(Protocol):
    """Who is told what the disk did and how long it took; must be quick, and must not raise."""

    def wrote(self, frame_count: int, size_bytes: int, seconds: float) -> None:
        """A group of frames was written, and is not durable yet."""

    def synced(self, seconds: float) -> None:
        """An fsync of the segment has ended well."""


class Writer:
    """Appends to the segments of one log."""

    def __init__(
        self, files: Files, folder: Path, options: LogOptions, clock_ms: Callable[[], int], opened: Opened
    ) -> None:
        """Take over what opening found; all of it is on the disk."""
        recovered = opened.recovered
        self.contents = Contents(recovered.segments, recovered.end)  # all that is written
        self.synced = self.contents  # all that is on the disk
        self.observer: Observer | None = None
        self._files = files
        self._folder = folder
        self._options = options
        self._clock_ms = clock_ms
        self._log_id = recovered.segments[0].header.log_id
        self._epoch = opened.epoch
        self._lock_handle = opened.lock_handle
        self._lock_path = folder / LOCK_NAME
        self._handle = recovered.handle
        self._hasher: Any = recovered.hasher  # of the last segment up to the end
        self._reserved_to = files.size(recovered.handle)
        self._replica = opened.owner is not None
        self._sync_failed = False
        self._told_clock = False
        self._expired: deque[Segment] = deque()  # not shown any more, and not removed yet
        self._mark_handle = files.open_or_create(folder / MARK_NAME)
        try:  # durable once: from now on there is a mark, if an old one
            self._publish()
            files.sync(self._mark_handle)
            files.sync_folder(folder)
        except BaseException:
            files.close(self._mark_handle)
            raise

    def owns_folder(self) -> bool:
        """Whether the lock is still where it was taken; if not, nothing here may be touched any more."""
        return self._files.still_at(self._lock_handle, self._lock_path)

    def write(self, group: CommitGroup) -> None:
        """Write a group behind what is there, in a new segment if it does not fit.  Not durable.

        Raises: Fenced; OSError, SyncFailed if it was an fsync.  After cut_back nothing of it is there.
        """
        if not self.owns_folder():
            raise Fenced(f"{self._folder}: the lock file was removed or replaced; another writer may have the log")
        if self._must_roll(group.size_bytes):
            self._roll(group)
        if self._replica:  # so that what follows is known as not acknowledged
            self._publish()
            with syncing():
                self._files.sync(self._mark_handle)
        segments, start = self.contents
        data = b"".join(group.parts)
        started_s = time.perf_counter()
        self._files.write(self._handle, data, start.offset)
        if self.observer is not None:
            self.observer.wrote(len(group.parts) // 2, len(data), time.perf_counter() - started_s)
        self._compare_clock(group.time)
        end = Place(start.offset + len(data), group.end_seq, group.chain, group.time)
        self._reserve(end.offset, len(data))
        _note(segments[-1].index, group, start.offset)
        self._hasher.update(data)
        self.contents = Contents(segments, end)

    def _compare_clock(self, time_: int) -> None:
        """Say so, once each time, when frames bear times that the clock has not reached: it was stepped back."""
        ahead_ms = wall_ms(time_) - self._clock_ms()
        if ahead_ms <= _CLOCK_SLACK_MS:
            self._told_clock = False
        elif not self._told_clock:
            self._told_clock = True
            _LOGGER.warning(
                "%s: the clock is %s s behind the log's last time; times go on from that one",
                self._folder,
                ahead_ms // 1000,
            )

    def sync(self) -> None:
        """All that was written is on the disk on return.

        Raises: SyncFailed.
        """
        contents = self.contents
        started_s = time.perf_counter()
        try:
            with syncing():
                self._files.sync(self._handle)
        except BaseException:
            self._sync_failed = True
            raise
        if self.observer is not None:
            self.observer.synced(time.perf_counter() - started_s)
        self.synced = contents
        self.tell_readers()

    def tell_readers(self) -> None:
        """Let readers in other processes see what may be seen now; in a log opened with "os" all that is written."""
        try:
            self._publish()
        except OSError as error:  # an older mark is a true one: they see less
            _LOGGER.warning("%s: the mark was not written: %s", self._folder, error)

    @property
    def path(self) -> Path:
        """The segment that is written to."""
        return self.contents.segments[-1].path

    def cut_back(self, *, keep_unsynced: bool) -> None:
        """After a failure, cut off what is half written, and what a failed fsync may have left in memory only.

        What was written whole stays if its fsync succeeds now, none having failed, or with keep_unsynced.
        Raises: OSError.
        """
        if not self.owns_folder():
            return
        kept = self.synced if self._sync_failed and not keep_unsynced else self.contents
        if kept.segments[-1].footer is None:  # behind a footer there is nothing
            self._files.truncate(self._handle, kept.end.offset)
            self._reserved_to = kept.end.offset
        self._files.sync(self._handle)
        if not self._sync_failed:
            self.synced = kept

    def remove_expired(self) -> None:
        """Remove the files of what retention let go, oldest first and one by one, so that no gap can remain."""
        try:
            while self._expired:
                self._files.remove_if_there(self._expired[0].path)
                self._files.sync_folder(self._folder)
                self._files.remove_if_there(self._expired.popleft().path.with_suffix(INDEX_SUFFIX))
        except OSError as error:  # tried again after the next commit; until then nothing behind it is removed
            _LOGGER.warning("%s: retention could not remove a segment: %s", self._folder, error)

    def close(self, *, clean: bool) -> None:
        """Give the handles back; clean: nothing failed, so give back reserved space and keep the index too."""
        try:
            if clean and self.owns_folder():
                self._finish_last()
        except OSError as error:  # all that is lost is a faster opening
            _LOGGER.warning("%s: %s", self._folder, error)
        finally:
            self._files.close(self._handle)
            self._files.close(self._mark_handle)
            self._files.close(self._lock_handle)

    def _finish_last(self) -> None:
        (*_, segment), end = self.contents
        if segment.footer is None:
            if self._files.size(self._handle) > end.offset:
                self._files.truncate(self._handle, end.offset)
                self._files.sync(self._handle)
                self._reserved_to = end.offset
                self.tell_readers()
            write_index(self._files, segment, Covered(end, self._hasher.digest()))

    def _must_roll(self, size_bytes: int) -> bool:
        (*_, segment), end = self.contents
        if segment.header.version != VERSION:
            return True
        if end.seq == segment.first_seq:
            return False
        return segment.footer is not None or end.offset + size_bytes > self._options.segment_bytes

    def _roll(self, group: CommitGroup) -> None:
        """Seal the last segment and begin the next; then let go what retention does not hold."""
        segments, end = self.contents
        if end.seq == segments[-1].first_seq:  # an empty one of version 1: the new one takes its name
            segments = segments[:-1]
        elif segments[-1].footer is None:
            self._seal(segments[-1], end)
        self.synced = self.contents
        created = max(_first_time(group) - 1, 0)
        header = SegmentHeader(self._log_id, self._epoch, end.seq, created, group.chain_before)
        segment, handle = create_segment(self._files, self._folder, header)
        self._files.close(self._handle)
        self._handle, self._hasher = handle, blake3(encode_header(header))
        self._reserved_to = segment.start.offset
        segments = (*segments, segment)
        gone = list(expired(segments, self._options.retention, self._clock_ms()))
        self._expired.extend(gone)
        self.contents = Contents(segments[len(gone) :], segment.start._replace(time=end.time))
        self.synced = self.contents

    def _seal(self, segment: Segment, end: Place) -> None:
        """Write the footer; all before it is on the disk then."""
        files, handle = self._files, self._handle
        self.sync()
        if files.size(handle) > end.offset:  # space ahead, all of it: also what a refused allocation left
            files.truncate(handle, end.offset)
        first_time = self._first_time(segment, end)
        count = end.seq - segment.first_seq
        footer = Footer(end.offset, count, first_time, end.time, self._hasher.digest(), end.chain or 0)
        if segment.header.version > 1:
            files.write(handle, encode_footer(footer), end.offset)
            with syncing():
                files.sync(handle)
        segment.footer = footer
        try:
            write_index(files, segment, Covered(end, footer.digest))
        except OSError as error:
            _LOGGER.warning("%s: its index was not written: %s", segment.path, error)

    def _first_time(self, segment: Segment, end: Place) -> int:
        runs = walk(self._files, self._handle, segment.path, segment.start, end.offset, count_max=1, read_bytes=4096)
        for run in runs:
            if run.damage:
                raise OSError(str(run.damage)) from run.damage
            return run.frames[0].time
        raise AssertionError(f"{segment.path} is sealed without a frame")

    def _reserve(self, end: int, size: int) -> None:
        """Allocate space ahead, so that the next fsyncs need not record that the file has grown."""
        ahead = self._options.reserve_bytes
        if end < self._reserved_to or size >= ahead:
            return
        ahead = min(ahead, self._options.segment_bytes - end)
        if ahead > 0:
            try:
                self._files.reserve(self._handle, end, ahead)
                self._reserved_to = end + ahead
                self.tell_readers()  # of the length: what lies behind the end is space, not a torn write
            except OSError:  # no room to spare: go on without
                self._reserved_to = end

    def _publish(self) -> None:
        contents = self.synced if self._options.durability != "os" else self.contents
        segment = contents.segments[-1]
        mark = Mark(
            segment.header.log_id,
            self._epoch,
            segment.first_seq,
            contents.end.offset,
            contents.end.seq,
            self.synced.end.seq,
            max(self._reserved_to, contents.end.offset),
        )
        self._files.publish(self._mark_handle, encode_mark(mark))


def _first_time(group: CommitGroup) -> int:
    time: int = FRAME.unpack(group.parts[0])[3]
    return time


def _note(index: SparseIndex, group: CommitGroup, offset: int) -> None:
    """Note the frames of a group whose seq is a multiple of the stride."""
    part = 0
    for seq in range(-(-group.first_seq // STRIDE) * STRIDE, group.end_seq, STRIDE):
        following = 2 * (seq - group.first_seq)
        offset += sum(map(len, group.parts[part:following]))
        part = following
        index.note(seq, offset, FRAME.unpack(group.parts[part])[3])
