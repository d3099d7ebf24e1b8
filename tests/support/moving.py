"""Logs of random histories in data folders, and what they hold when nobody has them open."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from episteme.moving import LogSource, OnProgress, Taken, fold_folder, take_backup
from episteme.node import LOG_FOLDER
from model import FRAME_KIND_EVENT, Receipt, encode_record
from tests.support.events import NOW_MS, make_assertion, signed
from tests.support.faulty_files import UnsyncedFiles
from tests.support.logs import ALL, open_log
from tests.support.meaning import Step, as_frames
from wal import Files, Frame, ReadOnlyLog


def now_ms() -> int:
    return NOW_MS


@contextmanager
def quiet(what: str, *, in_bytes: bool = False) -> Iterator[OnProgress]:
    """A phase that nobody watches."""
    yield lambda done, total: None


def write_history(data: Path, steps: Sequence[Step], groups: Sequence[int] = (7, 1, 30)) -> Path:
    """Append the steps to the log of a data folder, in commits of these sizes; its state is not made."""
    frames = as_frames(steps)
    with open_log(data / LOG_FOLDER, segment_bytes=20_000) as log:
        at = 0
        while at < len(frames):
            count = groups[at % len(groups)]
            log.append_many([(frame.kind, frame.payload) for frame in frames[at : at + count]]).wait()
            at += count
    return data


def write_forgery(data: Path, seq: int) -> Path:
    """A log of sound frames, one of which holds an event that its signer has not signed so."""
    signature = b"\xc4\x40"  # the head of 64 bytes in msgpack
    with open_log(data / LOG_FOLDER) as log:
        for number in range(seq + 3):
            payload = encode_record(signed(make_assertion(subject=f"s{number}")), Receipt("test", 10))
            at = payload.rindex(signature) + len(signature)
            if number == seq:
                payload = payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]
            log.append(payload, FRAME_KIND_EVENT).wait()
    return data


def frames_in(log_folder: Path) -> list[Frame]:
    """All frames of a log's own folder, byte for byte: chain and flags are among their fields."""
    with ReadOnlyLog.open(log_folder, files=UnsyncedFiles()) as log:
        frames: list[Frame] = []
        while page := log.read_from(len(frames), count_max=ALL, bytes_max=ALL):
            frames += page
        return frames


def back_up(data: Path, folder: Path, *, signatures: bool = False, files: Files | None = None) -> Taken:
    """Back up a data folder's log on a disk without waits."""
    with ReadOnlyLog.open(data / LOG_FOLDER) as log:
        return take_backup(
            *(folder, LogSource(log), quiet),
            clock_ms=now_ms,
            version="test",
            signatures=signatures,
            files=files or UnsyncedFiles(),
        )


def digest_of(data: Path) -> str:
    """What the state of a data folder comes to, made anew from its log."""
    return fold_folder(data, now_ms, lambda done, total: None).digest
