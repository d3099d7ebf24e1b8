"""A database made anew from an export: the same log, bit for bit, or nothing.

Every line must be the one of its frame, every frame go on where the one before
ended, every hash and signature hold, and the whole come to the digest in the
last line.  Anything else is refused with the number of its line.

Source: docs/operations.md, "Moving data".
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from os import cpu_count
from pathlib import Path
from typing import Final, Self

from blake3 import blake3
from msgspec import Struct

from episteme.errors import BadCopy, EpistemeError, InvalidParameter
from episteme.loglines import LogLine, frame_of
from episteme.moving.backup import Phase
from episteme.moving.copying import PAGE_BYTES_MAX, PAGE_COUNT_MAX, Copy
from episteme.moving.digest import add_frame
from episteme.moving.export import ExportEnd, ExportHeader
from episteme.moving.folding import Folded
from episteme.moving.packing import opened
from episteme.moving.reading import lines_of, read_export, read_header
from episteme.moving.restore import check_free, make_data_folder
from episteme.vouchers import AllVouchers
from model import ModelError, SignedEvent, raw_signature
from wal import Diverged, Files, Frame

_OWNER: Final = "the database that is being imported"
_CHUNK: Final = 256  # events whose signatures a thread verifies at a time
_CHUNKS_AHEAD: Final = 16


class Imported(Struct, frozen=True):
    """What was made: the database's id, its last position (-1: none), how much was verified, what its state came to."""

    database: str
    last_seq: int
    events: int
    signatures: int
    folded: Folded


class Checked(Struct, frozen=True):
    """What an export holds: the database's id, its last position (-1: none), and how much was verified."""

    database: str
    last_seq: int
    events: int
    signatures: int


def check_export(file: Path, phase: Phase) -> Checked:
    """Read the export of a whole log as an import would, and make nothing of it.  Raises: BadCopy; OSError."""
    with opened(file) as packed, phase("checking", in_bytes=True) as moved:
        lines = lines_of(packed.file)
        reader = _Reader(_whole(lines), None)
        reader.read(lines, lambda: moved(packed.done(), packed.size_bytes))
    return Checked(reader.database, reader.seq - 1, reader.events, reader.signatures)


def import_exactly(
    file: Path, data: Path, phase: Phase, *, clock_ms: Callable[[], int], files: Files | None = None
) -> Imported:
    """Make the data folder of an export of a whole log.

    Raises: CannotOpen if something is at data; BadCopy, with the line, and then nothing is made;
    InvalidParameter for the export of a part; LogError; OSError.
    """
    files = files or Files()
    check_free(data)
    with opened(file) as packed:
        lines = lines_of(packed.file)
        header = _whole(lines)
        made: list[_Reader] = []

        def fill(folder: Path) -> None:
            def begin(first: Sequence[Frame]) -> Copy:
                log_id = bytes.fromhex(header.database)
                return Copy.begin(folder, log_id, first, owner=_OWNER, clock_ms=clock_ms, files=files)

            with phase("importing", in_bytes=True) as moved:
                made.append(_Reader(header, begin))
                made[0].read(lines, lambda: moved(packed.done(), packed.size_bytes))

        folded = make_data_folder(data, fill, phase, clock_ms, files)
    (reader,) = made
    return Imported(header.database, reader.seq - 1, reader.events, reader.signatures, folded)


def _whole(lines: Iterator[tuple[int, bytes]]) -> ExportHeader:
    """The header of an export of a whole log.  Raises: BadCopy; InvalidParameter."""
    header = read_header(next(lines, (1, b""))[1])
    if not header.whole:
        raise InvalidParameter("the export is of a part of a log: import it into a database that is there")
    return header


