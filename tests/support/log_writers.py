"""Writers of logs that take orders, in this process or in another, and readers beside them."""

import subprocess
import sys
from pathlib import Path
from select import select
from typing import Protocol

from tests.support.faulty_files import WAIT_S, FaultyFiles, UnsyncedFiles
from tests.support.logs import ALL, open_log
from wal import (
    FileLog,
    Files,
    Frame,
    LogOptions,
    ReadOnlyLog,
    Retention,
)

REPOSITORY = Path(__file__).parents[2]
POLL_S = 0.001


class Writer:
    """Orders in, answers out: `append 3`, `batch 3`, `begin`, `end`, `reopen`, `close`."""

    def __init__(
        self, folder: Path, segment_bytes: int = 2**20, kept_min: int = 0, durability: str = "durable"
    ) -> None:
        self.folder = folder
        self.files = FaultyFiles()
        self.options = LogOptions(
            segment_bytes=segment_bytes,
            reserve_bytes=100,
            retention=Retention(count_min=kept_min or None),
            durability="os" if durability == "os" else "durable",
        )
        self.log = self._open()

    def ask(self, order: str) -> int:
        name, *arguments = order.split()
        return int(getattr(self, name)(*map(int, arguments)))

    def append(self, count: int) -> int:
        """Each waited for; the answer is the next seq."""
        for _ in range(count):
            self.log.append(b"%d" % self.log.next_seq, 1).wait(WAIT_S)
        return self.log.next_seq

    def batch(self, count: int) -> int:
        start = self.log.next_seq
        self.log.append_batch([(1, b"%d" % seq) for seq in range(start, start + count)]).wait(WAIT_S)
        return self.log.next_seq

    def begin(self) -> int:
        """Append one frame whose fsync does not return; the answer is where the frame was written."""
        offset = self.log.size_bytes
        self.files.hold("sync")
        self.log.append(b"%d" % self.log.next_seq, 1)
        self.files.wait_held()
        return offset

    def end(self) -> int:
        self.files.release("sync")
        self.log.barrier().wait(WAIT_S)
        return self.log.next_seq

    def reopen(self) -> int:
        self.log.close()
        self.log = self._open()
        return self.log.epoch

    def close(self) -> int:
        self.log.close()
        return 0

    def _open(self) -> FileLog:
        return open_log(self.folder, files=self.files, options=self.options)


class MissingNames(UnsyncedFiles):
    """Listings that miss a name, as one may that is made while others come and go."""

    def __init__(self, name: str, count: int) -> None:
        self.name = name
        self.left = count

    def names(self, path: Path) -> list[str]:
        self.left -= 1
        return [name for name in super().names(path) if self.left < 0 or name != self.name]


class Asked(Protocol):
    def ask(self, order: str) -> int: ...


class MakeWriter(Protocol):
    def __call__(self, segment_bytes: int = ..., kept_min: int = ..., durability: str = ...) -> Asked: ...


class Child:
    """A function, named with its module, run in another process, that answers line by line."""

    def __init__(self, function: str, *arguments: object) -> None:
        module, _, name = function.rpartition(".")
        code = f"from {module} import {name}; {name}(*{[str(argument) for argument in arguments]!r})"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=REPOSITORY, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, order: str) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{order}\n")
        self.process.stdin.flush()
        return int(self.line())

    def line(self, timeout_s: float = WAIT_S) -> str:
        assert self.process.stdout is not None
        assert select([self.process.stdout], [], [], timeout_s)[0], f"no word within {timeout_s} s"
        return self.process.stdout.readline().strip()

    def end(self) -> int:
        self.process.communicate(timeout=WAIT_S)
        return self.process.returncode


def serve(folder: str, segment_bytes: str, kept_min: str, durability: str) -> None:
    """A writer that takes its orders from the standard input."""
    writer = Writer(Path(folder), int(segment_bytes), int(kept_min), durability)
    print("ready", flush=True)
    for order in sys.stdin:
        print(writer.ask(order), flush=True)


def look(folder: Path, files: Files | None = None) -> ReadOnlyLog:
    return ReadOnlyLog.open(folder, files=files, poll_s=POLL_S)


def whole(view: ReadOnlyLog) -> list[Frame]:
    frames: list[Frame] = []
    while page := view.read_from(view.first_seq + len(frames), count_max=7, bytes_max=ALL):
        frames += page
    return frames


def payloads(frames: list[Frame]) -> list[bytes]:
    return [frame.payload for frame in frames]


def numbers(start: int, end: int) -> list[bytes]:
    return [b"%d" % seq for seq in range(start, end)]


def contents_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(folder.iterdir())}
