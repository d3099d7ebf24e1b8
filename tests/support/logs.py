"""Small logs with a fixed id and clock, and the bytes of their files."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.faulty_files import WAIT_S, UnsyncedFiles
from wal import FileLog, Files, Frame, LogOptions

LOG_ID = bytes(range(16))
TIME_MS = 1_700_000_000_000
ALL = 2**62  # a bound that binds nothing


def open_log(
    folder: Path,
    *,
    files: Files | None = None,
    clock_ms: Callable[[], int] = lambda: TIME_MS,
    segment_bytes: int = LogOptions().segment_bytes,
    pending_bytes_max: int = LogOptions().pending_bytes_max,
    reserve_bytes: int = 0,
    options: LogOptions | None = None,
) -> FileLog:
    """Open a log on a disk without waits, unless files says otherwise; options: instead of the three before."""
    return FileLog.open(
        folder,
        clock_ms=clock_ms,
        new_log_id=lambda: LOG_ID,
        options=options or LogOptions(segment_bytes, pending_bytes_max, reserve_bytes),
        files=files or UnsyncedFiles(),
    )


def write_log(folder: Path, payloads: Sequence[bytes], *, segment_bytes: int = 2**20) -> list[Path]:
    """Make a log with one commit for each payload; give its segment files."""
    with open_log(folder, segment_bytes=segment_bytes) as log:
        for payload in payloads:
            log.append(payload, 1).wait(WAIT_S)
    return segment_files(folder)


def segment_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.redex"))


def segment_bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in segment_files(folder)}


def read_all(log: FileLog) -> list[Frame]:
    frames: list[Frame] = []
    while page := log.read_from(log.first_seq + len(frames), count_max=ALL, bytes_max=ALL):
        frames += page
    return frames


def read_payloads(log: FileLog) -> list[bytes]:
    return [frame.payload for frame in read_all(log)]


def flip_bit(path: Path, bit: int) -> None:
    """Flip one bit of a file in place."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
