"""An exact copy of a log: same id, seqs, times and bytes, durable page by page, and a refusal where frames differ.

The copy is a replica until it is made a log of its own: nobody can append to it
by accident.  What a crash leaves of it is whole frames, and the next run goes
on behind them.  Knows nothing of what frames hold.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol, Self

from wal import Diverged, FileLog, Files, Frame, LogReader, WrongLog
from wal.format import FLAG_MORE, frame_crc
from wal.opening import OWNER_NAME, Origin

PAGE_COUNT_MAX: Final = 8192  # frames a write and an fsync of the copy are shared by
PAGE_BYTES_MAX: Final = 8 * 1024 * 1024

OnProgress = Callable[[int, int], None]  # done, and in all


class FrameSource(Protocol):
    """Where frames come from: a log, or a server that tells of its own."""

    @property
    def log_id(self) -> bytes:
        """16 bytes that tell this log from every other."""

    @property
    def end(self) -> int:
        """The seq after the last frame that is durable now."""

    def pages(self, start: int, end: int) -> Iterator[Sequence[Frame]]:
        """The frames from start up to, and without, end, in order and in pages of bounded size.

        Raises: LogError; EpistemeError.
        """


class LogSource:
    """A log that is open here, beside its writer or not."""

    def __init__(self, log: LogReader) -> None:
        self._log = log

    @property
    def log_id(self) -> bytes:
        """As FrameSource."""
        return self._log.log_id

    @property
    def end(self) -> int:
        """As FrameSource."""
        return self._log.durable_end

    def pages(self, start: int, end: int) -> Iterator[Sequence[Frame]]:
        """As FrameSource."""
        while start < end:
            page = self._log.read_from(start, count_max=min(PAGE_COUNT_MAX, end - start), bytes_max=PAGE_BYTES_MAX)
            yield page
            start += len(page)


class Copy:
    """A copy in a folder, open for more.  For one thread."""

    def __init__(self, log: FileLog) -> None:
        """Use Copy.open."""
        self._log = log
        self._held: list[Frame] = []  # of a batch whose end has not come

    @classmethod
    def open(
        cls,
        folder: Path,
        source: FrameSource,
        *,
        owner: str,
        clock_ms: Callable[[], int],
        files: Files | None = None,
    ) -> Self:
        """Open the copy of source in a folder, or begin one.

        owner: how those who want to append find the log's owner.
        Raises: WrongLog for the copy of another log; NotOwner for a log that is no copy; LogLocked; Corrupt; OSError.
        """

        def origin() -> Origin:
            return _origin(source.log_id, next(iter(source.pages(0, min(source.end, 1))), ()))

        log = FileLog.open_replica(folder, owner=owner, origin=origin, clock_ms=clock_ms, files=files)
        if log.log_id != source.log_id:
            log.close()
            raise WrongLog(source.log_id, log.log_id)
        return cls(log)

    @classmethod
    def begin(
        cls,
        folder: Path,
        log_id: bytes,
        first: Sequence[Frame],
        *,
        owner: str,
        clock_ms: Callable[[], int],
        files: Files | None = None,
    ) -> Self:
        """A copy in a new folder that begins with the first of these frames, which is not put yet.

        Raises: ValueError for a log id that is none; OSError.
        """
        return cls(
            FileLog.open_replica(
                folder, owner=owner, origin=lambda: _origin(log_id, first), clock_ms=clock_ms, files=files
            )
        )

    @property
    def end(self) -> int:
        """The seq after the last frame here."""
        return self._log.durable_end

    @property
    def last(self) -> Frame | None:
        """The last frame here."""
        found = self._log.read_back(self._log.durable_end, count_max=1, bytes_max=1)
        return found[0] if found else None

    def follow(self, source: FrameSource, end: int, on_progress: OnProgress) -> int:
        """Copy the source's frames up to, and without, end; give how many are new, durable here.

        on_progress: seqs done, and in all.
        Raises: Diverged if what both have differs, or the source has less; LogError; OSError.
        """
        last, before = self.last, self.end
        if source.end < before:
            raise Diverged(source.end, f"the source ends at seq {source.end - 1}, the copy at {before - 1}")
        pages = source.pages(before if last is None else last.seq, max(end, before))
        for page in pages if last is None else _after_common(pages, last):
            self.put(page)
            on_progress(self.end, end)
        if self.end < end:
            raise Diverged(self.end, f"the source said that it has {end} frames, and gives no more, or half a batch")
        return self.end - before

    def put(self, frames: Iterable[Frame]) -> None:
        """Append the frames that come next; durable on return but for a batch that is not whole yet.

        Raises: Diverged if they do not go on where the copy ends; LogFailed; DiskFull.
        """
        page = [*self._held, *frames]
        whole = next((at for at in range(len(page), 0, -1) if not page[at - 1].flags & FLAG_MORE), 0)
        self._held = page[whole:]
        if whole:
            try:
                ticket = self._log.copy_frames(page[:whole])
            except ValueError as error:
                raise Diverged(self.end, str(error)) from error
            ticket.wait()

    def close(self) -> None:
        """Give the folder back.  A second call does nothing."""
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def make_own(folder: Path, files: Files | None = None) -> None:
    """Make a copy that is closed a log of its own, which takes appends; durable on return."""
    files = files or Files()
    files.remove_if_there(folder / OWNER_NAME)
    files.sync_folder(folder)


def _after_common(pages: Iterator[Sequence[Frame]], last: Frame) -> Iterator[Sequence[Frame]]:
    """The pages behind the frame that both sides have; the chain vouches for all before it.

    Raises: Diverged if it is not the same.
    """
    first = next(pages, ())
    if not first or first[0].seq != last.seq or frame_crc(first[0]) != frame_crc(last):
        raise Diverged(last.seq, "the source's frame is not the one that was copied")
    yield first[1:]
    yield from pages


def _origin(log_id: bytes, first: Sequence[Frame]) -> Origin:
    """Where a copy begins: the database's log keeps everything, so with its first frame, if there is one."""
    if first:
        return Origin(log_id, first[0].seq, first[0].time - 1, first[0].chain)
    return Origin(log_id, 0, 0, 0)
