"""A disk that fails, waits or remembers as a test tells it to.

`RecordingFiles` does what it is asked and writes it down, so that
`crash_images` can give every state of the folder that a power cut might leave.
`FaultyFiles` adds failures and gates.
"""

import errno
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from wal.files import Files

WAIT_S = 20.0  # no test waits that long unless it fails

Image = dict[str, bytes]  # name in the folder -> content


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


class FolderSynced(NamedTuple):
    folder: Path


Operation = Created | Written | Shortened | Synced | Renamed | FolderSynced


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

    def create(self, path: Path) -> int:
        handle = super().create(path)
        self._note_new(path, handle)
        return handle

    def open_write(self, path: Path) -> int:
        handle = super().open_write(path)
        self._note_known(path, handle)
        return handle

    def lock(self, path: Path) -> int | None:
        there = path.exists()
        handle = super().lock(path)
        if handle is not None:
            if there:
                self._note_known(path, handle)
            else:
                self._note_new(path, handle)
        return handle

    def write(self, handle: int, data: bytes, offset: int) -> None:
        super().write(handle, data, offset)
        self.operations.append(Written(self._file_of_handle[handle], offset, data))

    def truncate(self, handle: int, size: int) -> None:
        super().truncate(handle, size)
        self.operations.append(Shortened(self._file_of_handle[handle], size))

    def sync(self, handle: int) -> None:
        super().sync(handle)
        self.operations.append(Synced(self._file_of_handle[handle]))

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self._file_of_path[target] = self._file_of_path.pop(source)
        self.operations.append(Renamed(source, target))

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self.operations.append(FolderSynced(path))

    def _note_new(self, path: Path, handle: int) -> None:
        self._file_count += 1
        self._file_of_path[path] = self._file_of_handle[handle] = self._file_count
        self.operations.append(Created(path, self._file_count))

    def _note_known(self, path: Path, handle: int) -> None:
        if path not in self._file_of_path:
            self._file_count += 1
            self._file_of_path[path] = self._file_count
            self.found[path] = self._file_count, path.read_bytes()
        self._file_of_handle[handle] = self._file_of_path[path]


class Fault(NamedTuple):
    """What a call raises, and how much of its data a write still puts down."""

    errno: int
    written_bytes: int


class FaultyFiles(RecordingFiles):
    """Fails or holds the calls that a test names: create, write, sync, rename, sync_folder, ..."""

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

    def truncate(self, handle: int, size: int) -> None:
        self._enter("truncate")
        super().truncate(handle, size)

    def sync(self, handle: int) -> None:
        self._enter("sync")
        super().sync(handle)

    def rename(self, source: Path, target: Path) -> None:
        self._enter("rename")
        super().rename(source, target)

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


def crash_images(files: RecordingFiles, torn_at: Callable[[int], Iterable[int]]) -> Iterator[tuple[int, Image]]:
    """Yield (operations done, folder as a power cut then could leave it), every state of the model once.

    The model: unsynced data of a file persists in order, as a prefix of any number of bytes; names
    made or changed since the last sync_folder persist in order, as a prefix of any number of them.
    torn_at: given the unsynced byte count, the cuts to try besides none and all.
    """
    disk = _Disk(files.found)
    yield 0, disk.image(0, 0)
    for count, operation in enumerate(files.operations, 1):
        disk.apply(operation)
        seen = []
        for name_count in range(len(disk.unsynced_names) + 1):
            for kept_bytes in {0, disk.unsynced_bytes, *torn_at(disk.unsynced_bytes)}:
                image = disk.image(kept_bytes, name_count)
                if image not in seen:
                    seen.append(image)
                    yield count, image


def put_image(folder: Path, image: Image) -> None:
    """Make folder hold exactly the files of an image."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    for name, content in image.items():
        (folder / name).write_bytes(content)


class _Disk:
    """What the platters hold for certain, and what is still on its way."""

    def __init__(self, found: dict[Path, tuple[int, bytes]]) -> None:
        self.names = {path: file for path, (file, _) in found.items()}
        self.synced = dict(found.values())
        self.unsynced: dict[int, list[Written | Shortened]] = {}
        self.unsynced_names: list[Created | Renamed] = []

    @property
    def unsynced_bytes(self) -> int:
        return sum(_weight(change) for changes in self.unsynced.values() for change in changes)

    def apply(self, operation: Operation) -> None:
        match operation:
            case Written() | Shortened():
                self.unsynced.setdefault(operation.file, []).append(operation)
            case Synced(file):
                self.synced[file] = _content(self.synced.get(file, b""), self.unsynced.pop(file, []), None)
            case Created() | Renamed():
                self.unsynced_names.append(operation)
            case FolderSynced(folder) if all(path.parent == folder for path in map(_new_name, self.unsynced_names)):
                self.names = _renamed(self.names, self.unsynced_names)
                self.unsynced_names = []
            case FolderSynced():
                pass  # another folder

    def image(self, kept_bytes: int, name_count: int) -> Image:
        names = _renamed(self.names, self.unsynced_names[:name_count])
        return {
            path.name: _content(self.synced.get(file, b""), self.unsynced.get(file, []), kept_bytes)
            for path, file in names.items()
        }


def _new_name(change: Created | Renamed) -> Path:
    return change.path if isinstance(change, Created) else change.target


def _weight(change: Written | Shortened) -> int:
    return len(change.data) if isinstance(change, Written) else 1


def _content(synced: bytes, changes: list[Written | Shortened], kept_bytes: int | None) -> bytes:
    content = bytearray(synced)
    for change in changes:
        weight = _weight(change) if kept_bytes is None else min(_weight(change), kept_bytes)
        if isinstance(change, Written):
            content.extend(bytes(max(0, change.offset - len(content))))
            content[change.offset : change.offset + weight] = change.data[:weight]
        elif weight:
            del content[change.size :]
        if kept_bytes is not None:
            kept_bytes -= weight
    return bytes(content)


def _renamed(names: dict[Path, int], changes: list[Created | Renamed]) -> dict[Path, int]:
    names = dict(names)
    for change in changes:
        if isinstance(change, Created):
            names[change.path] = change.file
        else:
            names[change.target] = names.pop(change.source)
    return names
