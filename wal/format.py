"""The bytes of a log: segment header, frame and footer, encoded and decoded.  Pure.

Segment header, 64 bytes, little endian:

    0  magic      8   b"RedEXlog"
    8  version    4   2; 1 is read
   12  reserved   4   0
   16  log id    16   random, the same in every segment of a log
   32  epoch      8   which opening of the log made this segment
   40  first seq  8   seq of the first frame
   48  created    8   hybrid clock: no frame before is later, all in the segment are; version 1: milliseconds
   56  chain      4   crc of the last frame of the segment before; 0 in the first
   60  crc32c     4   over bytes 0 to 59

Frame, 32 bytes and the payload:

    0  length     4   bytes after the crc field: 24 + payload
    4  crc32c     4   over those bytes
    8  seq        8   one more than the frame before
   16  time       8   hybrid logical clock: 48 bits of milliseconds, 16 of counter; always grows
   24  kind       2   the writer's own
   26  flags      2   see FLAG_*
   28  chain      4   crc field of the frame before
   32  payload

Footer of a sealed segment of version 2, 80 bytes behind the last frame, which end the file:

    0  magic      8   b"RedEXend"
    8  end        8   offset of the footer itself
   16  count      8   frames
   24  first time 8   hybrid clock of the first frame
   32  last time  8   of the last
   40  digest    32   BLAKE3 of bytes 0 to end
   72  chain      4   crc of the last frame
   76  crc32c     4   over bytes 0 to 75

Source: docs/format-log.md.
"""

import struct
from typing import Final, NamedTuple

import google_crc32c
from msgspec import Struct

MAGIC: Final = b"RedEXlog"
FOOTER_MAGIC: Final = b"RedEXend"
VERSION: Final = 2
VERSIONS_READ: Final = (1, 2)

_HEADER: Final = struct.Struct("<8sII16sQQQI")
_CRC: Final = struct.Struct("<I")
_PREFIX: Final = struct.Struct("<II")
BODY: Final = struct.Struct("<QQHHI")
FRAME: Final = struct.Struct("<IIQQHHI")
_FOOTER: Final = struct.Struct("<8sQQQQ32sI")

HEADER_BYTES: Final = _HEADER.size + _CRC.size
FRAME_HEADER_BYTES: Final = FRAME.size
FOOTER_BYTES: Final = _FOOTER.size + _CRC.size
BODY_BYTES_MIN: Final = BODY.size
PAYLOAD_BYTES_MAX: Final = 8 * 1024 * 1024  # bounds what a reader must hold, and the reach of a wrong length
BODY_BYTES_MAX: Final = BODY_BYTES_MIN + PAYLOAD_BYTES_MAX
SEQ_MAX: Final = 2**63 - 1  # so that a seq is a positive number in every language

KIND_MAX: Final = 2**16 - 1
FLAG_NONE: Final = 0
FLAG_MORE: Final = 1  # the next frame belongs to the same batch
FLAG_SYNCED: Final = 2  # all frames before this one were on the disk before this one was written
FLAG_LOST: Final = 4  # put by a repair where a frame was damaged: it keeps the position, its payload is a reason
FLAGS_KNOWN: Final = FLAG_MORE | FLAG_SYNCED | FLAG_LOST

LOGICAL_BITS: Final = 16
TIME_MS_MAX: Final = 2**47 - 1  # the year 6429; leaves the counter room to spill

assert HEADER_BYTES == 64, HEADER_BYTES
assert FRAME_HEADER_BYTES == 32, FRAME_HEADER_BYTES
assert FOOTER_BYTES == 80, FOOTER_BYTES
assert _PREFIX.size + BODY.size == FRAME.size


class Frame(Struct, frozen=True, gc=False):
    """One record of the log."""

    seq: int
    time: int
    kind: int
    flags: int
    payload: bytes
    chain: int = 0  # crc of the frame before, 0 for the first of a log

    @property
    def time_ms(self) -> int:
        """The clock's milliseconds since 1970, without its counter."""
        return wall_ms(self.time)

    @property
    def lost(self) -> bool:
        """Whether a repair put this where a frame was damaged; the payload is then the reason, in UTF-8."""
        return bool(self.flags & FLAG_LOST)


def wall_ms(time: int) -> int:
    """The milliseconds since 1970 of a hybrid time."""
    return time >> LOGICAL_BITS


class SegmentHeader(NamedTuple):
    """What a segment says of itself."""

    log_id: bytes
    epoch: int
    first_seq: int
    created: int  # hybrid clock; milliseconds in version 1
    chain: int
    version: int = VERSION

    @property
    def time_before(self) -> int:
        """No frame of the segment is at or before this hybrid time; version 1 does not tell."""
        return self.created if self.version > 1 else -1


