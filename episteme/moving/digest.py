"""The digest of a log: BLAKE3 of the bytes of all its frames, wherever its segments begin and end."""

from typing import Any

from wal import Frame
from wal.format import encode_frame_header


def add_frame(hasher: Any, frame: Frame) -> int:
    """Hash a frame's bytes as its log has them; gives its checksum, the chain of the next."""
    header, crc = encode_frame_header(frame.seq, frame.time, frame.kind, frame.flags, frame.chain, frame.payload)
    hasher.update(header)
    hasher.update(frame.payload)
    return crc
