"""What the machine can do at best: its disk, its processor, its HTTP server with nothing behind it."""

import multiprocessing
import os
import statistics
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Final

import nacl.bindings

from bench.inputs import claims
from bench.measured import Measured
from model import event_hash, signed_message

WRITES: Final = 1000
SEQUENTIAL_BYTES: Final = 128 * 2**20
BLOCK_BYTES: Final = 2**20


def fdatasync(path: Path, frame_bytes: int, count: int = WRITES, *, laid_out: bool = False) -> Measured:
    """Seconds, the median, of one write at the end of a file and its fdatasync: the disk's limit for one writer.

    laid_out: within a file whose blocks are written already, so that the disk is told of nothing but them.
    """
    handle, data, seconds = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), b"x" * frame_bytes, []
    if laid_out:
        os.write(handle, bytes(frame_bytes * count))
        os.fsync(handle)
        os.lseek(handle, 0, os.SEEK_SET)
    started = time.perf_counter()
    for _ in range(count):
        before = time.perf_counter()
        os.write(handle, data)
        os.fdatasync(handle)
        seconds.append(time.perf_counter() - before)
    rate = count / (time.perf_counter() - started)
    os.close(handle)
    path.unlink()
    return Measured(statistics.median(seconds), sorted(seconds)[count * 99 // 100], note=f"{rate:,.0f} /s")


def sequential_write(path: Path, size: int = SEQUENTIAL_BYTES) -> Measured:
    """Bytes a second of a new file, blocks of 1 MiB, and one fdatasync at its end."""
    handle, block = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), os.urandom(BLOCK_BYTES)
    started = time.perf_counter()
    for _ in range(size // BLOCK_BYTES):
        os.write(handle, block)
    os.fdatasync(handle)
    seconds = time.perf_counter() - started
    os.close(handle)
    path.unlink()
    return Measured(size / seconds)


def verifications(count: int, processes: int = 0) -> Measured:
    """Ed25519 verifications a second by libsodium, count in each of as many processes as there are cores.

    What is verified is as long as what an event's signature covers.
    """
    processes = processes or cores()
    context = multiprocessing.get_context("spawn")
    barrier, times = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=_verify, args=(count, barrier, times)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    spans = [times.get(timeout=60.0) for _ in workers]
    for worker in workers:
        worker.join()
    seconds = max(end for _, end in spans) - min(start for start, _ in spans)
    return Measured(processes * count / seconds, note=f"{processes} processes")


def cores() -> int:
    """Those that this process may run on."""
    return len(os.sched_getaffinity(0))


def _verify(count: int, barrier: Barrier, times: "multiprocessing.Queue[tuple[float, float]]") -> None:
    (claim,) = claims(1)
    message = claim.signatures[0].signature + signed_message(claim.event, event_hash(claim.event))
    agent = claim.signatures[0].agent
    barrier.wait(60.0)
    started = time.perf_counter()  # the system's monotonic clock, the same for all processes
    for _ in range(count):
        nacl.bindings.crypto_sign_open(message, agent)
    times.put((started, time.perf_counter()))
