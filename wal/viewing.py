"""Reading a log that another process writes, or nobody: no lock, no change, and live.

Shows what the writer's mark says is visible, never more: frames that are
written and not yet synced stay unseen.  Follows the mark by looking at it now
and then.  A log without a mark, or that a power cut left short of it, is shown
up to its last whole batch, once that is synced.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Self

from wal.errors import Corrupt, LogClosed, LogError, LogFailed, UnknownLog
from wal.files import Files
from wal.format import FLAG_MORE, SEQ_MAX
from wal.mark import MARK_BYTES, Mark, decode_mark
from wal.mark import NAME as MARK_NAME
from wal.opening import read_owner
from wal.readable import ReadableLog
from wal.reading import Contents
from wal.recovery import check_segments
from wal.scan import Place, walk
from wal.segment import Segment, open_segment, segment_paths

POLL_S: Final = 0.01  # how often the mark is looked at while somebody waits
_TRIES: Final = 100  # of a listing that the writer overtakes, POLL_S apart
_MARK_TRIES: Final = 5  # of a mark that is not whole
_MARK_PAUSE_S: Final = 0.001
_TAIL_BYTES: Final = 32  # before the marked end: zeros are no frame, or the end of one that holds zeros


class _Overtaken(LogFailed):
    """The writer was quicker than this look; another may be luckier."""


class _Seen(NamedTuple):
    """What a look found, and the mark that it went by, if any."""

    contents: Contents
    mark: Mark | None


class ReadOnlyLog(ReadableLog):
    """A log seen from outside its writer.  Thread-safe.  Implements wal.protocol.LogReader."""

    def __init__(self, folder: Path, files: Files, poll_s: float, seen: _Seen) -> None:
        """Use ReadOnlyLog.open."""
        super().__init__(files, seen.contents.segments[0].header.log_id, seen.contents)
        self.folder = folder
        self.owner = read_owner(files, folder)
        self._files = files
        self._poll_s = poll_s
        self._mark = seen.mark
        self._refreshing = threading.Lock()
        self._failure: LogError | None = None
        self._stopping = threading.Event()
        self._poller: threading.Thread | None = None

    @classmethod
    def open(cls, folder: Path | str, *, files: Files | None = None, poll_s: float = POLL_S) -> Self:
        """Open a log for reading, beside a writer or without one.

        Raises: UnknownLog if the folder holds no log; Corrupt; UnsupportedFormat; LogFailed if its segments change
        faster than they can be listed; OSError.
        """
        folder = Path(folder)
        files = files or Files()
        return cls(folder, files, poll_s, _look(files, folder, ()))

    @property
    def ended(self) -> bool:
        """Whether this reader was closed, or the log went back; a writer that closes does not end it."""
        return self._stopping.is_set() or self._failure is not None

    @property
    def failure(self) -> LogError | None:
        """Why nothing more is read, if that is so."""
        return self._failure

    @property
    def durable_end(self) -> int:
        """The seq after the last visible frame."""
        return self._contents_now().end.seq

    @property
    def first_seq(self) -> int:
        """The first seq that is still kept; durable_end if none is."""
        return self._contents_now().first_seq

    @property
    def last_time(self) -> int:
        """The hybrid time of the last visible frame; -1 if none is kept."""
        last = self.read_back(self.durable_end, count_max=1, bytes_max=1)
        return last[0].time if last else -1

    def wait_past(self, seq: int, timeout_s: float | None) -> bool:
        """Wait until durable_end is above seq; False if time ran out or this reader was closed before that."""
        if self.durable_end > seq:
            return True
        self._start_polling()
        return super().wait_past(seq, timeout_s)

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back, in the thread that looks at the mark, whenever it was seen to move; see wal.protocol.LogReader."""
        self._start_polling()
        return super().watch(callback)

    def close(self) -> None:
        """Stop following.  A second call does nothing."""
        self._stopping.set()
        self._tell()
        with self._refreshing:  # whoever starts it is done with that
            poller = self._poller
        if poller is not None:
            poller.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._stopping.is_set():
            raise LogClosed(f"{self.folder}: this reader is closed")
        if self._failure is not None:
            raise self._failure

    def _contents_now(self) -> Contents:
        if not self.ended:
            self._refresh()
        return self._visible

    def _start_polling(self) -> None:
        with self._refreshing:
            if self._poller is None and not self._stopping.is_set():
                poller = threading.Thread(target=self._poll, args=(self._visible,), name="wal-view", daemon=True)
                poller.start()
                self._poller = poller  # not before it runs: Ctrl-C may come between

    def _poll(self, told: Contents) -> None:
        """Look now and then, and tell: here alone, so that a watcher that looks itself is not called within its call.

        told: what those who wait and watch know.
        """
        while not self._stopping.wait(self._poll_s) and self._failure is None:
            try:
                self._refresh()
                if self._visible is not told:
                    told = self._visible
                    self._tell()
            except (LogError, OSError) as error:
                self._fail(error if isinstance(error, LogError) else LogFailed(f"{self.folder}: {error}"))

    def _refresh(self) -> None:
        """Look at the mark, and show what it tells; where the writer was quicker, what was seen before stays."""
        failed: LogFailed | None = None
        with self._refreshing:
            try:
                self._look_again(self._visible)
            except (FileNotFoundError, _Overtaken):
                pass
            except LogFailed as error:
                failed = error
        if failed is not None:
            self._fail(failed)

    def _look_again(self, before: Contents) -> None:
        """Raises: LogFailed if the log went back; _Overtaken; FileNotFoundError; as open."""
        segments, end = before
        mark = _read_mark(self._files, self.folder)
        if mark is not None and mark.log_id != self._log_id:
            mark = None
        if mark is None or mark.segment < segments[0].first_seq or _same_end(mark, self._mark):
            if mark is not None and segments[0].path.exists():
                return
            kept = _without_removed(self._files, self.folder, before)
            if kept is not None:
                self._visible = kept
                return
        elif mark.seq < end.seq:
            raise self._went_back(mark.seq)
        seen = _look(self._files, self.folder, segments)
        if seen.contents.end.seq < end.seq:
            raise self._went_back(seen.contents.end.seq)
        self._visible, self._mark = seen

    def _went_back(self, seq: int) -> LogFailed:
        return LogFailed(f"{self.folder}: the log went back from seq {self._visible.end.seq} to {seq}; open it again")

    def _fail(self, error: LogError) -> None:
        self._failure = error
        self._tell()


