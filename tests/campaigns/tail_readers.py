"""Many readers of one tail in a process of their own; every position must come to each of them once, in order.

    python -m tests.campaigns.tail_readers PORT STEADY RESTLESS STOPPED SEED

Steady ones read all. Restless ones hang up wherever they are, again and again, and come back with the last id that
was whole. Stopped ones read a little, then nothing until the end is known, then all the rest. A number on stdin is
the last position; when all have come to it, one JSON object is printed. Raw sockets, so that nothing is read ahead.
"""

import asyncio
import json
import random
import re
import sys
import time
from typing import Any, Final, cast

import uvloop

_LINE: Final = re.compile(rb"id: (\d+)\ndata: ")  # no line break stands in JSON, so this is no text of anybody
_REQUEST: Final = "GET /v1/log/tail HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {after}\r\n\r\n"
_STOPPED_AFTER_BYTES: Final = 4096
_READ_S: Final = (0.1, 1.5)  # how long a restless one stays
_AWAY_S: Final = (0.0, 0.5)
_LOOK_S: Final = 0.005
_END_S_MAX: Final = 40.0


class Reader(asyncio.Protocol):
    """One subscriber, over all its connections."""

    def __init__(self, port: int, *, generator: random.Random | None = None, stops: bool = False) -> None:
        """generator: of one that is restless."""
        self._port = port
        self._generator = generator
        self._stops = stops
        self._rest = b""
        self._received_bytes = 0
        self.position = -1
        self.repeats = 0
        self.gaps = 0
        self.connections = 0
        self.lines = 0

    async def connect(self) -> None:
        self.connections += 1
        self._rest = b""
        self._received_bytes = 0
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_REQUEST.format(after=self.position).encode())
        if self._generator is not None:
            asyncio.get_running_loop().call_later(self._generator.uniform(*_READ_S), self._hang_up)

    def data_received(self, data: bytes) -> None:
        self._received_bytes += len(data)
        if self._stops and self._received_bytes > _STOPPED_AFTER_BYTES:
            self._transport.pause_reading()
        whole, separator, self._rest = (self._rest + data).rpartition(b"\n\n")
        if not separator:
            return
        seqs = [int(seq) for seq in _LINE.findall(whole)]
        if not seqs:
            return
        if seqs != list(range(self.position + 1, self.position + 1 + len(seqs))):
            self._find_fault(seqs)
        self.lines += len(seqs)
        self.position = max(self.position, seqs[-1])

    def connection_lost(self, exc: Exception | None) -> None:
        away_s = self._generator.uniform(*_AWAY_S) if self._generator is not None else 0.0
        loop = asyncio.get_running_loop()
        loop.call_later(away_s, lambda: loop.create_task(self.connect()))

    def settle(self) -> None:
        """From here on read to the end, and stay."""
        self._generator = None
        if self._stops:
            self._stops = False
            self._transport.resume_reading()

    def _hang_up(self) -> None:
        if self._generator is not None:
            self._transport.abort()

    def _find_fault(self, seqs: list[int]) -> None:
        last = self.position
        for seq in seqs:
            self.repeats += seq <= last
            self.gaps += seq > last + 1
            last = max(last, seq)


async def run(port: int, steady: int, restless: int, stopped: int, seed: int) -> dict[str, Any]:
    readers = [Reader(port) for _ in range(steady)]
    fidgets = [Reader(port, generator=random.Random(seed + number)) for number in range(restless)]
    sleepers = [Reader(port, stops=True) for _ in range(stopped)]
    everybody = readers + fidgets + sleepers
    await asyncio.gather(*(reader.connect() for reader in everybody))
    print("connected", flush=True)
    end = int(await asyncio.to_thread(sys.stdin.readline))
    ended_s = time.monotonic()
    await _all_at(end, readers)
    steady_s = time.monotonic() - ended_s
    slept_at = [reader.position for reader in sleepers]
    for reader in everybody:
        reader.settle()
    await _all_at(end, everybody)
    return {
        "readers": len(everybody),
        "lines": sum(reader.lines for reader in everybody),
        "gaps": sum(reader.gaps for reader in everybody),
        "repeats": sum(reader.repeats for reader in everybody),
        "connections": sum(reader.connections for reader in everybody),
        "stopped_at_most_at": max(slept_at, default=-1),
        "steady_behind_s": round(steady_s, 3),
    }


async def _all_at(end: int, readers: list[Reader]) -> None:
    try:
        async with asyncio.timeout(_END_S_MAX):
            while any(reader.position < end for reader in readers):
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        at = [(reader.position, reader.connections) for reader in readers]
        raise AssertionError(f"not all came to {end}; positions and connections are {at}") from None


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(*map(int, sys.argv[1:])))), flush=True)
