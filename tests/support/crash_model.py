"""What a power cut may leave of a folder: images that two models of the disk allow.

Both start from the operations that `RecordingFiles` wrote down, and cut the
power after each of them.  In both, what `sync` covered of a file's data and
what `sync_folder` covered of a folder's names is always there.  They differ in
what may become of the rest:

- `crash_images`: it persists in order, as a prefix.
- `reordered_images`: the disk writes it in any order it likes, sector by sector.

`killed_images` lose nothing: the process ends, the system goes on.

Folders themselves are outside the models: `make_folder` makes them durable
before anything is put into them.
"""

import random
import shutil
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.support.faulty_files import (
    Created,
    DataChange,
    FolderSynced,
    NameChange,
    Operation,
    RecordingFiles,
    Removed,
    Renamed,
    Shortened,
    Synced,
    Written,
)

SECTOR_BYTES: Final = 512  # what a disk writes whole or not at all

Image = dict[str, bytes]  # path relative to the log's folder, with "/" -> content


def crash_images(
    files: RecordingFiles,
    torn_at: Callable[[bytes], Iterable[int]],
    *,
    generator: random.Random | None = None,
    per_cut: int = 0,
    cuts: Container[int] | None = None,
) -> Iterator[tuple[int, Image]]:
    """Yield (operations done, folder as a power cut then could leave it), each state once per cut.

    The model: unsynced data of a file persists in order, as a prefix of any number of bytes, whatever becomes
    of other files; names made, changed or removed since the last sync_folder persist in order, as a prefix of
    any number of them.
    The states, of each cut: none and all of the data with none and all of the names; the last write torn,
    all else being there; and per_cut that the generator draws.
    torn_at: given the data of the last write, where to tear it.  cuts: which to try, if not all.
    """
    generator = generator or random.Random(0)
    for count, disk in _cuts(files, cuts):
        yield from ((count, image) for image in _distinct(_prefix_images(disk, torn_at, generator, per_cut)))


def killed_images(files: RecordingFiles, cuts: Container[int] | None = None) -> Iterator[tuple[int, Image]]:
    """Yield (operations done, folder as a process that was killed then leaves it): all that the system was told."""
    for count, disk in _cuts(files, cuts):
        yield count, disk.image(disk.unsynced_names, _all)


def reordered_images(
    files: RecordingFiles, generator: random.Random, per_cut: int, cuts: Container[int] | None = None
) -> Iterator[tuple[int, Image]]:
    """Yield (operations done, folder as a power cut then could leave it): per_cut random states and the nasty ones.

    The model, for what no sync covered:
    - Data: of each sector of a file, one of its versions: the synced one (zeros where nothing was), the
      newest, or any between.  Sectors are whole and independent of each other.
    - Length: any value from the shortest to the longest that the file had since its sync.  It says
      nothing about the data before it.
    - Names: any subset of the changes, but what touched a name stays in order: a change persists only
      if all earlier ones of the same names did.  So a file that was made and renamed is absent,
      under its old name, or under its new one.
    The nasty states, at each cut: nothing, all, the last changed sector alone at full length, all but
    the first changed sector, the length alone; each with none and with all of the names' changes.
    Duplicates of one cut are left out, so there may be fewer.  The same generator state gives the same images.
    cuts: which to try, if not all.
    """
    for count, disk in _cuts(files, cuts):
        yield from ((count, image) for image in _distinct(_reordered(disk, generator, per_cut)))


