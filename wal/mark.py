"""The mark: how far the log is visible and on the disk, in a small file that its writer overwrites.

Readers in other processes go by it, and after a power cut it tells a write
that was never acknowledged from rot.  It is a hint: written after the fsync
and not synced itself, so it may be older than the truth and never newer.  A
mark that is missing or not whole says nothing.

File, 76 bytes, little endian: magic "RedEXdur", log id 16, epoch u64, then five
u64: first seq and offset of the segment and place at which the visible frames
end, the seq there, the seq up to which all is synced, and the length of that
segment's file with the space reserved in it; crc32c u32.

Source: docs/format-log.md.
"""

import struct
from typing import Final, NamedTuple

import google_crc32c

NAME: Final = "DURABLE"
_MAGIC: Final = b"RedEXdur"
_MARK: Final = struct.Struct("<8s16sQQQQQQ")
_CRC: Final = struct.Struct("<I")
MARK_BYTES: Final = _MARK.size + _CRC.size


class Mark(NamedTuple):
    """How far a log had come."""

    log_id: bytes
    epoch: int
    segment: int  # first seq of the segment that holds the end
    offset: int  # in that segment
    seq: int  # visible end
    synced_seq: int
    size_bytes: int  # of the segment's file, with the zeros reserved for what comes


def encode_mark(mark: Mark) -> bytes:
    """The bytes of the file."""
    body = _MARK.pack(_MAGIC, *mark)
    return body + _CRC.pack(google_crc32c.value(body))


def decode_mark(data: bytes) -> Mark | None:
    """Read the file; None if it is not whole."""
    if len(data) < MARK_BYTES:
        return None
    magic, *fields = _MARK.unpack_from(data)
    if magic != _MAGIC or google_crc32c.value(data[: _MARK.size]) != _CRC.unpack_from(data, _MARK.size)[0]:
        return None
    return Mark(*fields)
