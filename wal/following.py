"""Copying a log's tail into a replica: same seqs, same times, same bytes, and a refusal where they differ.

A follower reads from any LogReader, local or remote, and writes into a replica
that refuses appends.  What is visible in the replica is on its disk, and never
ahead of what is visible at the source.  Batches are copied whole.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from wal.errors import Diverged, LogClosed, LogError, WrongLog
from wal.files import Files
from wal.format import FLAG_MORE, Frame, frame_crc
from wal.log import FileLog
from wal.opening import Origin
from wal.options import LogOptions
from wal.protocol import LogReader

PAGE_COUNT_MAX: Final = 4096  # frames a step copies: one write and one fsync of the replica
PAGE_BYTES_MAX: Final = 4 * 1024 * 1024


def open_replica(
    source: LogReader,
    folder: Path,
    *,
    owner: str,
    clock_ms: Callable[[], int],
    options: LogOptions = LogOptions(),  # noqa: B008  (immutable)
    files: Files | None = None,
) -> FileLog:
    """Open a replica of source, or make one that begins at the first frame that source still has.

    owner: how those who want to append find the log's owner.
    Raises: NotOwner if the folder is a log of its own, or of another owner; WrongLog if it copies another log;
    LogError if source has nothing left to begin with; as FileLog.open.
    """
    replica = FileLog.open_replica(
        folder,
        owner=owner,
        origin=lambda: origin_of(source),
        clock_ms=clock_ms,
        options=options,
        files=files,
    )
    if replica.log_id != source.log_id:
        found = replica.log_id
        replica.close()
        raise WrongLog(source.log_id, found)
    return replica


def origin_of(source: LogReader) -> Origin:
    """Where a new replica of source begins.

    Raises: LogError if all that source had is gone and nothing new is there yet.
    """
    first = source.read_from(source.first_seq, count_max=1, bytes_max=1)
    if first:
        return Origin(source.log_id, first[0].seq, first[0].time - 1, first[0].chain)
    if source.first_seq > 0:
        raise LogError("the source keeps no frame to begin with; try again when it has one")
    return Origin(source.log_id, 0, 0, 0)


def follow(source: LogReader, target: FileLog) -> "Follower":
    """Begin or resume to copy source into target, a replica of it.

    Raises: ValueError if target is no replica; WrongLog; Diverged if what both have differs.
    """
    return Follower(source, target)


class Follower:
    """One replica and what it copies from.  For one thread."""

    def __init__(self, source: LogReader, target: FileLog) -> None:
        """Use follow."""
        if target.owner is None:
            raise ValueError(f"{target.folder} is no replica; open it with open_replica")
        if target.log_id != source.log_id:
            raise WrongLog(target.log_id, source.log_id)
        self.source = source
        self.target = target
        self._check_common()

    @property
    def lag(self) -> int:
        """How many frames the source shows that the replica does not."""
        return max(0, self.source.durable_end - self.target.durable_end)

    def step(self, timeout_s: float | None) -> int:
        """Copy one page, or wait for something to copy; give the number of frames, durable in the replica.

        Raises: Diverged; Truncated if the source no longer has what comes next: start the replica anew;
        LogClosed or LogFailed once the source has ended and all was copied, or of the replica; Corrupt.
        """
        seq = self.target.next_seq
        if not self.source.wait_past(seq, timeout_s):
            if self.source.ended and self.source.durable_end <= seq:
                raise self.source.failure or LogClosed("the source was closed; follow it again when it is open")
            return 0
        frames = self._page(seq)
        if not frames:
            return 0
        try:
            ticket = self.target.copy_frames(frames)
        except ValueError as error:
            self._check_common()
            raise Diverged(seq, str(error)) from error
        ticket.wait()
        return len(frames)

    def catch_up(self) -> int:
        """Copy all that the source shows now; give the number of frames."""
        end, copied = self.source.durable_end, 0
        while self.target.durable_end < end:
            copied += self.step(0)
        return copied

    def _page(self, seq: int) -> list[Frame]:
        """The next frames that end with a whole batch; none if its end is not visible yet."""
        frames = self.source.read_from(seq, count_max=PAGE_COUNT_MAX, bytes_max=PAGE_BYTES_MAX)
        while frames and frames[-1].flags & FLAG_MORE:
            whole = next((at for at in range(len(frames), 0, -1) if not frames[at - 1].flags & FLAG_MORE), 0)
            if whole:
                return frames[:whole]
            more = self.source.read_from(
                frames[-1].seq + 1, count_max=PAGE_COUNT_MAX, bytes_max=PAGE_BYTES_MAX
            )  # a batch is no larger than what its writer could hold
            if not more:
                return []
            frames += more
        return frames

    def _check_common(self) -> None:
        """Refuse a source whose last frame in common is not the replica's: the chain vouches for all before it."""
        low = max(self.source.first_seq, self.target.first_seq)
        high = min(self.source.durable_end, self.target.durable_end) - 1
        if high < low or self._same(high):
            return
        while low < high:  # the first that differs
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._same(middle) else (low, middle)
        raise Diverged(low, "the source's frame is not the one that was copied")

    def _same(self, seq: int) -> bool:
        return frame_crc(self.source.get(seq)) == frame_crc(self.target.get(seq))
