"""A disk that fails, waits or remembers as a test tells it to.

`RecordingFiles` does what it is asked and writes it down, so that the models in
`crash_model` can give the states of the folder that a power cut might leave.
`FaultyFiles` adds failures and gates.
"""

import errno
import os
import threading
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from wal.files import Files

WAIT_S = 20.0  # no test waits that long unless it fails


class Created(NamedTuple):
    path: Path
    file: int


class Written(NamedTuple):
    file: int
    offset: int
    data: bytes


class Shortened(NamedTuple):
    file: int
    size: int


class Synced(NamedTuple):
    file: int


class Renamed(NamedTuple):
    source: Path
    target: Path


class Removed(NamedTuple):
    path: Path


class FolderSynced(NamedTuple):
    folder: Path


DataChange = Written | Shortened
NameChange = Created | Renamed | Removed
Operation = DataChange | NameChange | Synced | FolderSynced


class UnsyncedFiles(Files):
    """The real disk without its waits, for tests that open thousands of logs and never lose power."""

    def sync(self, handle: int) -> None:
        pass

    def sync_folder(self, path: Path) -> None:
        pass


class RecordingFiles(UnsyncedFiles):
    """Writes down each change, numbered files instead of handles; a sync is an entry, not a wait."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.found: dict[Path, tuple[int, bytes]] = {}  # what was there before the first operation
        self._file_of_path: dict[Path, int] = {}
        self._file_of_handle: dict[int, int] = {}
        self._file_count = 0

    def names(self, path: Path) -> list[str]:
        self._find_all(path)
        return super().names(path)

    def create(self, path: Path) -> int:
        known = path.exists() and self._find(path)
        handle = super().create(path)
        if known:  # the same file, emptied
            self._file_of_handle[handle] = known
            self.operations.append(Shortened(known, 0))
        else:
            self._note_new(path, handle)
        return handle

    def open_write(self, path: Path) -> int:
        handle = super().open_write(path)
        self._file_of_handle[handle] = self._find(path)
        return handle

    def open_read(self, path: Path) -> int:
        handle = super().open_read(path)
        self._file_of_handle[handle] = self._find(path)
        return handle

    def open_or_create(self, path: Path) -> int:
        there = path.exists()
        handle = super().open_or_create(path)
        self._note_opened(path, handle, there)
        return handle

    def lock(self, path: Path) -> int | None:
        self._find_all(path.parent)
        there = path.exists()
        handle = super().lock(path)
        if handle is not None:
            self._note_opened(path, handle, there)
        return handle

    def write(self, handle: int, data: bytes, offset: int) -> None:
        super().write(handle, data, offset)
        self.operations.append(Written(self._file_of_handle[handle], offset, data))

    def reserve(self, handle: int, offset: int, size: int) -> None:
        super().reserve(handle, offset, size)
        self.operations.append(Written(self._file_of_handle[handle], offset, bytes(size)))

    def publish(self, handle: int, data: bytes) -> None:
        super().publish(handle, data)
        self.operations.append(Written(self._file_of_handle[handle], 0, data))

    def replace(self, path: Path, data: bytes) -> None:
        temporary = self._write_beside(path, data)
        RecordingFiles.rename(self, temporary, path)

    def truncate(self, handle: int, size: int) -> None:
        super().truncate(handle, size)
        self.operations.append(Shortened(self._file_of_handle[handle], size))

    def sync(self, handle: int) -> None:
        super().sync(handle)
        self.operations.append(Synced(self._file_of_handle[handle]))

    def rename(self, source: Path, target: Path) -> None:
        if source.is_dir():
            self._find_all(source)
        else:
            self._find(source)
        super().rename(source, target)
        for path in [path for path in self._file_of_path if path == source or source in path.parents]:
            self._file_of_path[target / path.relative_to(source)] = self._file_of_path.pop(path)
        self.operations.append(Renamed(source, target))

    def remove(self, path: Path) -> None:
        there = path.exists() and self._find(path)
        super().remove(path)
        if there:
            self._note_removed(path)

    def remove_if_there(self, path: Path) -> None:
        there = path.exists() and self._find(path)
        super().remove_if_there(path)
        if there and path in self._file_of_path:  # else it came down to `remove`
            self._note_removed(path)

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self.operations.append(FolderSynced(path))

    def _write_beside(self, path: Path, data: bytes) -> Path:
        """The first half of `replace`; its steps are not calls that could fail by themselves."""
        temporary = path.with_name(f"{path.name}.new")
        handle = RecordingFiles.create(self, temporary)
        try:
            RecordingFiles.write(self, handle, data, 0)
        finally:
            self.close(handle)
        return temporary

    def _note_opened(self, path: Path, handle: int, there: bool) -> None:
        if there:
            self._file_of_handle[handle] = self._find(path)
        else:
            self._note_new(path, handle)

    def _note_removed(self, path: Path) -> None:
        del self._file_of_path[path]
        self.operations.append(Removed(path))

    def _note_new(self, path: Path, handle: int) -> None:
        self._file_count += 1
        self._file_of_path[path] = self._file_of_handle[handle] = self._file_count
        self.operations.append(Created(path, self._file_count))

    def _find(self, path: Path) -> int:
        """The number of a file that is there; one that nobody here made is taken as it is now."""
        if path not in self._file_of_path:
            self._file_count += 1
            self._file_of_path[path] = self._file_count
            self.found[path] = self._file_count, path.read_bytes()
        return self._file_of_path[path]

    def _find_all(self, folder: Path) -> None:
        """A file belongs to every image, also one that is never opened."""
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                self._find_all(path)
            else:
                self._find(path)


class Fault(NamedTuple):
    """What a call raises, and how much of its data a write still puts down."""

    errno: int
    written_bytes: int


class FaultyFiles(RecordingFiles):
    """Fails or holds the calls that a test names: create, write, sync, rename, sync_folder, ...

    A write, a reserve or a replace that fails may have put down a part of its data.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self._faults: dict[tuple[str, int], Fault] = {}
        self._gates: dict[str, threading.Event] = {}
        self._held = threading.Semaphore(0)
        self._guard = threading.Lock()

    def fail(self, operation: str, *, at: int = 1, error: int = errno.EIO, written_bytes: int = 0) -> None:
        """Let the at-th call from now fail, once."""
        self._faults[operation, self.calls[operation] + at] = Fault(error, written_bytes)

    def forgive(self) -> None:
        """Forget the failures that have not come yet."""
        self._faults.clear()

    def hold(self, operation: str) -> None:
        """Let every call from now wait, before it does anything, for `release`."""
        self._gates[operation] = threading.Event()

    def wait_held(self) -> None:
        """Return once a call has come to a gate; each call counts once."""
        assert self._held.acquire(timeout=WAIT_S), "nothing came to the gate"

    def release(self, operation: str) -> None:
        """Let the held calls go on, and hold no more."""
        self._gates.pop(operation).set()

    def create(self, path: Path) -> int:
        self._enter("create")
        return super().create(path)

    def open_write(self, path: Path) -> int:
        self._enter("open_write")
        return super().open_write(path)

    def size(self, handle: int) -> int:
        self._enter("size")
        return super().size(handle)

    def read(self, handle: int, size: int, offset: int) -> bytes:
        self._enter("read")
        return super().read(handle, size, offset)

    def write(self, handle: int, data: bytes, offset: int) -> None:
        fault = self._pass("write")
        if fault is None:
            super().write(handle, data, offset)
        else:
            super().write(handle, data[: fault.written_bytes], offset)
            raise OSError(fault.errno, os.strerror(fault.errno))

    def open_or_create(self, path: Path) -> int:
        self._enter("open_or_create")
        return super().open_or_create(path)

    def reserve(self, handle: int, offset: int, size: int) -> None:
        fault = self._pass("reserve")
        super().reserve(handle, offset, size if fault is None else min(size, fault.written_bytes))
        if fault is not None:
            raise OSError(fault.errno, os.strerror(fault.errno))

    def publish(self, handle: int, data: bytes) -> None:
        self._enter("publish")
        super().publish(handle, data)

    def replace(self, path: Path, data: bytes) -> None:
        fault = self._pass("replace")
        if fault is None:
            super().replace(path, data)
        else:
            self._write_beside(path, data[: fault.written_bytes])
            raise OSError(fault.errno, os.strerror(fault.errno))

    def truncate(self, handle: int, size: int) -> None:
        self._enter("truncate")
        super().truncate(handle, size)

    def sync(self, handle: int) -> None:
        self._enter("sync")
        super().sync(handle)

    def rename(self, source: Path, target: Path) -> None:
        self._enter("rename")
        super().rename(source, target)

    def remove(self, path: Path) -> None:
        self._enter("remove")
        super().remove(path)

    def remove_if_there(self, path: Path) -> None:
        self._enter("remove")
        super().remove_if_there(path)

    def sync_folder(self, path: Path) -> None:
        self._enter("sync_folder")
        super().sync_folder(path)

    def _enter(self, operation: str) -> None:
        fault = self._pass(operation)
        if fault is not None:
            raise OSError(fault.errno, os.strerror(fault.errno))

    def _pass(self, operation: str) -> Fault | None:
        with self._guard:
            self.calls[operation] += 1
            number = self.calls[operation]
            gate = self._gates.get(operation)
        if gate is not None:
            self._held.release()
            assert gate.wait(WAIT_S), f"nobody released {operation}"
        return self._faults.pop((operation, number), None)
