"""RedEX: a folder of named logs, each opened once, created when first asked for, deleted whole.

Owns: which handle stands for a name in this process, and the making and
removing of logs' folders.  Refuses: two handles of one log, other options
than those a log is open with, and to touch a log that another writer has.
Leaves alone every file and folder that is not of a log's name.  Invariant:
after a crash a log that was being deleted is whole or gone.

The logs share nothing but the folder: several processes may have it open,
each with logs of its own.

Source: docs/format-log.md.
"""

import logging
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final, Self

from wal.errors import LogClosed, LogLocked, OptionsConflict, UnknownLog
from wal.files import Files
from wal.log import FileLog
from wal.names import COMPONENTS_MAX, SPLIT_SUFFIX, deleted_component, folder_of, is_deleted, name_of
from wal.opening import LOCK_NAME
from wal.options import LogOptions, check_options
from wal.segment import segment_paths

_LOGGER = logging.getLogger(__name__)

_OPEN_TRIES: Final = 16  # of an opening under which deletes take the folder: each costs a delete its disk work
_LOOKED_AT: Final = 4  # slots for each new one: more than one, so that those whose handle has ended do not pile up
_ABSENT: Final = (FileNotFoundError, NotADirectoryError)  # a file, or deleted meanwhile


class _Slot:
    """The place of one name: its handle, and the turn of those who open, close or delete it."""

    def __init__(self) -> None:
        self.turn = threading.RLock()
        self._log: FileLog | weakref.ref[FileLog] | None = None

    @property
    def log(self) -> FileLog | None:
        """The handle, if there is one."""
        return self._log() if isinstance(self._log, weakref.ref) else self._log

    def put(self, log: FileLog) -> FileLog:
        """Keep a handle."""
        self._log = log
        return log

    def close(self) -> None:
        """Close the handle if there is one, and forget it."""
        with self.turn:
            log, self._log = self.log, None
            if log is not None:
                log.close()

    def let_go(self) -> bool:
        """Hold on to a closed handle no longer; whether it is gone.  Never waits.

        Whoever closes it may still be at it, and the next to open the log must wait for that; but they have
        the handle, so when it is gone there is nothing to wait for.  A failed one must be closed here first.
        """
        if not self.turn.acquire(blocking=False):
            return False
        try:
            if isinstance(self._log, weakref.ref):
                return self._log() is None
            if self._log is not None and self._log.ended and self._log.failure is None:
                self._log = weakref.ref(self._log)
            return False
        finally:
            self.turn.release()


