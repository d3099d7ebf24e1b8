"""One file of a log: its name, its header, and the walk over its frames.

The walk checks everything that a frame promises: length, crc, seq, growing
time and chain.  It raises at the first byte that is not as written and decides
nothing; whether that is a torn tail or rot is the caller's question, with
`whole_frame_follows` to answer it.

Source: docs/format-log.md.
"""

import re
import threading
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from wal.errors import Corrupt, UnsupportedFormat
from wal.files import Files
from wal.format import (
    FRAME_HEADER_BYTES,
    HEADER_BYTES,
    PAYLOAD_BYTES_MAX,
    BadBytes,
    Frame,
    SegmentHeader,
    UnknownFlags,
    WrongVersion,
    decode_frame,
    decode_header,
    encode_header,
    frame_length,
)

SUFFIX: Final = ".redex"
INDEX_STRIDE: Final = 64  # frames between two known offsets: a seek reads at most that many in vain
_READ_BYTES: Final = 1024 * 1024
_NAME = re.compile(r"\d{20}\.redex")
_NOT_ZERO = re.compile(rb"[^\x00]")


class Place(NamedTuple):
    """Where a frame starts, and what must hold there: the next seq, the chain and the time before it."""

    offset: int
    seq: int
    chain: int | None
    time: int


