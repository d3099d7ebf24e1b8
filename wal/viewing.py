"""Reading a log that another process writes, or nobody: no lock, no change, and live.

Shows what the writer's mark says is visible, never more: frames that are
written and not yet synced stay unseen.  Follows the mark by looking at it now
and then.  A log without a mark is shown up to its last whole batch, once that
is synced.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from wal.errors import Corrupt, LogClosed, LogError, LogFailed, UnknownLog
from wal.files import Files
from wal.format import FLAG_MORE, SEQ_MAX
from wal.mark import NAME as MARK_NAME
from wal.mark import Mark
from wal.opening import read_owner
from wal.readable import ReadableLog
from wal.reading import Contents
from wal.recovery import check_segments, read_mark
from wal.scan import Place, walk
from wal.segment import Segment, open_segment, segment_paths

POLL_S: Final = 0.01  # how often the mark is looked at while somebody waits
_TRIES: Final = 100  # of a listing that retention overtakes


class ReadOnlyLog(ReadableLog):
    """A log seen from outside its writer.  Thread-safe.  Implements wal.protocol.LogReader."""

    def __init__(self, folder: Path, files: Files, poll_s: float, contents: Contents) -> None:
        """Use ReadOnlyLog.open."""
        super().__init__(files, contents.segments[0].header.log_id, contents)
        self.folder = folder
        self.owner = read_owner(files, folder)
        self._files = files
        self._poll_s = poll_s
        self._refreshing = threading.Lock()
        self._failure: LogError | None = None
        self._stopping = threading.Event()
        self._poller: threading.Thread | None = None

    @classmethod
    def open(cls, folder: Path, *, files: Files | None = None, poll_s: float = POLL_S) -> Self:
        """Open a log for reading, beside a writer or without one.

        Raises: UnknownLog if the folder holds no log; Corrupt; UnsupportedFormat; OSError.
        """
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
        """Call back whenever the mark was seen to move; see wal.protocol.LogReader."""
        self._start_polling()
        return super().watch(callback)

    def close(self) -> None:
        """Stop following.  A second call does nothing."""
        self._stopping.set()
        self._show(None)
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
                poller = threading.Thread(target=self._poll, name="wal-view", daemon=True)
                poller.start()
                self._poller = poller  # not before it runs: Ctrl-C may come between

    def _poll(self) -> None:
        while not self._stopping.wait(self._poll_s):
            try:
                self._refresh()
            except (LogError, OSError) as error:
                self._fail(error if isinstance(error, LogError) else LogFailed(f"{self.folder}: {error}"))
                return

    def _refresh(self) -> None:
        """Look at the mark, and show what it tells."""
        failed: LogFailed | None = None
        with self._refreshing:
            before = self._visible
            segments, end = before
            mark = read_mark(self._files, self.folder, self._log_id)
            if mark is None or mark.segment < segments[0].first_seq or _is_end(mark, before):
                if mark is not None and segments[0].path.exists():
                    return
                self._visible = _without_removed(self._files, self.folder, before)
            elif mark.seq < end.seq:
                failed = LogFailed(f"{self.folder}: the log went back from seq {end.seq} to {mark.seq}; open it again")
            else:
                self._visible = _look(self._files, self.folder, segments)
            grown = self._visible is not before
        if failed is not None:
            self._fail(failed)
        elif grown:
            self._show(None)

    def _fail(self, error: LogError) -> None:
        self._failure = error
        self._show(None)


def _look(files: Files, folder: Path, known: tuple[Segment, ...]) -> Contents:
    """What the mark, or without one the last segment, shows now."""
    for _ in range(_TRIES):
        try:
            return _look_once(files, folder, known)
        except FileNotFoundError:
            continue  # retention was quicker than we
    raise LogFailed(f"{folder}: its segments change faster than they can be listed")


def _look_once(files: Files, folder: Path, known: tuple[Segment, ...]) -> Contents:
    paths = _paths(files, folder)
    if not paths:
        raise UnknownLog(f"{folder} holds no log")
    kept = {segment.path: segment for segment in known if segment.footer is not None}
    last = known[-1] if known else None
    segments = [kept.get(path) or open_segment(files, path) for path in paths]
    log_id = segments[-1].header.log_id
    if last is not None and last.header.log_id != log_id:
        raise UnknownLog(f"{folder} holds another log now; open it again")
    mark = read_mark(files, folder, log_id)
    if mark is not None and all(segment.first_seq != mark.segment for segment in segments):
        if _paths(files, folder) != paths:
            raise FileNotFoundError(f"{folder} changed between the listing and the mark")
        if mark.segment > segments[0].first_seq:
            raise Corrupt(folder / MARK_NAME, 32, f"a segment that starts at seq {mark.segment}", "none")
        mark = None  # older than what retention removed: it says nothing
    if mark is not None:
        segments = [segment for segment in segments if segment.first_seq <= mark.segment]
    if last is not None and segments[-1].path == last.path:
        segments[-1] = last  # with the index that it has gathered
    check_segments(files, tuple(segments), None)
    end = _walked_end(files, segments[-1]) if mark is None else _marked_end(mark)
    return Contents(tuple(segments), end)


def _without_removed(files: Files, folder: Path, contents: Contents) -> Contents:
    """Contents less what retention removed; if even the last segment is gone, or is another log's, a new look."""
    there, last = set(_paths(files, folder)), contents.segments[-1]
    kept = tuple(segment for segment in contents.segments if segment.path in there)
    if last.path not in there or open_segment(files, last.path).header.log_id != last.header.log_id:
        return _look(files, folder, contents.segments)
    return contents if kept == contents.segments else Contents(kept, contents.end)


def _paths(files: Files, folder: Path) -> list[Path]:
    return segment_paths(files, folder) if folder.is_dir() else []


def _is_end(mark: Mark, contents: Contents) -> bool:
    return (mark.segment, mark.offset) == (contents.segments[-1].first_seq, contents.end.offset)


def _marked_end(mark: Mark) -> Place:
    return Place(mark.offset, mark.seq, None, SEQ_MAX)  # its time is not known: later than any


def _walked_end(files: Files, segment: Segment) -> Place:
    """The end of the last whole batch, which this reader syncs itself before it shows it."""
    with segment.opened() as handle:
        whole = segment.start
        for run in walk(files, handle, segment.path, whole, files.size(handle)):
            ends = (at for at in range(len(run.frames), 0, -1) if not run.frames[at - 1].flags & FLAG_MORE)
            whole = next((run.place(at) for at in ends), whole)
        files.sync(handle)
    return whole