def put_image(folder: Path, image: Image) -> None:
    """Make folder hold exactly the files of an image."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    for name, content in image.items():
        path = folder / name
        if "/" in name:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


class _Disk:
    """What the platters hold for certain, and what is still on its way."""

    def __init__(self, files: RecordingFiles) -> None:
        self.names = {path: file for path, (file, _) in files.found.items()}
        self.unsynced: dict[int, list[DataChange]] = {}
        self.unsynced_names: list[NameChange] = []
        self.last_operation: Operation | None = None
        self._versions = {file: [content] for file, content in files.found.values()}
        self._root = _root(files)
        self._relative: dict[Path, str] = {}

    def apply(self, operation: Operation) -> None:
        self.last_operation = operation
        match operation:
            case Written(file) | Shortened(file):
                versions = self._versions.setdefault(file, [b""])
                versions.append(_after(versions[-1], operation, _weight(operation)))
                self.unsynced.setdefault(file, []).append(operation)
            case Synced(file):
                self._versions[file] = self.versions(file)[-1:]
                self.unsynced.pop(file, None)
            case Created() | Renamed() | Removed():
                self.unsynced_names.append(operation)
            case FolderSynced(folder):
                covered = [change for change in self.unsynced_names if _folder(change) == folder]
                self.names = _changed(self.names, covered)
                self.unsynced_names = [change for change in self.unsynced_names if _folder(change) != folder]

    def versions(self, file: int) -> list[bytes]:
        """The synced content of a file, then its content after each change since."""
        return self._versions.get(file, [b""])

    def image(self, kept_names: Sequence[NameChange], choose: Callable[[list[bytes]], bytes]) -> Image:
        """The folder, with some of the names' changes and what is chosen of each file's versions."""
        return self.image_of(kept_names, lambda file: choose(self.versions(file)))

    def image_of(self, kept_names: Sequence[NameChange], content: Callable[[int], bytes]) -> Image:
        """The folder, with some of the names' changes and what is asked of the files that have any."""
        names = _changed(self.names, kept_names)
        files = sorted((self._relative_to_root(path), file) for path, file in names.items())
        return {name: content(file) if file in self.unsynced else self.versions(file)[0] for name, file in files}

    def _relative_to_root(self, path: Path) -> str:
        if path not in self._relative:
            self._relative[path] = path.relative_to(self._root).as_posix()
        return self._relative[path]


def _cuts(files: RecordingFiles, wanted: Container[int] | None = None) -> Iterator[tuple[int, _Disk]]:
    """The disk before the first operation and after each; one object, changed on the way."""
    disk = _Disk(files)
    if wanted is None or 0 in wanted:
        yield 0, disk
    for count, operation in enumerate(files.operations, 1):
        disk.apply(operation)
        if wanted is None or count in wanted:
            yield count, disk


def _distinct(images: Iterable[Image]) -> Iterator[Image]:
    seen = set()
    for image in images:
        key = tuple(image.items())
        if key not in seen:
            seen.add(key)
            yield image


def _root(files: RecordingFiles) -> Path:
    """The folder that all others lie in: the log's own, since its lock is directly there."""
    made = (operation.path for operation in files.operations if isinstance(operation, Created))
    return min((path.parent for path in [*files.found, *made]), key=lambda path: len(path.parts), default=Path())


# Names


def _touched(change: NameChange) -> set[Path]:
    return {change.source, change.target} if isinstance(change, Renamed) else {change.path}


def _folder(change: NameChange) -> Path:
    folders = {path.parent for path in _touched(change)}
    assert len(folders) == 1, f"the models know no rename across folders: {change}"
    return folders.pop()


def _changed(names: dict[Path, int], changes: Iterable[NameChange]) -> dict[Path, int]:
    names = dict(names)
    for change in changes:
        match change:
            case Created(path, file):
                names[path] = file
            case Renamed(source, target):
                assert source in names, f"the models know no rename of folders: {change}"
                names[target] = names.pop(source)
            case Removed(path):
                del names[path]
    return names


def _some_names(changes: Sequence[NameChange], generator: random.Random) -> list[NameChange]:
    """A random subset in which no change stands on one that is lost."""
    lost_chance = generator.choice([0.2, 0.5, 0.8])
    kept: list[NameChange] = []
    lost: set[Path] = set()
    for change in changes:
        touched = _touched(change)
        if generator.random() < lost_chance or touched & lost:
            lost |= touched
        else:
            kept.append(change)
    return kept


# Data that persists as a prefix


def _prefix_images(
    disk: _Disk, torn_at: Callable[[bytes], Iterable[int]], generator: random.Random, per_cut: int
) -> Iterator[Image]:
    for kept_names in ([], disk.unsynced_names):
        for choose in (_nothing, _all):
            yield disk.image(kept_names, choose)
    last = disk.last_operation
    if isinstance(last, Written):
        whole = disk.versions(last.file)
        for kept_bytes in torn_at(last.data):
            torn = _after(whole[-2], last, kept_bytes)
            yield disk.image(disk.unsynced_names, lambda versions: torn if versions is whole else versions[-1])  # noqa: B023
    for _ in range(per_cut):
        kept_names = disk.unsynced_names[: generator.randint(0, len(disk.unsynced_names))]
        yield disk.image_of(kept_names, lambda file: _some_prefix(disk, file, generator))