class Segment:
    """An open segment file; offsets holds the place of every INDEX_STRIDE-th frame that was walked."""

    def __init__(self, files: Files, path: Path, handle: int, header: SegmentHeader) -> None:
        self.path = path
        self.handle = handle
        self.header = header
        self.offsets = array("Q", [HEADER_BYTES])
        self._files = files
        self._noting = threading.Lock()

    @property
    def first_seq(self) -> int:
        """Seq of the first frame."""
        return self.header.first_seq

    @property
    def start(self) -> Place:
        """Where the first frame starts."""
        return Place(HEADER_BYTES, self.first_seq, self.header.chain, -1)

    def note(self, seq: int, offset: int) -> None:
        """Remember where a frame starts, if it is the next that the sparse index keeps. Thread-safe."""
        if seq - self.first_seq == len(self.offsets) * INDEX_STRIDE:
            with self._noting:
                if seq - self.first_seq == len(self.offsets) * INDEX_STRIDE:
                    self.offsets.append(offset)

    def cut(self, place: Place) -> None:
        """Cut the file at place, and forget what the sparse index knew of frames behind it."""
        self._files.truncate(self.handle, place.offset)
        del self.offsets[(place.seq - self.first_seq) // INDEX_STRIDE + 1 :]

    def near(self, seq: int) -> Place:
        """The last known place at or before seq."""
        index = min((seq - self.first_seq) // INDEX_STRIDE, len(self.offsets) - 1)
        if index == 0:
            return self.start
        return Place(self.offsets[index], self.first_seq + index * INDEX_STRIDE, None, -1)

    def size(self) -> int:
        """Length of the file in bytes."""
        return self._files.size(self.handle)

    def walk(self, place: Place, end: int) -> Iterator[tuple[Frame, Place]]:
        """Yield each frame from place up to offset end, with the place after it.

        Raises: Corrupt at the first byte that is not as written, or where a frame would cross the end.
        """
        offset, seq, chain, time = place
        data, base = b"", offset
        while offset < end:
            if base + len(data) - offset < FRAME_HEADER_BYTES:
                data, base = self._read(offset, end), offset
            try:
                size = self._checked_length(data, offset - base, end - offset)
                if base + len(data) - offset < size:
                    data, base = self._read(offset, end, size), offset
                frame, crc, found_chain = decode_frame(data, offset - base, size)
                _check_order(frame, found_chain, seq, chain, time)
            except BadBytes as error:
                raise Corrupt(self.path, offset, error.expected, error.found) from error
            offset, seq, chain, time = offset + size, seq + 1, crc, frame.time
            yield frame, Place(offset, seq, chain, time)

    def whole_frame_follows(self, place: Place, end: int) -> bool:
        """Whether any whole frame starts behind place, whatever lies between.

        A frame there can only have a seq above the expected one and within what the bytes could
        hold, so its high bytes are known: the search looks for those and checks what it finds.
        """
        data = self._read(place.offset, end, end - place.offset)
        seqs = range(place.seq + 1, place.seq + len(data) // FRAME_HEADER_BYTES + 2)
        highs = {(seq >> 24).to_bytes(5, "little") for seq in (seqs[0], seqs[-1])}
        return any(_holds_frame(data, high, seqs) for high in highs)

    def whole_frame_at(self, place: Place, end: int) -> bool:
        """Whether the frame at place is whole by length and crc: then no crash tore it."""
        size_max = min(end - place.offset, FRAME_HEADER_BYTES + PAYLOAD_BYTES_MAX)
        return _frame_seq(self._read(place.offset, place.offset + size_max, size_max), 0) is not None

    def _read(self, offset: int, end: int, size_min: int = 0) -> bytes:
        size = min(max(_READ_BYTES, size_min), end - offset)
        data = self._files.read(self.handle, size, offset)
        while len(data) < size:
            more = self._files.read(self.handle, size - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    @staticmethod
    def _checked_length(data: bytes, start: int, room: int) -> int:
        if len(data) - start < FRAME_HEADER_BYTES:
            raise BadBytes(f"a frame header of {FRAME_HEADER_BYTES} bytes", f"{len(data) - start} bytes")
        size = frame_length(data, start)
        if size > room:
            raise BadBytes(f"a frame of {size} bytes", f"{room} bytes before the end")
        return size


def create_segment(files: Files, folder: Path, header: SegmentHeader) -> Segment:
    """Make a segment whose header is durable, under its final name, on return."""
    path = folder / f"{header.first_seq:020d}{SUFFIX}"
    temporary = path.with_suffix(".new")
    handle = files.create(temporary)
    try:
        files.write(handle, encode_header(header), 0)
        files.sync(handle)
        files.rename(temporary, path)
        files.sync_folder(folder)
    except OSError:
        files.close(handle)
        raise
    return Segment(files, path, handle, header)


def open_segment(files: Files, path: Path, *, writable: bool) -> Segment:
    """Open a segment and check its header, not its frames.

    Raises: UnsupportedFormat; Corrupt for a damaged header or one that contradicts the name.
    """
    handle = files.open_write(path) if writable else files.open_read(path)
    try:
        return Segment(files, path, handle, _checked_header(path, files.read(handle, HEADER_BYTES, 0)))
    except BaseException:
        files.close(handle)
        raise


def segment_paths(files: Files, folder: Path) -> list[Path]:
    """The segment files of a log in seq order."""
    return [folder / name for name in files.names(folder) if _NAME.fullmatch(name)]


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


def _check_order(frame: Frame, found_chain: int, seq: int, chain: int | None, time: int) -> None:
    if frame.seq != seq:
        raise BadBytes(f"seq {seq}", str(frame.seq))
    if chain is not None and found_chain != chain:
        raise BadBytes(f"chain {chain:08x}", f"{found_chain:08x}")
    if frame.time <= time:
        raise BadBytes(f"a time above {time}", str(frame.time))


def _holds_frame(data: bytes, seq_high: bytes, seqs: range) -> bool:
    seq_high_offset = 11  # bytes 3 to 7 of the seq field at offset 8
    position = 1
    while True:
        found = data.find(seq_high, position + seq_high_offset)
        if found < 0:
            return False
        position = found - seq_high_offset
        if data[position : position + 4] == b"\x00\x00\x00\x00":  # no length is 0: skip the run of zeros
            not_zero = _NOT_ZERO.search(data, position + 4)
            if not_zero is None:
                return False
            position = max(position + 1, not_zero.start() - 3)
            continue
        if _frame_seq(data, position) in seqs:
            return True
        position += 1


def _frame_seq(data: bytes, position: int) -> int | None:
    """The seq of the frame at position if it is whole by length and crc; None if it is not."""
    if len(data) - position < FRAME_HEADER_BYTES:
        return None
    try:
        size = frame_length(data, position)
        if size > len(data) - position:
            return None
        return decode_frame(data, position, size)[0].seq
    except UnknownFlags:
        return int.from_bytes(data[position + 8 : position + 16], "little")
    except BadBytes:
        return None
