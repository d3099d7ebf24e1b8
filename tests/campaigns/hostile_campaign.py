"""Hostile clients against a real server, while an honest one goes on writing and reading: prints a table.

Everything is on the loopback address and bounded: sockets, bytes and seconds.
The limits of time are shorter than a server's defaults, so that the campaign is.

    python -m tests.campaigns.hostile_campaign [--scale 1.0] [--only NAME ...]
"""

import argparse
import asyncio
import gzip
import http.client
import multiprocessing
import re
import resource
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.envelopes import claim
from tests.support.http import call, connect, exchange
from tests.support.malformed import BAD_CHUNKS, CHUNKED, MALFORMED, POST
from tests.support.servers import Server

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENVIRONMENT: Final = {
    "EPISTEME_HEADER_S_MAX": "2",
    "EPISTEME_BODY_S_MAX": "3",
    "EPISTEME_IDLE_S_MAX": "3",
    "EPISTEME_STREAM_WRITE_S_MAX": "3",
}
ATTACK_S: Final = 30.0  # no attack goes on longer
FILES_WANTED: Final = 12_000
BOMB_BYTES: Final = 256 * 1024 * 1024
READ_BYTES: Final = 65_536
TRICKLE_S: Final = 0.2
STALL_S: Final = 8.0  # more than twice what the settings above grant
SEEDED_COUNT: Final = 10_000  # more than sockets hold
CONNECT_S: Final = 2.0
LEAST_S: Final = 5.0  # an attack that is over sooner is made again
OUTCOME_CHARS: Final = 90
STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3}) ")
STATUS_BYTES: Final = len(b"HTTP/1.1 200 ")

Outcome = str
Attack = Callable[["Target", float], Awaitable[Counter[Outcome]]]


class Target(NamedTuple):
    """Where the server listens."""

    host: str
    port: int


class Rounds(NamedTuple):
    """What an honest client met."""

    latencies_ms: list[float]
    failures: int  # the connection was closed on it; it sent the same again
    refused: int  # it was told to come back


class Row(NamedTuple):
    """What came of one attack."""

    what: str
    outcomes: Counter[Outcome]
    seconds: float
    honest: Rounds
    memory_mb: float


# Attacks: each gives how its connections ended


async def nothing(_target: Target, scale: float) -> Counter[Outcome]:
    """nobody else"""
    await asyncio.sleep(LEAST_S * scale)
    return Counter({"no connection": 1})


async def slow_headers(target: Target, scale: float) -> Counter[Outcome]:
    """500 connections send a header a byte at a time"""
    head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: "
    return await many(int(500 * scale), lambda: trickle(target, head))


async def slow_bodies(target: Target, scale: float) -> Counter[Outcome]:
    """300 connections send a body a byte at a time"""
    head = b"POST /v1/assertions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
    return await many(int(300 * scale), lambda: trickle(target, head))


async def idle_sockets(target: Target, scale: float) -> Counter[Outcome]:
    """3,000 connections say nothing"""
    return await many(int(3_000 * scale), lambda: say(target, b""))


async def large_headers(target: Target, scale: float) -> Counter[Outcome]:
    """300 requests with 300 kB of headers"""
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(300))
    request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n"
    return await many(int(300 * scale), lambda: say(target, request))


async def gzip_bombs(target: Target, scale: float) -> Counter[Outcome]:
    """40 bodies in gzip of 256 KiB that unpack to 256 MiB"""
    return await many(int(40 * scale), lambda: say(target, bomb(b"gzip", GZIP_BOMB)))


async def zstd_bombs(target: Target, scale: float) -> Counter[Outcome]:
    """40 bodies in zstd of 8 KiB that unpack to 256 MiB"""
    return await many(int(40 * scale), lambda: say(target, bomb(b"zstd", ZSTD_BOMB)))


async def ten_thousand(target: Target, scale: float) -> Counter[Outcome]:
    """10,000 connections at once, each begins a request"""
    return await many(int(10_000 * scale), lambda: say(target, b"", first=b"GET /livez HTTP/1.1\r\nHost:"))


async def pipelining(target: Target, scale: float) -> Counter[Outcome]:
    """100 connections send 10,000 requests each and wait for no answer"""
    flood = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10_000
    return await many(int(100 * scale), lambda: say(target, flood))