class Redex:
    """A folder of named logs.  Thread-safe; work on one name does not wait for work on another."""

    def __init__(self, folder: Path, files: Files, options: LogOptions, open_log: partial[FileLog]) -> None:
        """Use Redex.open."""
        self.folder = folder
        self._files = files
        self._options = options
        self._open_log = open_log
        self._lock = threading.Lock()  # of the two below; taken last, and never held over disk work
        self._slots: OrderedDict[str, _Slot] = OrderedDict()
        self._closed = False

    @classmethod
    def open(
        cls,
        folder: Path | str,
        *,
        clock_ms: Callable[[], int],
        new_log_id: Callable[[], bytes],
        options: LogOptions = LogOptions(),  # noqa: B008  (immutable)
        files: Files | None = None,
    ) -> Self:
        """Open a folder of logs, or create it; opens none of them, and finishes deletes that a crash cut short.

        clock_ms, new_log_id: as FileLog.open.  options: of each log that is opened without its own.
        Raises: ValueError for bad options; OSError.
        """
        folder, files = Path(folder), files or Files()
        check_options(options)
        files.make_folder(folder)
        for path in [path for path in _walk(files, folder) if is_deleted(path)]:
            _remove(files, folder, folder / path)
        open_log = partial(FileLog.open, clock_ms=clock_ms, new_log_id=new_log_id, files=files)
        return cls(folder, files, options, open_log)

    def log(self, name: str, options: LogOptions | None = None) -> FileLog:
        """The log of that name, opened or created; the same handle for all until it is closed.

        options: None for those of the Redex.  Whoever closes the handle closes it for all who have it;
        the next call opens the log anew, with what options it likes.  A handle whose log failed is closed
        here and the log opened again: that is how to go on after a failed write.
        Raises: BadLogName; OptionsConflict; LogLocked at once if another writer has it, or if deletes take
        the folder away again and again; LogClosed after close; what else FileLog.open raises.
        """
        folder = self.folder / folder_of(name)
        options = self._options if options is None else options
        with self._turn(name) as slot:
            log = slot.log
            if log is None or log.ended or log.failure is not None:
                slot.close()
                return slot.put(self._opened(folder, options))
            if log.options != options:
                raise OptionsConflict(
                    f"log {name!r} is open with other options: {_differences(log.options, options)}; "
                    "ask with those, or close its handle first"
                )
            return log

    def names(self) -> list[str]:
        """The names of all logs in the folder, sorted, whoever has them open.

        Raises: LogClosed; OSError.
        """
        with self._lock:
            self._check_open()
        named = ((name_of(path), self.folder / path) for path in _walk(self._files, self.folder))
        return sorted(name for name, folder in named if name is not None and _holds_log(self._files, folder))

    def delete(self, name: str) -> None:
        """Delete a log with all its frames; gone for good on return, and a crash leaves it whole or gone.

        A handle open here is closed first.  A later log of the name is another one, with another id.
        Raises: BadLogName; UnknownLog; LogLocked, and nothing is deleted, if another writer has it;
        LogClosed; OSError, and the log is whole or gone.
        """
        folder = self.folder / folder_of(name)
        with self._turn(name) as slot:
            if not _holds_log(self._files, folder):
                raise UnknownLog(f"no log {name!r} is in {self.folder}; names() lists those that are")
            slot.close()
            with _locked(self._files, folder):
                deleted = folder.with_name(deleted_component(folder.name, self._files.names(folder.parent)))
                self._files.rename(folder, deleted)
                _remove(self._files, self.folder, deleted)

    def close(self) -> None:
        """Close every handle, after which nothing can be asked.  A second call does nothing."""
        with self._lock:
            self._closed = True
            slots = list(self._slots.values())
        with ExitStack() as closing:  # each is closed, whatever becomes of the others
            for slot in slots:
                closing.callback(slot.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _turn(self, name: str) -> Iterator[_Slot]:
        """The name's slot, for this thread alone; a slot without a handle is dropped afterwards."""
        while True:
            with self._lock:
                self._check_open()
                if name not in self._slots:
                    self._drop_ended()
                    self._slots[name] = _Slot()
                slot = self._slots[name]
            with slot.turn:
                with self._lock:
                    self._check_open()
                    if self._slots.get(name) is not slot:
                        continue  # dropped by the one before us in the queue
                try:
                    yield slot
                finally:
                    with self._lock:
                        if slot.log is None:
                            del self._slots[name]
                return

    def _drop_ended(self) -> None:
        """Look at the few slots that were not looked at for the longest time; drop those whose handle is gone."""
        for name in list(islice(self._slots, _LOOKED_AT)):
            self._slots.move_to_end(name)
            if self._slots[name].let_go():
                del self._slots[name]

    def _check_open(self) -> None:
        if self._closed:
            raise LogClosed(f"{self.folder} is closed; open it again")

    def _opened(self, folder: Path, options: LogOptions) -> FileLog:
        for _ in range(_OPEN_TRIES - 1):
            with suppress(FileNotFoundError):  # a delete of this log, or of a neighbour, took the folder from under it
                return self._open_log(folder, options=options)
        try:
            return self._open_log(folder, options=options)
        except FileNotFoundError as error:
            raise LogLocked(f"{folder} is being deleted, again and again; try again later") from error


def _differences(open_with: LogOptions, asked: LogOptions) -> str:
    here, there = _flat(open_with), _flat(asked)
    return ", ".join(f"{name} is {here[name]!r}, asked {there[name]!r}" for name in here if here[name] != there[name])


def _flat(options: LogOptions) -> dict[str, object]:
    retention = {f"retention.{name}": value for name, value in options.retention._asdict().items()}
    return {name: value for name, value in options._asdict().items() if name != "retention"} | retention


def _walk(files: Files, root: Path) -> Iterator[PurePosixPath]:
    """Every path, relative to root, that could be a log's folder by where it lies."""
    level = [PurePosixPath()]
    for _ in range(COMPONENTS_MAX):
        found = [parent / name for parent in level for name in _names_in(files, root / parent)]
        yield from found
        level = [path for path in found if path.name.endswith(SPLIT_SUFFIX)]


def _names_in(files: Files, folder: Path) -> list[str]:
    with suppress(*_ABSENT):
        return files.names(folder)
    return []


def _holds_log(files: Files, folder: Path) -> bool:
    with suppress(*_ABSENT):
        return bool(segment_paths(files, folder))
    return False


@contextmanager
def _locked(files: Files, folder: Path) -> Iterator[None]:
    """Hold a log's lock, which must still be the folder's: another delete may have come in between."""
    lock_path = folder / LOCK_NAME
    try:
        handle = files.lock(lock_path)
    except FileNotFoundError:
        handle = None
    try:
        if handle is None or not files.still_at(handle, lock_path):
            raise LogLocked(f"{folder} is open in another writer, or being deleted; stop that one first")
        yield
    finally:
        if handle is not None:
            files.close(handle)


def _remove(files: Files, root: Path, deleted: Path) -> None:
    """Remove a renamed folder, then the parents that it leaves empty.

    The new name is made durable before the first file goes: under the old one it would be half a log.
    Two processes may be at it at once, so what is gone already is no error.
    """
    files.sync_folder(deleted.parent)
    for name in _names_in(files, deleted):
        with suppress(FileNotFoundError, IsADirectoryError):
            files.remove(deleted / name)
    with suppress(FileNotFoundError):
        if not files.remove_folder(deleted):
            _LOGGER.warning("%s stays: it is a link, or holds folders that are not the log's", deleted)
        parent = deleted.parent
        while parent != root and files.remove_folder(parent):
            parent = parent.parent
