"""The walk over the frames of a segment: everything that a frame promises is checked, nothing is decided.

Checked of each frame: length, crc, flags, seq, chain, and that the time grew.
Whether what is not as written is a torn tail or rot is the caller's question;
`frames_behind` helps to answer it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import google_crc32c

from wal.errors import Corrupt
from wal.files import Files
from wal.format import (
    BODY_BYTES_MAX,
    BODY_BYTES_MIN,
    FLAGS_KNOWN,
    FRAME,
    FRAME_HEADER_BYTES,
    BadBytes,
    Frame,
    UnknownFlags,
    decode_frame,
    frame_length,
)

READ_BYTES: Final = 1024 * 1024
_PREFIX_BYTES: Final = 8
# A payload can claim a frame of any length at every byte, so what a search may hash is bounded: a few seconds' work.
_SEARCH_ROUNDS: Final = 64  # times the length of what is searched
_SEARCH_BYTES_MIN: Final = 64 * 1024 * 1024
_NOT_ZERO = re.compile(rb"[^\x00]")


class Place(NamedTuple):
    """Where a frame starts, and what must hold there: the next seq, the chain and the time before it."""

    offset: int
    seq: int
    chain: int | None  # None: not known, the frame there is believed
    time: int


class Run(NamedTuple):
    """Whole frames in a row, where each starts, the place behind the last, and what stopped the walk."""

    frames: list[Frame]
    starts: list[int]
    after: Place
    damage: Corrupt | None

    def place(self, index: int) -> Place:
        """The place at which frame index starts; of the first, its time before is not known."""
        if index == len(self.frames):
            return self.after
        frame = self.frames[index]
        return Place(self.starts[index], frame.seq, frame.chain, self.frames[index - 1].time if index else -1)


def walk(
    files: Files,
    handle: int,
    path: Path,
    place: Place,
    end: int,
    *,
    count_max: int = 2**62,
    bytes_max: int = 2**62,
    read_bytes: int = READ_BYTES,
) -> Iterator[Run]:
    """Yield the frames from place up to offset end, a buffer's worth at a time, up to the bounds.

    The last run tells the damage, if the walk met any: the first byte that is not as written, or a frame
    that would cross the end.  read_bytes: the size of the first read; later ones are larger.
    """
    need = 0
    while place.offset < end and count_max > 0 and bytes_max > 0:
        size = min(max(read_bytes, need), end - place.offset)
        data = read_exactly(files, handle, place.offset, size)
        run = scan(data, path, place, count_max, bytes_max)
        place = run.after
        if run.frames or run.damage:
            yield run
        if run.damage:
            return
        if not run.frames:
            need = _checked_need(data, end - place.offset)
            if need > end - place.offset or len(data) < size:
                yield Run([], [], place, _partial(path, place, data, end, need))
                return
        count_max -= len(run.frames)
        bytes_max -= sum(len(frame.payload) for frame in run.frames) if bytes_max < 2**61 else 0
        read_bytes = READ_BYTES


def scan(data: bytes, path: Path, place: Place, count_max: int, bytes_max: int) -> Run:
    """Decode the whole frames at the start of data, which was read from place.offset.  The hot loop of all reads."""
    base, seq, chain, time = place
    frames: list[Frame] = []
    starts: list[int] = []
    damage: Corrupt | None = None
    offset, size, bytes_left = 0, len(data), bytes_max
    unpack, crc32c, last_start = FRAME.unpack_from, google_crc32c.value, len(data) - FRAME_HEADER_BYTES
    if chain is None and last_start >= 0:
        chain = unpack(data)[6]
    while offset <= last_start and bytes_left > 0:
        length, crc, found_seq, found_time, kind, flags, found_chain = unpack(data, offset)
        stop = offset + _PREFIX_BYTES + length
        if stop > size and BODY_BYTES_MIN <= length <= BODY_BYTES_MAX:
            break
        if (
            found_seq != seq
            or found_chain != chain
            or found_time <= time
            or flags & ~FLAGS_KNOWN
            or not BODY_BYTES_MIN <= length <= BODY_BYTES_MAX
            or crc32c(data[offset + _PREFIX_BYTES : stop]) != crc
        ):
            damage = _damage(data, offset, path, Place(base + offset, seq, chain, time))
            break
        frames.append(Frame(seq, found_time, kind, flags, data[offset + FRAME_HEADER_BYTES : stop], found_chain))
        starts.append(base + offset)
        offset, seq, chain, time = stop, seq + 1, crc, found_time
        bytes_left -= length - BODY_BYTES_MIN
        if len(frames) == count_max:
            break
    return Run(frames, starts, Place(base + offset, seq, chain, time), damage)


def read_exactly(files: Files, handle: int, offset: int, size: int) -> bytes:
    """Read size bytes from offset; fewer only at the end of the file."""
    data = files.read(handle, size, offset)
    while len(data) < size:
        more = files.read(handle, size - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def frames_behind(data: bytes, place: Place) -> Iterator[Frame | BadBytes]:
    """Yield every whole frame that starts behind place, whatever lies between; data was read from place.offset.

    A frame there can only have a seq above the expected one and within what the bytes could hold, so its
    high bytes are known: the search looks for those, and hashes only what fits in length, seq and time too.
    UnknownFlags stands for a whole frame of a newer program.  Where so many places look like frames that
    the search gives up, the last that it yields is another BadBytes: there may be whole frames.
    """
    seqs = range(place.seq + 1, place.seq + len(data) // FRAME_HEADER_BYTES + 2)
    left = _SEARCH_ROUNDS * len(data) + _SEARCH_BYTES_MIN
    for high in sorted({(seq >> 24).to_bytes(5, "little") for seq in (seqs[0], seqs[-1])}):
        for position in _search(data, high):
            length, _, seq, time, *_ = FRAME.unpack_from(data, position)
            if (
                seq not in seqs
                or time <= place.time
                or not BODY_BYTES_MIN <= length <= BODY_BYTES_MAX
                or length + _PREFIX_BYTES > len(data) - position
            ):
                continue
            left -= length
            if left < 0:
                yield BadBytes("no more places that look like frames", "too many to check them all")
                return
            frame = whole_frame_at(data, position)
            if frame is not None:
                yield frame


def whole_frame_at(data: bytes, position: int) -> Frame | UnknownFlags | None:
    """The frame at position if it is whole by length and crc: then no crash tore it."""
    if len(data) - position < FRAME_HEADER_BYTES:
        return None
    try:
        size = frame_length(data, position)
        return decode_frame(data, position, size)[0] if size <= len(data) - position else None
    except UnknownFlags as unknown:
        return unknown
    except BadBytes:
        return None


def _search(data: bytes, seq_high: bytes) -> Iterator[int]:
    """Yield each position, but for the first, at which a frame whose seq has these high bytes could start."""
    seq_high_offset = 11  # bytes 3 to 7 of the seq field at offset 8
    position = 1
    while True:
        found = data.find(seq_high, position + seq_high_offset)
        position = found - seq_high_offset
        if found < 0 or position > len(data) - FRAME_HEADER_BYTES:
            return
        if data[position : position + 4] == b"\x00\x00\x00\x00":  # no length is 0: skip the run of zeros
            not_zero = _NOT_ZERO.search(data, position + 4)
            if not_zero is None:
                return
            position = max(position + 1, not_zero.start() - 3)
            continue
        yield position
        position += 1


def _damage(data: bytes, offset: int, path: Path, place: Place) -> Corrupt:
    """What is wrong with the frame at offset, said in the order in which a reader would ask."""
    try:
        size = frame_length(data, offset)
        frame, _ = decode_frame(data, offset, size)
        if frame.seq != place.seq:
            raise BadBytes(f"seq {place.seq}", str(frame.seq))
        if frame.chain != place.chain:
            raise BadBytes(f"chain {place.chain or 0:08x}", f"{frame.chain:08x}")
        raise BadBytes(f"a time above {place.time}", str(frame.time))
    except BadBytes as error:
        return Corrupt(path, place.offset, error.expected, error.found)


def _checked_need(data: bytes, room: int) -> int:
    """How many bytes the frame at the start of data takes, its length known to be one."""
    return frame_length(data, 0) if len(data) >= FRAME_HEADER_BYTES else min(FRAME_HEADER_BYTES, room + 1)


def _partial(path: Path, place: Place, data: bytes, end: int, need: int) -> Corrupt:
    room = min(len(data), end - place.offset)
    if room < FRAME_HEADER_BYTES:
        return Corrupt(path, place.offset, f"a frame header of {FRAME_HEADER_BYTES} bytes", f"{room} bytes")
    return Corrupt(path, place.offset, f"a frame of {need} bytes", f"{room} bytes before the end")