async def malformed(target: Target, scale: float) -> Counter[Outcome]:
    """each malformed request of the tests 50 times"""
    every = [*MALFORMED.values(), *(POST + CHUNKED + b"\r\n" + chunks for chunks in BAD_CHUNKS.values())]
    requests = iter(every * max(1, int(50 * scale)))
    return await many(len(every) * max(1, int(50 * scale)), lambda: say(target, next(requests)))


async def unread_bodies(target: Target, scale: float) -> Counter[Outcome]:
    """100 bodies of 64 MiB, of which nothing is taken"""
    head = b"POST /v1/assertions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 67108864\r\n\r\n"
    return await many(int(100 * scale), lambda: say(target, head + bytes(1024 * 1024), times=64))


async def stalled_readers(target: Target, scale: float) -> Counter[Outcome]:
    """200 readers of the log's tail, with 10,000 events behind, who read nothing"""
    lines = b"\n".join(claim("many", timestamp=number) for number in range(int(SEEDED_COUNT * scale)))
    url = f"http://{target.host}:{target.port}"
    await asyncio.to_thread(call, url, "POST", "/v1/ingest", lines)
    request = b"GET /v1/log/tail HTTP/1.1\r\nHost: localhost\r\n\r\n"
    return await many(int(200 * scale), lambda: stall(target, request))


