"""The sparse index of a segment: where every 64th frame starts, and when it was appended.

Derived from the segment and never trusted beyond what the segment confirms:
a file that is missing, stale or wrong is as good as none, and is made anew.

File, little endian: magic "RedEXidx", version u32, stride u32, log id 16, first
seq u64, then how far it goes: end u64 (offset), count u64 (frames), chain u32,
reserved u32, last time u64, digest 32 (BLAKE3 of the segment up to end); then
for every frame whose seq is a multiple of stride its offset u64, and then their
times u64; crc32c u32 over all.

Source: docs/format-log.md.
"""

import struct
import threading
from array import array
from bisect import bisect_left
from typing import Final, NamedTuple

import google_crc32c

from wal.format import HEADER_BYTES, BadBytes, SegmentHeader
from wal.scan import Place, Run

STRIDE: Final = 64  # frames between two known offsets: a seek reads at most that many in vain
VERSION: Final = 1
_MAGIC: Final = b"RedEXidx"
_HEAD: Final = struct.Struct("<8sII16sQQQIIQ32s")
_ENTRY_BYTES: Final = 16
_CRC: Final = struct.Struct("<I")


class Covered(NamedTuple):
    """How far an index goes, and the digest of the segment up to there."""

    place: Place
    digest: bytes


class SparseIndex:
    """Offsets and times of the frames of one segment whose seq is a multiple of STRIDE.  Thread-safe."""

    def __init__(self, first_seq: int) -> None:
        self.offsets = array("Q")
        self.times = array("Q")
        self._base = entry_of(first_seq)  # what entry 0 stands for, in strides
        self._noting = threading.Lock()

    @property
    def next_seq(self) -> int:
        """The next seq to note."""
        return (self._base + len(self.times)) * STRIDE

    def note(self, seq: int, offset: int, time: int) -> None:
        """Remember where a frame starts, if it is the next that the index keeps."""
        if seq == self.next_seq:
            with self._noting:
                if seq == self.next_seq:
                    del self.offsets[len(self.times) :]  # what an interrupted note left
                    self.offsets.append(offset)
                    self.times.append(time)  # last: its length is what lookers go by

    def note_run(self, run: Run) -> None:
        """Note all frames of a run."""
        if run.frames:
            first = run.frames[0].seq
            for at in range(max(0, self.next_seq - first), len(run.frames), STRIDE):
                self.note(first + at, run.starts[at], run.frames[at].time)

    def near(self, seq: int) -> Place | None:
        """The last known place at or before seq; None if there is none."""
        return self._place(min(seq // STRIDE - self._base, len(self.times) - 1))

    def near_time(self, time: int) -> Place | None:
        """The last known place whose frame is before time; None if there is none."""
        return self._place(bisect_left(self.times, time, 0, len(self.times)) - 1)

    def cut(self, seq: int) -> None:
        """Forget all frames from seq on."""
        kept = max(0, entry_of(seq) - self._base)
        del self.times[kept:]
        del self.offsets[kept:]

    def _place(self, entry: int) -> Place | None:
        return Place(self.offsets[entry], (self._base + entry) * STRIDE, None, -1) if entry >= 0 else None


def entry_of(seq: int) -> int:
    """How many strides lie wholly or partly before seq."""
    return -(-seq // STRIDE)


def encode_index(index: SparseIndex, header: SegmentHeader, covered: Covered) -> bytes:
    """The bytes of an index file."""
    place = covered.place
    count = place.seq - header.first_seq
    parts = [
        *(_MAGIC, VERSION, STRIDE, header.log_id, header.first_seq, place.offset, count),
        *(place.chain or 0, 0, max(place.time, 0), covered.digest),
    ]
    entries = b"".join(struct.pack(f"<{len(column)}Q", *column) for column in (index.offsets, index.times))
    body = _HEAD.pack(*parts) + entries
    return body + _CRC.pack(google_crc32c.value(body))


def decode_index(data: bytes, header: SegmentHeader) -> tuple[SparseIndex, Covered]:
    """Read an index file of the segment with that header.

    Raises: BadBytes for anything that is not one, or is another segment's.
    """
    if len(data) < _HEAD.size + _CRC.size or (len(data) - _HEAD.size - _CRC.size) % _ENTRY_BYTES:
        raise BadBytes("an index file", f"{len(data)} bytes")
    if google_crc32c.value(data[: -_CRC.size]) != _CRC.unpack(data[-_CRC.size :])[0]:
        raise BadBytes("an index file's crc", "another")
    magic, version, stride, log_id, first_seq, end, count, chain, _, last_time, digest = _HEAD.unpack_from(data)
    entry_count = (len(data) - _HEAD.size - _CRC.size) // _ENTRY_BYTES
    entries_expected = entry_of(header.first_seq + count) - entry_of(header.first_seq)
    expected = (_MAGIC, VERSION, STRIDE, header.log_id, header.first_seq, entries_expected)
    if (magic, version, stride, log_id, first_seq, entry_count) != expected or end < HEADER_BYTES:
        raise BadBytes("an index of this segment", "another")
    index = SparseIndex(first_seq)
    numbers = struct.unpack_from(f"<{2 * entry_count}Q", data, _HEAD.size)
    index.offsets.extend(numbers[:entry_count])
    index.times.extend(numbers[entry_count:])
    return index, Covered(Place(end, first_seq + count, chain, last_time if count else header.time_before), digest)
