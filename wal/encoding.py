"""Frames of one append, encoded in a row.  Pure.  The hot loop of all writes."""

from collections.abc import Sequence
from typing import NamedTuple

import google_crc32c

from wal.errors import PayloadTooLarge
from wal.format import BODY, BODY_BYTES_MIN, FRAME, FRAME_HEADER_BYTES, KIND_MAX, PAYLOAD_BYTES_MAX


class EncodedRun(NamedTuple):
    """The bytes of frames in a row, and what the next frame needs."""

    parts: list[bytes]  # header, payload, header, payload, ...
    size_bytes: int
    end_seq: int
    last_time: int
    chain: int


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