ATTACKS: Final[dict[str, Attack]] = {
    "none": nothing,
    "slow-headers": slow_headers,
    "slow-bodies": slow_bodies,
    "idle-sockets": idle_sockets,
    "large-headers": large_headers,
    "gzip-bombs": gzip_bombs,
    "zstd-bombs": zstd_bombs,
    "10,000-connections": ten_thousand,
    "pipelining": pipelining,
    "malformed": malformed,
    "unread-bodies": unread_bodies,
    "stalled-readers": stalled_readers,
}
GZIP_BOMB: Final = gzip.compress(bytes(BOMB_BYTES // 16), 9) * 16  # members follow one another
ZSTD_BOMB: Final = zstd.compress(bytes(BOMB_BYTES), 3)


def bomb(coding: bytes, body: bytes) -> bytes:
    head = b"POST /v1/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (coding, len(body)) + body


async def many(count: int, attack: Callable[[], Awaitable[Outcome]]) -> Counter[Outcome]:
    """All at once, for at most ATTACK_S."""
    tasks = [asyncio.ensure_future(one(attack)) for _ in range(max(1, count))]
    done, late = await asyncio.wait(tasks, timeout=ATTACK_S)
    for task in late:
        task.cancel()
    return Counter(task.result() for task in done) + Counter({"still open": len(late)})


async def one(attack: Callable[[], Awaitable[Outcome]]) -> Outcome:
    try:
        return await attack()
    except OSError:
        return "not connected, or cut while it spoke"


async def say(target: Target, request: bytes, *, times: int = 1, first: bytes = b"") -> Outcome:
    """Send first at once, then the request so many times over, and read to the end of the connection."""
    async with opened(target, first=first) as (reader, writer):
        sending = asyncio.ensure_future(send_all(writer, request, times))
        try:
            return await answers(reader)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def send_all(writer: asyncio.StreamWriter, request: bytes, times: int) -> None:
    for _ in range(times):
        writer.write(request)
        await writer.drain()


async def trickle(target: Target, head: bytes) -> Outcome:
    """Send the beginning of a request, then a byte now and then, until there is an answer or an end."""
    async with opened(target) as (reader, writer):
        writer.write(head)
        reading = asyncio.ensure_future(answers(reader))
        while not reading.done():
            writer.write(b"x")
            await asyncio.wait([reading], timeout=TRICKLE_S)
        return await reading


async def stall(target: Target, request: bytes) -> Outcome:
    """Ask for a stream and read nothing for longer than the server grants; then see whether it goes on."""
    async with opened(target, receive_bytes=4096) as (reader, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]  (of every transport that reads)
        writer.write(request)
        await asyncio.sleep(STALL_S)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        try:
            async with asyncio.timeout(1):
                return "cut: " + await answers(reader)
        except TimeoutError:
            return "all of it was in its socket"


async def answers(reader: asyncio.StreamReader) -> Outcome:
    """The statuses of all answers, and how the connection ended."""
    had, statuses, end = b"", Counter[str](), "closed"
    try:
        while part := await reader.read(READ_BYTES):
            had += part
            statuses.update(match[1].decode() for match in STATUS.finditer(had))
            had = had[-STATUS_BYTES + 1 :]
    except ConnectionError:
        end = "reset"
    told = " ".join(f"{status}×{count}" for status, count in sorted(statuses.items()))
    return f"{told or 'no answer'}, {end}"


@asynccontextmanager
async def opened(
    target: Target, *, receive_bytes: int = READ_BYTES, first: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection.  receive_bytes: how much the system takes for a client that does not read.  first: said at once."""
    connection = socket.socket()
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(CONNECT_S)
        connection.connect(target)  # at once, and what is said too: this loop has thousands of others to turn to
        connection.send(first)
        connection.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
    finally:
        connection.close()


class Honest:
    """Writes a claim and reads it, again and again, in a process of its own, until it is told to stop."""

    def __init__(self, url: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=be_honest, args=(url, theirs))
        self._process.start()
        assert self._ours.recv() == "ready"

    def stop(self) -> Rounds:
        """End it, and give what it met."""
        self._ours.send("stop")
        found: Rounds = self._ours.recv()
        self._process.join()
        return found


def be_honest(url: str, pipe: Connection) -> None:
    latencies_ms: list[float] = []
    failures = refused = 0
    connection = connect(url)
    pipe.send("ready")
    while not pipe.poll():
        began_s = time.perf_counter()
        body = claim("honest", timestamp=time.time_ns() // 1000)
        try:
            written = exchange(connection, "POST", "/v1/assertions?wait=5s", body)
            is_well = written.status in (200, 201, 202)
            if is_well:
                read = exchange(connection, "GET", f"/v1/assertions/{written.json()['hash']}")
                is_well = read.status == 200
            refused += not is_well
        except (OSError, http.client.HTTPException):
            failures += 1
            connection.close()
        latencies_ms.append((time.perf_counter() - began_s) * 1000)
    connection.close()
    pipe.send(Rounds(latencies_ms, failures, refused))


class Memory:
    """The most that a process has taken in memory meanwhile, in MB."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._clear = Path(f"/proc/{pid}/clear_refs")

    def begin(self) -> None:
        """Forget what it was before."""
        with suppress(OSError):
            self._clear.write_text("5")

    def most_mb(self) -> float:
        lines = dict(line.split(":", 1) for line in self._status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024


def run(folder: Path, scale: float, names: list[str]) -> list[Row]:
    """The attacks, one after the other, on one server, which must be well at the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, FILES_WANTED)), hard))
    rows = []
    with Server(folder / "data", environ=ENVIRONMENT) as server:
        server.wait_listening()
        memory = Memory(server.pid)
        for name in names:
            rows.append(attack(server, memory, name, scale))
            print(line_of(rows[-1]), flush=True)
        assert call(server.url, "GET", "/readyz").status == 200, "the server is not well"
        ended = server.stop()
    assert ended.code == 0, ended.output
    assert "Traceback" not in ended.output, ended.output
    print(f"the server said {len(ended.output.splitlines())} lines in all")
    return rows


def attack(server: Server, memory: Memory, name: str, scale: float) -> Row:
    memory.begin()
    honest = Honest(server.url)
    began_s = time.monotonic()
    outcomes = Counter[Outcome]()
    while time.monotonic() - began_s < LEAST_S * scale or not outcomes:
        outcomes += asyncio.run(ATTACKS[name](Target("127.0.0.1", server.port), scale))
    seconds = time.monotonic() - began_s
    what = (ATTACKS[name].__doc__ or "").strip()
    return Row(what, outcomes, seconds, honest.stop(), memory.most_mb())


def line_of(row: Row) -> str:
    """A row of a table in Markdown."""
    ended = "; ".join(f"{count:,}: {outcome}" for outcome, count in row.outcomes.most_common(3))
    ordered = sorted(row.honest.latencies_ms)
    shown = [f"{ordered[min(len(ordered) - 1, int(len(ordered) * part))]:.0f}" for part in (0.5, 0.99, 1)]
    return (
        f"| {row.what} | {ended[:OUTCOME_CHARS] or '-'} | {row.seconds:.0f} s | {len(ordered):,} "
        f"| {' / '.join(shown)} ms | {row.honest.failures} / {row.honest.refused} | {row.memory_mb:.0f} MB |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each attack")
    parser.add_argument("--only", nargs="*", choices=list(ATTACKS), default=list(ATTACKS))
    arguments = parser.parse_args()
    print("| attack | how its connections ended | took | honest rounds | p50 / p99 / most | cut / refused | memory |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), arguments.scale, arguments.only)


if __name__ == "__main__":
    main()