def _look(files: Files, folder: Path, known: tuple[Segment, ...]) -> _Seen:
    """What the mark, or without one the last segment, shows now.

    A listing may miss a segment that is made or removed meanwhile, so what does not fit is looked at again,
    and is believed once nothing has changed since the look before.
    Raises: as ReadOnlyLog.open.
    """
    before: object = None
    for _ in range(_TRIES):
        mark = _read_mark(files, folder)  # before the listing: its segment and all before it are there by then
        paths = _paths(files, folder)
        now = mark and mark.segment, paths
        try:
            return _look_once(files, folder, paths, mark, known, is_settled=now == before)
        except (FileNotFoundError, _Overtaken):
            pass
        except Corrupt:
            if now == before:
                raise
        before = now
        time.sleep(POLL_S)
    raise _Overtaken(f"{folder}: its segments change faster than they can be listed; try again")


def _look_once(
    files: Files, folder: Path, paths: list[Path], found: Mark | None, known: tuple[Segment, ...], *, is_settled: bool
) -> _Seen:
    if not paths:
        raise UnknownLog(f"{folder} holds no log")
    kept = {segment.path: segment for segment in known if segment.footer is not None}
    last = known[-1] if known else None
    segments = [kept.get(path) or open_segment(files, path) for path in paths]
    log_id = segments[-1].header.log_id
    if last is not None and last.header.log_id != log_id:
        raise UnknownLog(f"{folder} holds another log now; open it again")
    mark = found if found is not None and found.log_id == log_id else None
    if mark is not None and all(segment.first_seq != mark.segment for segment in segments):
        if not is_settled:
            raise _Overtaken(f"{folder} changed between the mark and the listing")
        if mark.segment > segments[0].first_seq:
            raise Corrupt(folder / MARK_NAME, 32, f"a segment that starts at seq {mark.segment}", "none")
        mark = None  # older than what retention removed: it says nothing
    if mark is not None:
        segments = [segment for segment in segments if segment.first_seq <= mark.segment]
    if last is not None and segments[-1].path == last.path:
        segments[-1] = last  # with the index that it has gathered
    check_segments(files, tuple(segments), None)
    end = _end_by(files, segments[-1], mark, is_new=last is None) if mark else _walked_end(files, segments[-1])
    if mark is None and _read_mark(files, folder) != found:  # a writer came: it may not have synced what was walked
        raise _Overtaken(f"{folder} got a mark while it was read without one")
    return _Seen(Contents(tuple(segments), end), mark)