class _Reader:
    """From lines to frames in a copy, with everything checked on the way."""

    def __init__(self, header: ExportHeader, begin: Callable[[Sequence[Frame]], Copy] | None) -> None:
        """begin: a copy that begins with the frame that it is given, if there is one; None: nothing is written."""
        self.database = header.database
        self.seq = 0  # of the next line
        self.events = 0
        self.signatures = 0
        self._begin = begin
        self._chain = 0  # of the frame before
        self._hasher = blake3()
        self._end: ExportEnd | None = None
        self._copy: Copy | None = None
        self._verifier = _Verifier()
        self._bundles = AllVouchers()

    def read(self, lines: Iterator[tuple[int, bytes]], moved: Callable[[], None]) -> None:
        """Raises: BadCopy; LogError; OSError."""
        page: list[Frame] = []
        size_bytes = 0
        with self._verifier as verifier, self._bundles:
            try:
                for number, line in read_export(lines):
                    if isinstance(line, ExportEnd):
                        self._end = line
                        continue
                    page.append(self._frame(number, line))
                    size_bytes += len(page[-1].payload)
                    if len(page) == PAGE_COUNT_MAX or size_bytes >= PAGE_BYTES_MAX:
                        self._put(page)
                        page, size_bytes = [], 0
                        moved()
                self._put(page)
                verifier.finish()
                self._check_end()
            finally:
                if self._copy is not None:
                    self._copy.close()

    def _frame(self, number: int, line: LogLine) -> Frame:
        try:
            frame = frame_of(line)
        except EpistemeError as error:
            raise BadCopy(f"line {number}: {error.detail}") from error
        if frame.seq != self.seq:
            raise BadCopy(f"line {number} is of position {frame.seq}; {self.seq} comes next")
        if frame.chain != self._chain:
            raise BadCopy(f"line {number} goes on from another line than the one before it: one of the two was changed")
        self._chain = add_frame(self._hasher, frame)
        self.seq += 1
        if frame.lost:
            self._bundles.lose()
        if line.event is not None:
            assert line.hash is not None, "frame_of has checked it"
            signatures = tuple([raw_signature(one) for one in line.signatures])
            self._check(number, SignedEvent(line.event, bytes.fromhex(line.hash), signatures))
        return frame

    def _check(self, number: int, signed: SignedEvent) -> None:
        self.events += 1
        self.signatures += len(signed.signatures)
        try:
            self._bundles.check(signed)
        except ModelError as error:
            raise BadCopy(f"line {number}: {error}") from error
        self._verifier.add(number, signed)

    def _put(self, page: list[Frame]) -> None:
        if self._begin is None:
            return
        try:
            if self._copy is None:
                self._copy = self._begin(page[:1])
            self._copy.put(page)
        except Diverged as error:
            raise BadCopy(str(error)) from error

    def _check_end(self) -> None:
        end = self._end
        assert end is not None, "read_export ends with the end or raises"
        if end.chain != self._chain or end.digest != self._hasher.hexdigest():
            raise BadCopy(
                f"line {self.seq + 2} says that the frames come to {end.digest}, and they come to "
                f"{self._hasher.hexdigest()}: the last line before it was changed, or this one"
            )


class _Verifier:
    """Verifies signatures in threads, a bounded number of events ahead; tells the first line that fails."""

    def __enter__(self) -> Self:
        self._threads = ThreadPoolExecutor(cpu_count())
        self._chunk: list[tuple[int, SignedEvent]] = []
        self._running: deque[Future[None]] = deque()
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def add(self, number: int, signed: SignedEvent) -> None:
        """Raises: BadCopy for any before it."""
        self._chunk.append((number, signed))
        if len(self._chunk) == _CHUNK:
            self._flush()

    def finish(self) -> None:
        """Raises: BadCopy."""
        self._flush()
        while self._running:
            self._running.popleft().result()

    def _flush(self) -> None:
        self._running.append(self._threads.submit(_verify, self._chunk))
        self._chunk = []
        if len(self._running) > _CHUNKS_AHEAD:
            self._running.popleft().result()


def _verify(chunk: list[tuple[int, SignedEvent]]) -> None:
    """The own signatures of events whose hashes, and whose bundles, are checked.  Raises: BadCopy."""
    for number, signed in chunk:
        try:
            signed.verify_own()
        except ModelError as error:
            raise BadCopy(f"line {number}: {error}") from error
