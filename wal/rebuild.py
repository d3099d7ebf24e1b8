"""The writing half of a repair: segments made from frames, and the quarantine beside them.

Knows nothing of damage.  Frames come one by one in order, each with its seq
already due; the chain is made here.  All is durable when `finish` returns.
"""

from pathlib import Path
from typing import Any, Final

import msgspec
from blake3 import blake3

from wal.files import Files
from wal.format import FLAG_LOST, FLAG_MORE, Footer, SegmentHeader, encode_footer, encode_frame_header, encode_header
from wal.mark import NAME as MARK_NAME
from wal.mark import Mark, encode_mark
from wal.segment import create_segment

QUARANTINE_NAME: Final = "quarantine"
FINDINGS_NAME: Final = "findings.jsonl"
_WRITE_BYTES: Final = 1024 * 1024


class Quarantined(msgspec.Struct, frozen=True):
    """One thing that was not as written: where it was, which frames it cost, where its bytes are now."""

    file: str
    offset: int
    length: int
    seq_from: int | None  # of the frames that are lost, if any
    seq_to: int | None  # the last of them
    reason: str
    kept_in: str | None  # name of a file in the quarantine


class Rebuilt:
    """A log that is being made.  For one thread."""

    def __init__(self, files: Files, folder: Path, log_id: bytes, epoch: int, first: SegmentHeader) -> None:
        """first: seq and chain at which the log starts, and the time before it."""
        self.seq, self.time = first.first_seq, max(first.created, 0)
        self.findings: list[Quarantined] = []
        self._files = files
        self._folder = folder
        self._header = first._replace(log_id=log_id, epoch=epoch)
        self._chain = first.chain
        self._handle = -1
        self._offset = 0
        self._first_time = -1
        self._hasher: Any = None
        self._held: tuple[int, int, int, int, bytes] | None = None  # the last frame: it may have to end its batch
        self._parts: list[bytes] = []
        self._parts_bytes = 0

    def begin(self, time_before: int, chain: int | None) -> None:
        """Start a segment at the seq that is due; no frame in it is at or before the time.

        chain: of the frame before the log's first, where the header did not say.
        """
        self.time = max(self.time, time_before)
        if chain is not None and self._first_time < 0:
            self._chain = chain
        header = self._header._replace(first_seq=self.seq, created=self.time, chain=self._chain)
        _, self._handle = create_segment(self._files, self._folder, header)
        self._header, self._first_time = header, -1
        self._hasher, self._offset = blake3(encode_header(header)), len(encode_header(header))

    def put(self, time: int, kind: int, flags: int, payload: bytes) -> None:
        """Append the frame that is due."""
        assert time > self.time, (time, self.time)
        if self._held is not None:
            self._write(*self._held)
        self._held = self.seq, time, kind, flags, payload
        self.seq, self.time = self.seq + 1, time

    def put_lost(self, seq_end: int, reason: str) -> None:
        """Append frames that keep the positions up to seq_end."""
        payload = reason.encode()
        while self.seq < seq_end:
            self.put(self.time + 1, 0, FLAG_LOST, payload)

    def end(self, *, seal: bool) -> None:
        """End the segment, with a footer unless it is the last; durable on return."""
        if self._held is not None:
            seq, time, kind, flags, payload = self._held
            self._write(seq, time, kind, flags & ~FLAG_MORE, payload)  # a batch never crosses a segment
        self._held = None
        self._flush()
        if seal:
            count = self.seq - self._header.first_seq
            digest = self._hasher.digest()
            footer = Footer(self._offset, count, self._first_time, self.time, digest, self._chain)
            self._files.write(self._handle, encode_footer(footer), self._offset)
        self._files.sync(self._handle)
        self.close()

    def quarantine(self, finding: Quarantined, stem: str, data: bytes) -> None:
        """Note a finding and keep the bytes that it is about, if any."""
        if data:
            name = f"{stem}-{finding.offset}-{finding.length}.bytes"
            self._put_file(self._folder / QUARANTINE_NAME, name, data)
            finding = msgspec.structs.replace(finding, kept_in=name)
        self.findings.append(finding)

    def finish(self, lock_handle: int) -> None:
        """Count the opening, and say in a mark that all frames are on the disk; durable on return."""
        if self.findings:
            lines = b"".join(msgspec.json.encode(finding) + b"\n" for finding in self.findings)
            self._put_file(self._folder / QUARANTINE_NAME, FINDINGS_NAME, lines)
            self._files.sync_folder(self._folder / QUARANTINE_NAME)
        header, end = self._header, self._offset
        self.put_file(MARK_NAME, encode_mark(Mark(*header[:2], header.first_seq, end, self.seq, self.seq, end)))
        self._files.write(lock_handle, f"{header.epoch:020d}".encode(), 0)
        self._files.sync(lock_handle)
        self._files.sync_folder(self._folder)

    def put_file(self, name: str, data: bytes) -> None:
        """Put a small file beside the segments; its name is durable after finish."""
        self._put_file(self._folder, name, data)

    def close(self) -> None:
        """Give the segment's handle back.  A second call does nothing."""
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            self._files.close(handle)

    def _write(self, seq: int, time: int, kind: int, flags: int, payload: bytes) -> None:
        header, self._chain = encode_frame_header(seq, time, kind, flags, self._chain, payload)
        self._parts += (header, payload)
        self._parts_bytes += len(header) + len(payload)
        if self._first_time < 0:
            self._first_time = time
        if self._parts_bytes >= _WRITE_BYTES:
            self._flush()

    def _flush(self) -> None:
        data = b"".join(self._parts)
        self._files.write(self._handle, data, self._offset)
        self._hasher.update(data)
        self._offset += len(data)
        self._parts, self._parts_bytes = [], 0

    def _put_file(self, folder: Path, name: str, data: bytes) -> None:
        files = self._files
        files.make_folder(folder)
        handle = files.create(folder / name)
        try:
            files.write(handle, data, 0)
            files.sync(handle)
        finally:
            files.close(handle)