def _without_removed(files: Files, folder: Path, contents: Contents) -> Contents | None:
    """Contents less what retention removed; None if even the last segment is gone, or is another log's."""
    there, last = set(_paths(files, folder)), contents.segments[-1]
    kept = tuple(segment for segment in contents.segments if segment.path in there)
    if last.path not in there or open_segment(files, last.path).header.log_id != last.header.log_id:
        return None
    return contents if kept == contents.segments else Contents(kept, contents.end)


def _read_mark(files: Files, folder: Path) -> Mark | None:
    """The mark; None if there is none, or it stays garbled: one that is being overwritten is whole a moment later."""
    for tries_left in reversed(range(_MARK_TRIES)):
        try:
            handle = files.open_read(folder / MARK_NAME)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            data = files.read(handle, MARK_BYTES, 0)
        finally:
            files.close(handle)
        mark = decode_mark(data)
        if mark is not None or len(data) < MARK_BYTES:
            return mark
        if tries_left:
            time.sleep(_MARK_PAUSE_S)
    return None


def _paths(files: Files, folder: Path) -> list[Path]:
    return segment_paths(files, folder) if folder.is_dir() else []


def _same_end(mark: Mark, other: Mark | None) -> bool:
    """The epoch counts: after a power cut the next writer may come to the same offset with other frames."""
    if other is None:
        return False
    return (mark.epoch, mark.segment, mark.offset) == (other.epoch, other.segment, other.offset)


def _end_by(files: Files, segment: Segment, mark: Mark, *, is_new: bool) -> Place:
    """Where the mark says, or before, where a power cut took frames that were shown and never synced.

    What was synced and is gone is damage: it stays in the range, and the reads tell.
    is_new: the segment was not read before, so a power cut may have come.
    """
    if mark.synced_seq < mark.seq and _is_cut(files, segment, mark, is_new=is_new):
        whole = _walked_end(files, segment, mark.offset)
        if whole.seq >= mark.synced_seq:
            return whole
    return Place(mark.offset, mark.seq, None, SEQ_MAX)  # its time is not known: later than any


def _is_cut(files: Files, segment: Segment, mark: Mark, *, is_new: bool) -> bool:
    """Whether the file ends before the mark, or there may be zeros there, as space that was reserved holds."""
    with segment.opened() as handle:
        if mark.offset > files.size(handle):
            return True
        return is_new and not any(files.read(handle, _TAIL_BYTES, mark.offset - _TAIL_BYTES))


def _walked_end(files: Files, segment: Segment, limit: int | None = None) -> Place:
    """The end of the last whole batch, at or before limit; this reader syncs it before it shows it."""
    with segment.opened() as handle:
        whole, size = segment.start, files.size(handle)
        for run in walk(files, handle, segment.path, whole, min(size, limit or size)):
            ends = (at for at in range(len(run.frames), 0, -1) if not run.frames[at - 1].flags & FLAG_MORE)
            whole = next((run.place(at) for at in ends), whole)
        files.sync(handle)
    return whole
