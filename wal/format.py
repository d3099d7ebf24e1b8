"""The bytes of a log: segment header and frame, encoded and decoded.  Pure.

Segment header, 64 bytes, little endian:

    0  magic      8   b"RedEXlog"
    8  version    4   1
   12  reserved   4   0
   16  log id    16   random, the same in every segment of a log
   32  epoch      8   which opening of the log made this segment
   40  first seq  8   seq of the first frame
   48  created    8   milliseconds since 1970
   56  chain      4   crc of the last frame of the segment before; 0 in the first
   60  crc32c     4   over bytes 0 to 59

Frame, 32 bytes and the payload:

    0  length     4   bytes after the crc field: 24 + payload
    4  crc32c     4   over those bytes
    8  seq        8   one more than the frame before
   16  time       8   hybrid logical clock: 48 bits of milliseconds, 16 of counter; always grows
   24  kind       2   the writer's own
   26  flags      2   bit 0: the next frame belongs to the same batch; others 0
   28  chain      4   crc field of the frame before
   32  payload

Source: docs/format-log.md.
"""

import struct
from typing import Final, NamedTuple

import google_crc32c

MAGIC: Final = b"RedEXlog"
VERSION: Final = 1

_HEADER: Final = struct.Struct("<8sII16sQQQI")
_CRC: Final = struct.Struct("<I")
_PREFIX: Final = struct.Struct("<II")
_BODY: Final = struct.Struct("<QQHHI")
_FRAME: Final = struct.Struct("<IIQQHHI")

HEADER_BYTES: Final = _HEADER.size + _CRC.size
FRAME_HEADER_BYTES: Final = _FRAME.size
BODY_BYTES_MIN: Final = _BODY.size
PAYLOAD_BYTES_MAX: Final = 8 * 1024 * 1024  # bounds what a reader must hold, and the reach of a wrong length
SEQ_MAX: Final = 2**63 - 1  # so that a seq is a positive number in every language

KIND_MAX: Final = 2**16 - 1
FLAG_NONE: Final = 0
FLAG_MORE: Final = 1
FLAGS_KNOWN: Final = FLAG_MORE

LOGICAL_BITS: Final = 16

assert HEADER_BYTES == 64, HEADER_BYTES
assert FRAME_HEADER_BYTES == 32, FRAME_HEADER_BYTES
assert _PREFIX.size + _BODY.size == _FRAME.size


class Frame(NamedTuple):
    """One record of the log."""

    seq: int
    time: int
    kind: int
    flags: int
    payload: bytes

    @property
    def time_ms(self) -> int:
        """The clock's milliseconds since 1970, without its counter."""
        return wall_ms(self.time)


def wall_ms(time: int) -> int:
    """The milliseconds since 1970 of a hybrid time."""
    return time >> LOGICAL_BITS


class SegmentHeader(NamedTuple):
    """What a segment says of itself."""

    log_id: bytes
    epoch: int
    first_seq: int
    created_ms: int
    chain: int


class BadBytes(ValueError):
    """What was expected and what was found; the caller knows the file and the offset."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected = expected
        self.found = found


class UnknownFlags(BadBytes):
    """A whole frame with flags that a newer program may have set."""


class WrongVersion(BadBytes):
    """A whole header of a version that this program cannot read."""


def encode_header(header: SegmentHeader) -> bytes:
    """The 64 bytes of a segment header."""
    body = _HEADER.pack(
        MAGIC, VERSION, 0, header.log_id, header.epoch, header.first_seq, header.created_ms, header.chain
    )
    return body + _CRC.pack(google_crc32c.value(body))


def decode_header(data: bytes) -> SegmentHeader:
    """Read a segment header.

    Raises: WrongVersion; BadBytes for anything else that is not one.
    """
    if len(data) < HEADER_BYTES:
        raise BadBytes(f"a header of {HEADER_BYTES} bytes", f"{len(data)} bytes")
    magic, version, _, log_id, epoch, first_seq, created_ms, chain = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise BadBytes(f"magic {MAGIC!r}", f"{magic!r}")
    found = google_crc32c.value(data[: _HEADER.size])
    (expected,) = _CRC.unpack_from(data, _HEADER.size)
    if found != expected:
        raise BadBytes(f"header crc {expected:08x}", f"{found:08x}")
    if version != VERSION:
        raise WrongVersion(f"format version {VERSION}", str(version))
    return SegmentHeader(log_id, epoch, first_seq, created_ms, chain)


def encode_frame(seq: int, time: int, kind: int, flags: int, chain: int, payload: bytes) -> tuple[bytes, int]:
    """The bytes of a frame, and its crc: the chain of the next one."""
    body = _BODY.pack(seq, time, kind, flags, chain) + payload
    crc = google_crc32c.value(body)
    return _PREFIX.pack(len(body), crc) + body, crc


def frame_length(data: bytes, offset: int) -> int:
    """The whole length in bytes of the frame that starts at offset; 32 bytes must be there.

    Raises: BadBytes for a length that no frame has.
    """
    (length,) = _CRC.unpack_from(data, offset)
    if not BODY_BYTES_MIN <= length <= BODY_BYTES_MIN + PAYLOAD_BYTES_MAX:
        raise BadBytes(f"a length of {BODY_BYTES_MIN} to {BODY_BYTES_MIN + PAYLOAD_BYTES_MAX}", str(length))
    return int(length) + _PREFIX.size


def decode_frame(data: bytes, offset: int, size: int) -> tuple[Frame, int, int]:
    """Read the frame of size bytes at offset: the frame, its crc, its chain.

    Raises: BadBytes for a wrong crc or unknown flags.
    """
    _, crc, seq, time, kind, flags, chain = _FRAME.unpack_from(data, offset)
    found = google_crc32c.value(data[offset + _PREFIX.size : offset + size])
    if found != crc:
        raise BadBytes(f"crc {crc:08x}", f"{found:08x}")
    if flags & ~FLAGS_KNOWN:
        raise UnknownFlags("no flags but bit 0", f"{flags:#06x}")
    return Frame(seq, time, kind, flags, data[offset + FRAME_HEADER_BYTES : offset + size]), crc, chain
