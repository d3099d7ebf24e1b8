"""Many subscribers of the tail while a lot is written: no gap, no repeat, and a stopped reader costs no memory.

    python -m tests.campaigns.tail_campaign --readers 64 --rate 5000 --seconds 30 [--seed N]

A real server; events that were signed beforehand go in through /v1/ingest at the rate, and subscribers in a process
of their own read them. An eighth of them hang up wherever they are and come back, an eighth stop reading until the
end. After that many more connect, begin at the beginning of the log, and take nothing: what the server has grown by
is what they cost. The suite runs a short version.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

from model import SigningKey, encode_envelope, sign_event
from tests.support.events import NOW_MS, make_assertion
from tests.support.http import log_seq
from tests.support.servers import Server

_KEY: Final = SigningKey(bytes(range(64, 96)))
_BATCH_S: Final = 0.1  # an ingest that often, of each writer
_WRITERS: Final = 4
_SUBJECTS: Final = 100_003  # so that no pair has many claims: this is about the log
_END_S_MAX: Final = 60.0
_SETTLE_S: Final = 2.0  # for what the last writes still cause


def campaign(folder: Path, *, readers: int, rate: int, seconds: float, seed: int, stopped: int = 256) -> dict[str, Any]:
    """Run it; what was seen.  stopped: how many more begin at the beginning and take nothing; 0: not looked at."""
    batch_count = max(1, round(rate * _BATCH_S / _WRITERS))
    batches = make_batches(round(seconds / _BATCH_S) * _WRITERS, batch_count)
    with Server.start(folder / "data") as server:
        eighth = readers // 8
        with _readers(server.port, readers - 2 * eighth, eighth, eighth, seed) as readers_process:
            before_bytes = resident_bytes(server.pid)
            started_s, cpu_started_s = time.monotonic(), cpu_s(server.pid)
            written = write_all(server, batches)
            writing_s = time.monotonic() - started_s
            while_bytes = resident_bytes(server.pid)
            used_s = cpu_s(server.pid) - cpu_started_s
            found = _finish(readers_process, log_seq(server.url))
        cost = cost_of_stopped(server, stopped, seed) if stopped else 0.0
        ended = server.stop()
        assert ended.code == 0, ended.output
        assert "Traceback" not in ended.output, ended.output
    return found | {
        "written": written,
        "written_per_s": round(written / writing_s),
        "server_cpu_us_an_event": round(used_s / written * 1e6),
        "lines_per_s": round(found["lines"] / writing_s),
        "server_mb_before": round(before_bytes / 1e6, 1),
        "server_mb_after": round(while_bytes / 1e6, 1),
        "kib_a_stopped_reader": round(cost / 1024, 1),
    }


def make_batches(count: int, size: int) -> list[bytes]:
    """NDJSON bodies of signed claims, all of them different."""
    numbers = iter(range(count * size))

    def claim(number: int) -> bytes:
        event = make_assertion(subject=f"tail:{number % _SUBJECTS}", timestamp=NOW_MS + number)
        return encode_envelope(sign_event(event, _KEY))

    return [b"\n".join(claim(next(numbers)) for _ in range(size)) for _ in range(count)]


def write_all(server: Server, batches: list[bytes]) -> int:
    """Ingest the bodies at the rate, or as fast as the server takes them; how many events that were."""
    accepted: list[int] = []

    def write(mine: list[bytes]) -> None:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=_END_S_MAX)
        due_s = time.monotonic()
        for body in mine:
            connection.request("POST", "/v1/ingest", body)
            summary = json.loads(connection.getresponse().read().splitlines()[-1])["summary"]
            accepted.append(summary["accepted"])
            due_s += _BATCH_S
            time.sleep(max(0.0, due_s - time.monotonic()))
        connection.close()

    threads = [threading.Thread(target=write, args=(batches[number::_WRITERS],)) for number in range(_WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(accepted)


def cost_of_stopped(server: Server, count: int, seed: int) -> float:
    """Bytes that the server grows by for each reader that begins at the beginning and takes nothing."""
    with _readers(server.port, 0, 0, 8, seed) as warm:  # what the first of them cost stays
        _finish(warm, log_seq(server.url))
    time.sleep(_SETTLE_S)
    before_bytes = resident_bytes(server.pid)
    with _readers(server.port, 0, 0, count, seed) as process:
        time.sleep(_SETTLE_S)
        cost = (resident_bytes(server.pid) - before_bytes) / count
        process.kill()
    return cost


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no VmRSS of {pid}")


def cpu_s(pid: int) -> float:
    """Seconds that a process has had a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _readers(port: int, steady: int, restless: int, stopped: int, seed: int) -> Iterator["subprocess.Popen[str]"]:
    """A process of connected readers."""
    arguments = map(str, (port, steady, restless, stopped, seed))
    command = [sys.executable, "-m", "tests.campaigns.tail_readers", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "connected\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def _finish(process: "subprocess.Popen[str]", end_seq: int) -> dict[str, Any]:
    """Tell them the last position, and what they found."""
    said, _ = process.communicate(f"{end_seq}\n", timeout=_END_S_MAX)
    found: dict[str, Any] = json.loads(said)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", type=int, default=64)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    with tempfile.TemporaryDirectory() as folder:
        found = campaign(Path(folder), readers=asked.readers, rate=asked.rate, seconds=asked.seconds, seed=asked.seed)
    print(json.dumps(found, indent=2))
    return 1 if found["gaps"] or found["repeats"] else 0


if __name__ == "__main__":
    sys.exit(main())
