"""A load generator that is not the bottleneck: raw HTTP/1.1 over uvloop, bodies made beforehand.

    python -m bench.load HOST PORT CONNECTIONS FILE

FILE holds whole requests, each preceded by its length as u32 little endian.
Every connection sends its next request when the answer to the last one is
whole.  Prints one JSON object: count, seconds, statuses, latencies in microseconds.
"""

import asyncio
import json
import struct
import sys
import time
from collections import Counter
from pathlib import Path

import uvloop

SECONDS_MAX = 120.0


class Connection(asyncio.Protocol):
    """One closed loop: request, answer, next request."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.buffer = b""
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        request = next(self.load.requests, None)
        if request is None:
            self.transport.close()
            self.load.finished()
            return
        self.sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        lower = self.buffer[:head].lower()
        start = lower.find(b"content-length: ")
        size = int(lower[start + 16 :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        if len(self.buffer) < head + 4 + size:
            return
        self.load.answered(self.buffer[9:12], time.perf_counter() - self.sent_at)
        self.buffer = self.buffer[head + 4 + size :]
        self.send()


class Load:
    def __init__(self, requests: list[bytes], connections: int) -> None:
        self.requests = iter(requests)
        self.open = connections
        self.statuses: Counter[bytes] = Counter()
        self.latencies: list[float] = []
        self.done = asyncio.get_running_loop().create_future()

    def answered(self, status: bytes, seconds: float) -> None:
        self.statuses[status] += 1
        self.latencies.append(seconds)

    def finished(self) -> None:
        self.open -= 1
        if self.open == 0:
            self.done.set_result(None)


def read_requests(path: Path) -> list[bytes]:
    data, requests, offset = path.read_bytes(), [], 0
    while offset < len(data):
        (size,) = struct.unpack_from("<I", data, offset)
        requests.append(data[offset + 4 : offset + 4 + size])
        offset += 4 + size
    return requests


async def run(host: str, port: int, connections: int, requests: list[bytes]) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    load = Load(requests, connections)
    started = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(load), host, port)
    await asyncio.wait_for(load.done, SECONDS_MAX)
    seconds = time.perf_counter() - started
    ordered = sorted(load.latencies)
    return {
        "count": len(ordered),
        "seconds": seconds,
        "per_second": len(ordered) / seconds,
        "statuses": {status.decode(): count for status, count in sorted(load.statuses.items())},
        "p50_us": ordered[len(ordered) // 2] * 1e6,
        "p99_us": ordered[len(ordered) * 99 // 100] * 1e6,
    }


if __name__ == "__main__":
    host, port, connections, file = sys.argv[1:]
    found = uvloop.run(run(host, int(port), int(connections), read_requests(Path(file))))
    print(json.dumps(found))