def _some_prefix(disk: _Disk, file: int, generator: random.Random) -> bytes:
    """A random part of the changes, and most often a part of the next."""
    versions, changes = disk.versions(file), disk.unsynced[file]
    kept = generator.choice([0, len(changes), generator.randint(0, len(changes))])
    if kept == len(changes):
        return versions[-1]
    return _after(versions[kept], changes[kept], generator.randint(0, _weight(changes[kept])))


def _weight(change: DataChange) -> int:
    return len(change.data) if isinstance(change, Written) else 1


def _after(content: bytes, change: DataChange, weight: int) -> bytes:
    """Content with the first weight bytes of a change made; a shortening is made by one."""
    if not weight:
        return content
    if isinstance(change, Shortened):
        return content[: change.size].ljust(change.size, b"\0")
    before = content[: change.offset].ljust(change.offset, b"\0")
    return before + change.data[:weight] + content[change.offset + weight :]


# Data that persists in any order


def _reordered(disk: _Disk, generator: random.Random, per_cut: int) -> Iterator[Image]:
    contents = [{file: nasty(disk.versions(file)) for file in disk.unsynced} for nasty in _NASTY]
    for kept_names in ([], disk.unsynced_names):
        for content in contents:
            yield disk.image_of(kept_names, content.__getitem__)
    for _ in range(per_cut):
        kept_names = _some_names(disk.unsynced_names, generator)
        yield disk.image(kept_names, lambda versions: _some_sectors(versions, generator))


def _some_sectors(versions: list[bytes], generator: random.Random) -> bytes:
    """A random version of each sector, cut to a random length."""
    newest_chance = generator.choice([0.2, 0.5, 0.8])

    def choose(index: int) -> bytes:
        if generator.random() < newest_chance:
            return _sector(versions[-1], index)
        return _sector(generator.choice(versions), index)

    return _assemble(_some_length(versions, generator), choose)


def _some_length(versions: list[bytes], generator: random.Random) -> int:
    """The longest in every second case, since a short one hides what the sectors do."""
    shortest, longest = min(map(len, versions)), max(map(len, versions))
    inside = generator.randint(shortest, longest)
    at_sector = max(shortest, inside - inside % SECTOR_BYTES)
    return generator.choice([longest, longest, longest, len(versions[-1]), inside, at_sector])


def _nothing(versions: list[bytes]) -> bytes:
    return versions[0]


def _all(versions: list[bytes]) -> bytes:
    return versions[-1]


def _last_sector_alone(versions: list[bytes]) -> bytes:
    return _newest_of(versions, _changed_sectors(versions)[-1:])


def _all_but_first_sector(versions: list[bytes]) -> bytes:
    return _newest_of(versions, _changed_sectors(versions)[1:])


def _length_alone(versions: list[bytes]) -> bytes:
    return _newest_of(versions, [])


_NASTY: Final = (_nothing, _all, _last_sector_alone, _all_but_first_sector, _length_alone)


def _newest_of(versions: list[bytes], sectors: Sequence[int]) -> bytes:
    """The newest length with some of the newest sectors; the others are as they were synced."""
    return _assemble(len(versions[-1]), lambda index: _sector(versions[-1 if index in sectors else 0], index))


def _changed_sectors(versions: list[bytes]) -> list[int]:
    count = _sector_count(max(map(len, versions)))
    return [index for index in range(count) if _sector(versions[0], index) != _sector(versions[-1], index)]


def _assemble(length: int, sector: Callable[[int], bytes]) -> bytes:
    return b"".join(map(sector, range(_sector_count(length))))[:length]


def _sector(content: bytes, index: int) -> bytes:
    return content[index * SECTOR_BYTES : (index + 1) * SECTOR_BYTES].ljust(SECTOR_BYTES, b"\0")


def _sector_count(length: int) -> int:
    return -(-length // SECTOR_BYTES)
