"""How fast net-mesh's durable log (RedEX) is from Python: frames of 256 B a second, printed as one JSON object.

python bench/net_mesh_peer.py FOLDER

A script for a Python of its own, one that has net-mesh: it needs nothing of ours. It writes under FOLDER only and
removes what it wrote. Without net-mesh it says so and ends with code 3.
"""

import argparse
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FRAME = b"\xa5" * 256
BATCH = 64
PAGE = 256
SECONDS = 1.0
MOST_SYNCED = 20_000
MOST_APPENDED = 400_000
TO_READ = 100_000
MOST_READ = 4_000_000
NOT_INSTALLED = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    redex = redex_class()
    folder.mkdir(parents=True, exist_ok=True)
    measures: dict[str, Callable[[Any, Path], float]] = {
        "append_sync": append_sync_rate,
        "append": append_rate,
        "append_batch_64": append_batch_rate,
        "read": read_rate,
    }
    print(json.dumps({name: round(measured(redex, folder, measure), 1) for name, measure in measures.items()}))


def redex_class() -> Any:
    """The distribution net-mesh installs the module `net`, and another one may have taken that name."""
    try:
        return importlib.import_module("net").Redex
    except (ImportError, AttributeError) as error:
        print(f"net_mesh_peer: net-mesh is not installed for {sys.executable}: {error}", file=sys.stderr)
        raise SystemExit(NOT_INSTALLED) from None


def measured(redex: Any, folder: Path, measure: Callable[[Any, Path], float]) -> float:
    """One measurement on a log of its own."""
    with tempfile.TemporaryDirectory(prefix="redex-", dir=folder) as fresh:
        return measure(redex, Path(fresh))


@contextmanager
def opened(redex: Any, folder: Path) -> Iterator[Any]:
    """The log in this folder. No fsync policy is named, which means fsync in close() and sync() alone."""
    log = redex(persistent_dir=str(folder)).open_file("bench/log", persistent=True)
    try:
        yield log
    finally:
        log.close()


def append_sync_rate(redex: Any, folder: Path) -> float:
    """Durable before the next one starts.

    By sync() after each append: it has fsynced all three files of the log (payloads, index, times) when it returns. The
    policy fsync_every_n=1 promises less: a thread behind it fsyncs some time after append() has returned.
    """
    with opened(redex, folder) as log:

        def append() -> int:
            log.append(FRAME)
            log.sync()
            return 1

        return written_rate(log, folder, append, MOST_SYNCED)


def append_rate(redex: Any, folder: Path) -> float:
    """Each append is three writes, to the three files, before it returns; none is fsynced."""
    with opened(redex, folder) as log:

        def append() -> int:
            for _ in range(BATCH):
                log.append(FRAME)
            return BATCH

        return written_rate(log, folder, append, MOST_APPENDED)


def append_batch_rate(redex: Any, folder: Path) -> float:
    """Three writes for the whole batch."""
    frames = [FRAME] * BATCH
    with opened(redex, folder) as log:

        def append() -> int:
            log.append_batch(frames)
            return BATCH

        return written_rate(log, folder, append, MOST_APPENDED)


def written_rate(log: Any, folder: Path, append: Callable[[], int], most: int) -> float:
    """The rate, if the log and its files hold all that was appended."""
    frames, seconds = repeated(append, most)
    assert len(log) == frames, (len(log), frames)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert size > frames * len(FRAME), (size, frames)
    return frames / seconds


def read_rate(redex: Any, folder: Path) -> float:
    """From the first to the last frame, over and over; each payload is made a bytes object.

    Opening, not measured here, has loaded the whole log: what is read comes from memory.
    """
    with opened(redex, folder) as log:
        for _ in range(0, TO_READ, PAGE):
            log.append_batch([FRAME] * PAGE)
    with opened(redex, folder) as log:
        starts = range(0, TO_READ, PAGE)

        def read() -> int:
            return sum(len(event.payload) for start in starts for event in log.read_range(start, start + PAGE))

        size, seconds = repeated(read, MOST_READ * len(FRAME))
        assert size % (len(starts) * PAGE * len(FRAME)) == 0, size
        return size / len(FRAME) / seconds


def repeated(step: Callable[[], int], most: int) -> tuple[int, float]:
    """Steps until the time is over or the sum of what they return reaches the bound: the sum, and the seconds taken."""
    done, started = 0, time.perf_counter()
    while (seconds := time.perf_counter() - started) < SECONDS and done < most:
        done += step()
    return done, seconds


if __name__ == "__main__":
    main()
