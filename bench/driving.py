"""Measurements of one server over HTTP, the same for ours, for the bare application and for peers that are services."""

from pathlib import Path
from typing import Any, Final

from bench.measured import Measured
from bench.work import Server, load

MANY: Final = 64
INGESTS: Final = 4  # in flight
OPEN: Final = 256  # connections of the open loop: enough that what waits waits for the server


def rate_over_many(
    server: Server, file: Path, warm: int, status: int, *, expect: str = "", readable: str = ""
) -> Measured:
    """Requests a second over 64 connections, all answered with this status and this text.

    readable: the path of a question; then it is noted how long after the last answer all is readable.
    """
    before = server.cpu_s()
    found = load(server.port, MANY, file, *_options(warm, expect), "--until-readable", readable)
    behind_s = found["until_readable_s"] - found["seconds"]
    return _measured(
        found,
        found["per_second"],
        status,
        (server.cpu_s() - before) / (found["count"] + warm),
        f"all readable {behind_s * 1e3:,.0f} ms later" if readable else "",
    )


def median_over_one(server: Server, file: Path, warm: int, status: int, *, expect: str = "") -> Measured:
    """The median, in seconds, of requests one after another over one connection."""
    before = server.cpu_s()
    found = load(server.port, 1, file, *_options(warm, expect))
    return _measured(found, found["p50_us"] / 1e6, status, (server.cpu_s() - before) / (found["count"] + warm))


def ingest_rate(server: Server, file: Path, last: str, *, claims: int) -> Measured:
    """Claims a second from the first byte of the first ingest until the last claim is readable.

    last: the path of the question about it.
    """
    before = server.cpu_s()
    found = load(server.port, INGESTS, file, "--expect", '"refused":0}', "--until-readable", last)
    _check(found, 200)
    behind_s = found["until_readable_s"] - found["seconds"]
    return Measured(
        claims / found["until_readable_s"],
        cpu_us=(server.cpu_s() - before) / claims * 1e6,
        load_us=found["load_us"] * found["count"] / claims,
        note=f"readable {behind_s * 1e3:,.0f} ms after the last answer",
    )


def readable_median(server: Server, file: Path, probes: Path, every: int, *, rate: float, seconds: float) -> Measured:
    """The median, in seconds, from the answer to a POST to that to a question about it, at so many POSTs a second."""
    found = load(
        *(server.port, OPEN, file, "--rate", str(rate), "--first", str(int(rate * seconds))),
        *("--probes", str(probes), "--every", str(every)),
    )
    _check(found, 202)
    return Measured(
        found["readable_p50_us"] / 1e6,
        found["readable_p99_us"] / 1e6,
        load_us=found["load_us"],
        note=(
            f"{rate:,.0f} /s offered, {found['per_second']:,.0f} answered, "
            f"sent {found['late_p99_us']:,.0f} us late (p99); "
            f"202 after {found['p50_us']:,.0f} us, p99 {found['p99_us']:,.0f}; {found['readable_count']} questions"
        ),
    )


def _options(warm: int, expect: str) -> tuple[str, ...]:
    return ("--warm", str(warm), "--expect", expect)


def _measured(found: dict[str, Any], value: float, status: int, cpu_s: float, note: str = "") -> Measured:
    _check(found, status)
    return Measured(value, found["p99_us"] / 1e6, cpu_s * 1e6, found["load_us"], note)


def _check(found: dict[str, Any], status: int) -> None:
    if found["statuses"].keys() != {str(status)}:
        raise RuntimeError(f"answers were {found['statuses']}, not all {status}")
