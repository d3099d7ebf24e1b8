"""episteme bench: a quick look at how fast this machine is, beside what limits it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import ip_address
from itertools import count, islice
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer
from msgspec import Struct

from episteme.cli.output import Output, chosen, fail, print_list, print_table, talk
from episteme.cli.session import OutputOption, server
from episteme.client import Client
from episteme.errors import CannotOpen, EpistemeError
from episteme.keys import Key
from model import Assertion, SignedEvent, TextValue, sign_event

_LISTENING: Final = "listening on "
_FSYNCS: Final = 50
_BLOCK: Final = b"\0" * 4096
_SIGNED_MAX: Final = 20_000  # what one measurement may write: a bench is no load test
_SUBJECTS: Final = 100
_START_MS: Final = 1_735_689_600_000  # the claims are of 2025: what they say matters to nobody
_STOP_WAIT_S: Final = 30.0


class Measured(Struct, frozen=True):
    """One line: how often it was done, how often a second, and what one took."""

    what: str
    count: int
    per_second: int
    median_ms: float
    p99_ms: float


def bench(
    url: Annotated[
        str | None,
        typer.Option("--url", help="Measure this server, whose log keeps what is written. [default: a throw-away one]"),
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, max=60, help="For each measurement.")] = 2.0,
    connections: Annotated[
        int, typer.Option("--connections", min=1, max=64, help="For what is done by many at a time.")
    ] = 8,
    remote: Annotated[bool, typer.Option("--remote", help="Allow a --url that is not on this machine.")] = False,
    output: OutputOption = None,
) -> None:
    """Measure signing, writing and reading for a few seconds, beside what the disk and the processor allow.

    The load comes from this process, so on a small machine it takes a share of what it measures.
    """
    if url is not None and not remote and not _is_loopback(url):
        raise typer.BadParameter(
            f"{url} is not on this machine, and a bench writes thousands of claims that stay: say --remote if that is "
            "meant",
            param_hint="--url",
        )
    with TemporaryDirectory(prefix="episteme-bench-") as folder:
        try:
            limits = [_fsync(Path(folder)), *_cryptography(seconds / 4)]
            with _server(url, Path(folder)) as address:
                measured = [*limits, *_measured(address, seconds, connections)]
        except EpistemeError as error:
            fail(error)
    _print(measured, chosen(output), connections)


def _measured(url: str, seconds: float, connections: int) -> Iterator[Measured]:
    key = Key.generate()
    claims = _claims(key)
    with server(url) as client:
        yield _timed("write, one connection", seconds, lambda: client.submit(next(claims)))
        yield _timed("write and read it back", seconds, lambda: client.submit(next(claims), wait_s=10))
        yield _timed("read an answer", seconds, lambda: client.query("bench 1", "is"))
        yield _ingested(client, claims, seconds)
    signed = list(islice(claims, min(_SIGNED_MAX, int(2000 * seconds))))
    yield _together(f"write, {connections} connections", seconds, connections, url, iter(signed))


def _timed(what: str, seconds: float, act: Callable[[], object]) -> Measured:
    act()
    times_s: list[float] = []
    end_s = time.perf_counter() + seconds
    while time.perf_counter() < end_s and len(times_s) < _SIGNED_MAX:
        started_s = time.perf_counter()
        act()
        times_s.append(time.perf_counter() - started_s)
    return _summed(what, times_s, sum(times_s))


def _together(what: str, seconds: float, connections: int, url: str, signed: Iterator[SignedEvent]) -> Measured:
    end_s = time.perf_counter() + seconds

    def work(_number: int) -> list[float]:
        times_s = []
        with server(url) as client:
            while time.perf_counter() < end_s and (event := next(signed, None)) is not None:
                started_s = time.perf_counter()
                client.submit(event)
                times_s.append(time.perf_counter() - started_s)
        return times_s

    started_s = time.perf_counter()
    with ThreadPoolExecutor(connections) as threads:
        times_s = [one for found in threads.map(work, range(connections)) for one in found]
    return _summed(what, times_s, time.perf_counter() - started_s)


def _ingested(client: Client, claims: Iterator[SignedEvent], seconds: float) -> Measured:
    """Signed here, sent in batches: how long a claim takes on the whole."""
    end_s = time.perf_counter() + seconds

    def until_then() -> Iterator[SignedEvent]:
        for event in islice(claims, _SIGNED_MAX):
            if time.perf_counter() > end_s:
                return
            yield event

    started_s = time.perf_counter()
    done = sum(1 for _ in client.ingest(until_then()))
    took_s = time.perf_counter() - started_s
    return _summed("ingest, signing included", [took_s / max(done, 1)] * done, took_s)


def _summed(what: str, times_s: list[float], took_s: float) -> Measured:
    if not times_s:
        return Measured(what, 0, 0, 0.0, 0.0)
    p99_s = quantiles(times_s, n=100)[98] if len(times_s) > 1 else times_s[0]
    rate = round(len(times_s) / max(took_s, 1e-9))
    return Measured(what, len(times_s), rate, round(median(times_s) * 1000, 4), round(p99_s * 1000, 4))


def _fsync(folder: Path) -> Measured:
    """What the disk under the temporary folder takes for 4 KiB."""
    times_s = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(_FSYNCS):
            started_s = time.perf_counter()
            file.write(_BLOCK)
            os.fsync(file.fileno())
            times_s.append(time.perf_counter() - started_s)
    return _summed("limit: write 4 KiB and fsync", times_s, sum(times_s))


def _cryptography(seconds: float) -> Iterator[Measured]:
    claims = _claims(Key.generate())
    signed = next(claims)
    yield _timed("limit: sign a claim", seconds, lambda: next(claims))
    yield _timed("limit: verify a signature", seconds, signed.verify)


def _claims(key: Key) -> Iterator[SignedEvent]:
    for number in count():
        event = Assertion(
            v=2,
            subject=f"bench {number % _SUBJECTS}",
            predicate="is",
            object=TextValue(f"value {number}"),
            confidence="0.5",
            source_class="anecdotal",
            lifecycle="approved",
            timestamp=_START_MS + number,
        )
        yield sign_event(event, key)


@contextmanager
def _server(url: str | None, folder: Path) -> Iterator[str]:
    """The address of the server that is measured."""
    if url is not None:
        yield url
        return
    arguments = ["serve", "--data", str(folder / "data"), "--port", "0", "--no-quotas"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("EPISTEME_")}
    process = subprocess.Popen(  # noqa: S603  (this program itself)
        [sys.executable, "-m", "episteme", *arguments], stderr=subprocess.PIPE, text=True, env=environ
    )
    try:
        yield _address(process)
    finally:
        process.terminate()
        process.communicate(timeout=_STOP_WAIT_S)


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None, "it is a pipe"
    said = []
    for line in process.stderr:
        if line.startswith(_LISTENING):
            return line.removeprefix(_LISTENING).strip()
        said.append(line.strip())
    raise CannotOpen(f"the throw-away server did not start: {'; '.join(said[-3:])}")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _print(measured: list[Measured], output: Output, connections: int) -> None:
    if output is not Output.TABLE:
        print_list(measured, output)
        return
    print_table(
        ("what", "count", "a second", "median ms", "p99 ms"),
        [
            (one.what, f"{one.count:,}", f"{one.per_second:,}", f"{one.median_ms:.3f}", f"{one.p99_ms:.3f}")
            for one in measured
        ],
        right=("count", "a second", "median ms", "p99 ms"),
    )
    talk.print(
        f"a write is one fsync, one verification and the way there and back; {connections} connections share fsyncs",
        markup=False,
    )
