"""Frames of one append, encoded in a row.  Pure.  The hot loop of all writes."""

from collections.abc import Sequence
from typing import NamedTuple

import google_crc32c

from wal.errors import PayloadTooLarge
from wal.format import (
    BODY,
    BODY_BYTES_MIN,
    FLAG_MORE,
    FLAGS_KNOWN,
    FRAME,
    FRAME_HEADER_BYTES,
    KIND_MAX,
    LOGICAL_BITS,
    PAYLOAD_BYTES_MAX,
    TIME_MS_MAX,
    Frame,
    encode_frame_header,
)


class EncodedRun(NamedTuple):
    """The bytes of frames in a row, and what the next frame needs."""

    parts: list[bytes]  # header, payload, header, payload, ...
    size_bytes: int
    end_seq: int
    last_time: int
    chain: int


def next_time(last_time: int, now_ms: int) -> int:
    """The hybrid time of a frame behind one of last_time.  Raises: ValueError for a clock that is out of range."""
    if not 0 <= now_ms <= TIME_MS_MAX:
        raise ValueError(f"the clock says {now_ms} ms; it may say 0 to {TIME_MS_MAX}")
    return max(last_time + 1, now_ms << LOGICAL_BITS)


def encode_run(
    items: Sequence[tuple[int, bytes]], flag: int, first_flag: int, seq: int, time: int, chain: int
) -> EncodedRun:
    """Encode (kind, payload) pairs from seq on, a tick apart.

    flag: set in all frames but the last; first_flag: set in the first.
    Raises: ValueError for a kind out of 0 to 65535; PayloadTooLarge.
    """
    parts: list[bytes] = []
    size_bytes = 0
    pack_body, pack_frame, value, extend = BODY.pack, FRAME.pack, google_crc32c.value, google_crc32c.extend
    last = seq + len(items) - 1
    flags = first_flag | flag
    for kind, payload in items:
        if seq == last:
            flags &= ~flag
        size = len(payload)
        if size > PAYLOAD_BYTES_MAX:
            raise PayloadTooLarge(f"a payload of {size} bytes; at most {PAYLOAD_BYTES_MAX}")
        if not 0 <= kind <= KIND_MAX:
            raise ValueError(f"kind {kind} is not 0 to {KIND_MAX}")
        crc = extend(value(pack_body(seq, time, kind, flags, chain)), payload)
        parts.append(pack_frame(BODY_BYTES_MIN + size, crc, seq, time, kind, flags, chain))
        parts.append(payload)
        size_bytes += FRAME_HEADER_BYTES + size
        seq, time, chain, flags = seq + 1, time + 1, crc, flag
    return EncodedRun(parts, size_bytes, seq, time - 1, chain)


def encode_copies(frames: Sequence[Frame], seq: int, time: int, chain: int) -> EncodedRun:
    """Encode frames of another log as they are, behind a frame with this chain, before seq and not after time.

    Raises: ValueError for frames that do not go on there, or do not complete their batch.
    """
    parts: list[bytes] = []
    size_bytes = 0
    for frame in frames:
        if (frame.seq, frame.chain) != (seq, chain):
            raise ValueError(f"frame {frame.seq} does not go on at seq {seq} with chain {chain:08x}")
        if frame.time <= time or frame.flags & ~FLAGS_KNOWN:
            raise ValueError(f"frame {seq} is not later than the one before, or has unknown flags")
        header, chain = encode_frame_header(seq, frame.time, frame.kind, frame.flags, chain, frame.payload)
        parts += (header, frame.payload)
        size_bytes += FRAME_HEADER_BYTES + len(frame.payload)
        seq, time = seq + 1, frame.time
    if frames and frames[-1].flags & FLAG_MORE:
        raise ValueError(f"frames {frames[0].seq} to {frames[-1].seq} end within a batch")
    return EncodedRun(parts, size_bytes, seq, time, chain)