class Footer(NamedTuple):
    """What a sealed segment says of its frames."""

    end: int  # offset behind the last frame
    frame_count: int
    first_time: int
    last_time: int
    digest: bytes
    chain: int  # crc of the last frame


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
        MAGIC, header.version, 0, header.log_id, header.epoch, header.first_seq, header.created, header.chain
    )
    return body + _CRC.pack(google_crc32c.value(body))


def decode_header(data: bytes) -> SegmentHeader:
    """Read a segment header.

    Raises: WrongVersion; BadBytes for anything else that is not one.
    """
    if len(data) < HEADER_BYTES:
        raise BadBytes(f"a header of {HEADER_BYTES} bytes", f"{len(data)} bytes")
    magic, version, _, log_id, epoch, first_seq, created, chain = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise BadBytes(f"magic {MAGIC!r}", f"{magic!r}")
    _check_crc("header", data, _HEADER.size)
    if version not in VERSIONS_READ:
        raise WrongVersion(f"format version {VERSIONS_READ[0]} to {VERSION}", str(version))
    return SegmentHeader(log_id, epoch, first_seq, created, chain, version)


def encode_footer(footer: Footer) -> bytes:
    """The 80 bytes of a footer."""
    body = _FOOTER.pack(FOOTER_MAGIC, *footer)
    return body + _CRC.pack(google_crc32c.value(body))


def decode_footer(data: bytes) -> Footer:
    """Read a footer.

    Raises: BadBytes for anything that is not one.
    """
    if len(data) < FOOTER_BYTES:
        raise BadBytes(f"a footer of {FOOTER_BYTES} bytes", f"{len(data)} bytes")
    magic, *fields = _FOOTER.unpack_from(data)
    if magic != FOOTER_MAGIC:
        raise BadBytes(f"magic {FOOTER_MAGIC!r}", f"{magic!r}")
    _check_crc("footer", data, _FOOTER.size)
    return Footer(*fields)


def encode_frame_header(seq: int, time: int, kind: int, flags: int, chain: int, payload: bytes) -> tuple[bytes, int]:
    """The 32 bytes before the payload of a frame, and its crc: the chain of the next one."""
    crc = google_crc32c.extend(google_crc32c.value(BODY.pack(seq, time, kind, flags, chain)), payload)
    return FRAME.pack(BODY_BYTES_MIN + len(payload), crc, seq, time, kind, flags, chain), crc


def encode_frame(seq: int, time: int, kind: int, flags: int, chain: int, payload: bytes) -> tuple[bytes, int]:
    """The bytes of a frame, and its crc: the chain of the next one."""
    header, crc = encode_frame_header(seq, time, kind, flags, chain, payload)
    return header + payload, crc


def frame_crc(frame: Frame) -> int:
    """The crc field of a frame: the chain of the next one."""
    return encode_frame_header(frame.seq, frame.time, frame.kind, frame.flags, frame.chain, frame.payload)[1]


def frame_length(data: bytes, offset: int) -> int:
    """The whole length in bytes of the frame that starts at offset; 32 bytes must be there.

    Raises: BadBytes for a length that no frame has.
    """
    (length,) = _CRC.unpack_from(data, offset)
    if not BODY_BYTES_MIN <= length <= BODY_BYTES_MAX:
        raise BadBytes(f"a length of {BODY_BYTES_MIN} to {BODY_BYTES_MAX}", str(length))
    return int(length) + _PREFIX.size


def decode_frame(data: bytes, offset: int, size: int) -> tuple[Frame, int]:
    """Read the frame of size bytes at offset: the frame and its crc.

    Raises: BadBytes for a wrong crc; UnknownFlags.
    """
    _, crc, seq, time, kind, flags, chain = FRAME.unpack_from(data, offset)
    found = google_crc32c.value(data[offset + _PREFIX.size : offset + size])
    if found != crc:
        raise BadBytes(f"crc {crc:08x}", f"{found:08x}")
    if flags & ~FLAGS_KNOWN:
        raise UnknownFlags(f"no flags but {FLAGS_KNOWN:#06x}", f"{flags:#06x}")
    return Frame(seq, time, kind, flags, data[offset + FRAME_HEADER_BYTES : offset + size], chain), crc


def _check_crc(what: str, data: bytes, size: int) -> None:
    found = google_crc32c.value(data[:size])
    (expected,) = _CRC.unpack_from(data, size)
    if found != expected:
        raise BadBytes(f"{what} crc {expected:08x}", f"{found:08x}")
