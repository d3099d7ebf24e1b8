"""One file of a log: its name, its header, its footer, and the index that is kept beside it."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

from wal.errors import Corrupt, UnsupportedFormat
from wal.failing import syncing
from wal.files import Files
from wal.format import (
    FOOTER_BYTES,
    HEADER_BYTES,
    BadBytes,
    Footer,
    SegmentHeader,
    WrongVersion,
    decode_footer,
    decode_header,
    encode_header,
)
from wal.index import Covered, SparseIndex, decode_index, encode_index
from wal.scan import READ_BYTES, Place, read_exactly, walk

SUFFIX: Final = ".redex"
NEW_SUFFIX: Final = ".new"
INDEX_SUFFIX: Final = ".index"
_NAME = re.compile(r"[0-9]{20}\.redex")
_INDEX_BYTES_MAX: Final = 2**30  # a larger file is no index of ours


class Segment:
    """A segment file.  Readers open it anew for each read, so removing it under them does no harm."""

    def __init__(self, files: Files, path: Path, header: SegmentHeader, footer: Footer | None) -> None:
        self.path = path
        self.header = header
        self.footer = footer  # set when it is sealed, or when an old one was counted
        self._files = files
        self._index: SparseIndex | None = None if footer else SparseIndex(header.first_seq)
        self._indexing = threading.Lock()

    @property
    def first_seq(self) -> int:
        """Seq of the first frame."""
        return self.header.first_seq

    @property
    def start(self) -> Place:
        """Where the first frame starts."""
        return Place(HEADER_BYTES, self.first_seq, self.header.chain, self.header.time_before)

    @property
    def end(self) -> Place:
        """The place behind the last frame of a sealed segment."""
        assert self.footer is not None, f"{self.path} is not sealed"
        return Place(
            self.footer.end, self.first_seq + self.footer.frame_count, self.footer.chain, self.footer.last_time
        )

    @property
    def index(self) -> SparseIndex:
        """The sparse index: read from its file, or made from the segment if that is missing, stale or wrong."""
        if self._index is None:
            with self._indexing:
                if self._index is None:
                    self._index = self._load_index() or self._walked_index()
        return self._index

    def use_index(self, index: SparseIndex) -> None:
        """Take what a walk has just found."""
        self._index = index

    def make_index(self) -> None:
        """Make the index anew from the frames: the one there led astray."""
        with self._indexing:
            self._index = self._walked_index()

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A handle for reading.

        Raises: FileNotFoundError if retention removed the file.
        """
        handle = self._files.open_read(self.path)
        try:
            yield handle
        finally:
            self._files.close(handle)

    def _load_index(self) -> SparseIndex | None:
        read = read_index(self._files, self.path, self.header)
        if read is None or self.footer is None:
            return None
        index, covered = read
        whole = (covered.place, covered.digest) == (self.end, self.footer.digest)
        return index if whole else None

    def _walked_index(self) -> SparseIndex:
        """Walk the frames; where damage stops the walk, the index stops too and the reads that go on will tell."""
        index = SparseIndex(self.first_seq)
        with self.opened() as handle:
            end = self.footer.end if self.footer else self._files.size(handle)
            for run in walk(self._files, handle, self.path, self.start, end):
                index.note_run(run)
        return index


def create_segment(files: Files, folder: Path, header: SegmentHeader) -> tuple[Segment, int]:
    """Make a segment whose header is durable, under its final name, on return; and its handle for writing."""
    path = folder / f"{header.first_seq:020d}{SUFFIX}"
    temporary = path.with_suffix(NEW_SUFFIX)
    handle = files.create(temporary)
    try:
        files.write(handle, encode_header(header), 0)
        with syncing():
            files.sync(handle)
        files.rename(temporary, path)
        with syncing():
            files.sync_folder(folder)
    except BaseException:
        files.close(handle)
        raise
    return Segment(files, path, header, None), handle


def open_segment(files: Files, path: Path) -> Segment:
    """Read a segment's header and footer, not its frames; no footer: it is not sealed, or not found to be.

    Raises: UnsupportedFormat; Corrupt for a damaged header or one that contradicts the name.
    """
    handle = files.open_read(path)
    try:
        header = _checked_header(path, files.read(handle, HEADER_BYTES, 0))
        return Segment(files, path, header, read_footer(files, handle, header))
    finally:
        files.close(handle)


def read_footer(files: Files, handle: int, header: SegmentHeader) -> Footer | None:
    """The footer at the end of a file, if there is a whole one that fits it."""
    start = files.size(handle) - FOOTER_BYTES
    if header.version < 2 or start < HEADER_BYTES:
        return None
    with suppress(BadBytes):
        footer = decode_footer(read_exactly(files, handle, start, FOOTER_BYTES))
        if footer.end == start and footer.frame_count > 0:
            return footer
    return None


def segment_paths(files: Files, folder: Path) -> list[Path]:
    """The segment files of a log in seq order."""
    return [folder / name for name in files.names(folder) if _NAME.fullmatch(name)]


def digest_of(files: Files, handle: int, end: int, hasher: Any = None, start: int = 0) -> Any:
    """A BLAKE3 hasher that has seen the bytes start to end of a file, behind those that it saw before."""
    hasher = hasher or blake3()
    while start < end:
        data = read_exactly(files, handle, start, min(READ_BYTES, end - start))
        if not data:
            break
        hasher.update(data)
        start += len(data)
    return hasher


def read_index(files: Files, segment_path: Path, header: SegmentHeader) -> tuple[SparseIndex, Covered] | None:
    """The index file beside a segment and what it covers, if it is whole and that segment's."""
    try:
        handle = files.open_read(segment_path.with_suffix(INDEX_SUFFIX))
    except OSError:
        return None
    try:
        size = files.size(handle)
        if size > _INDEX_BYTES_MAX:
            return None
        return decode_index(read_exactly(files, handle, 0, size), header)
    except (OSError, BadBytes):
        return None
    finally:
        files.close(handle)


def write_index(files: Files, segment: Segment, covered: Covered) -> None:
    """Put the index file beside a segment, replacing an old one at once.  Not synced: it is derived.

    Raises: OSError.
    """
    data = encode_index(segment.index, segment.header, covered)
    files.replace(segment.path.with_suffix(INDEX_SUFFIX), data)


def _checked_header(path: Path, data: bytes) -> SegmentHeader:
    try:
        header = decode_header(data)
    except WrongVersion as error:
        raise UnsupportedFormat(f"{path}: {error}; a newer program wrote it") from error
    except BadBytes as error:
        raise Corrupt(path, 0, error.expected, error.found) from error
    if path.name != f"{header.first_seq:020d}{SUFFIX}":
        raise Corrupt(path, 40, f"first seq {int(path.stem)}, as the name says", str(header.first_seq))
    return header
