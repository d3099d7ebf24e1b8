"""What recording every answer costs: queries with the audit and without it, over HTTP and in process.

    python -m bench.audit [--runs 5] [--json FILE]

Two databases of the same claims, one that audits; what is measured goes from one to the other and
back, so what disturbs the machine disturbs both.  Queries are about 200 pairs of ten claims, each answered by
its view, which is the quickest answer there is and so the dearest to audit.  Medians of the runs.  Processor time is
of all threads of the database, the audit's and RocksDB's included.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.work import claims, load, scratch, write_requests
from episteme import Node
from episteme.audit import AuditOptions
from episteme.config import NodeConfig

PAIRS = 200
CLAIMS = 2000
MANY = 15_000  # over 64 connections
FEW = 3000  # over one
IN_PROCESS = 15_000
CONNECTIONS = 64
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
AUDITS = AuditOptions(enabled=True, queue_count_max=1_000_000)  # none is dropped: what is measured is all of it


class Measured(NamedTuple):
    """Queries a second, and processor time of one in microseconds."""

    per_second: float
    cpu_us: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: dict[str, dict[bool, list[Measured]]] = {}
    with scratch() as folder:
        fill(folder / "off")
        shutil.copytree(folder / "off", folder / "on")
        over_http(folder, options.runs, rows)
        in_process(folder, options.runs, rows)
    report(rows, options.json)


def fill(data: Path) -> None:
    with Node.open(data) as node:
        *_, last = node.ingest(claims(CLAIMS))
        assert last.seq is not None
        assert node.wait_applied(last.seq, 30.0)


def over_http(folder: Path, runs: int, rows: dict[str, dict[bool, list[Measured]]]) -> None:
    many, few = folder / "many", folder / "few"
    write_requests(many, gets(MANY))
    write_requests(few, gets(FEW))
    for run in range(runs):
        talk(f"HTTP, run {run + 1} of {runs}")
        with ExitStack() as opened:
            servers = {on: opened.enter_context(server(folder / ("on" if on else "off"), on)) for on in (False, True)}
            for port, _ in servers.values():
                load(port, CONNECTIONS, few)  # so that all is loaded
            for name, connections, file, count in (
                ("GET /v1/query, 64 connections", CONNECTIONS, many, MANY),
                ("GET /v1/query, 1 connection", 1, few, FEW),
            ):
                for on in order(run):
                    port, pid = servers[on]
                    note(rows, name, on, http_rate(port, pid, connections, file, count))


def http_rate(port: int, pid: int, connections: int, file: Path, count: int) -> Measured:
    before = cpu_s(pid)
    found = load(port, connections, file)
    assert found["statuses"] == {"200": count}, found["statuses"]
    return Measured(float(found["per_second"]), (cpu_s(pid) - before) / count * 1e6)


def in_process(folder: Path, runs: int, rows: dict[str, dict[bool, list[Measured]]]) -> None:
    with ExitStack() as opened:
        nodes = {
            on: opened.enter_context(
                Node.open(folder / ("on" if on else "off"), config=NodeConfig(audit=AUDITS if on else AuditOptions()))
            )
            for on in (False, True)
        }
        for run in range(runs):
            talk(f"in process, run {run + 1} of {runs}")
            for name, full, count in (("node.query, view", False, IN_PROCESS), ("node.query, full read", True, 3000)):
                for on in order(run):
                    note(rows, name, on, node_rate(nodes[on], count, full=full))


def node_rate(node: Node, count: int, *, full: bool) -> Measured:
    cpu, started = time.process_time(), time.perf_counter()
    for number in range(count):
        node.query(f"subject-{number % PAIRS:06d}", "measured_value", full=full)
    seconds = time.perf_counter() - started
    node.audits(limit=1)  # all are written and folded, which belongs to their processor time
    return Measured(count / seconds, (time.process_time() - cpu) / count * 1e6)


@contextmanager
def server(data: Path, on: bool) -> Iterator[tuple[int, int]]:
    """A server's port and process."""
    arguments = ["serve", "--data", str(data), "--port", "0", "--audit" if on else "--no-audit"]
    process = subprocess.Popen([sys.executable, "-m", "episteme", *arguments], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "listening on " in line:
                yield int(line.rsplit(":", 1)[1]), process.pid
                break
        else:
            raise AssertionError("the server ended before it listened")
    finally:
        process.terminate()
        process.wait(timeout=60)
        process.stderr.close()


def cpu_s(pid: int) -> float:
    """What a process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def gets(count: int) -> Iterator[bytes]:
    for number in range(count):
        path = f"/v1/query?subject=subject-{number % PAIRS:06d}&predicate=measured_value"
        yield f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def order(run: int) -> tuple[bool, bool]:
    """Which comes first changes from run to run."""
    return (False, True) if run % 2 == 0 else (True, False)


def note(rows: dict[str, dict[bool, list[Measured]]], name: str, on: bool, measured: Measured) -> None:
    rows.setdefault(name, {False: [], True: []})[on].append(measured)


def report(rows: dict[str, dict[bool, list[Measured]]], file: Path | None) -> None:
    found = {}
    print(f"{'':32} {'off /s':>8} {'on /s':>8} {'ratio':>6} {'off us':>7} {'on us':>7} {'ratio':>6}")
    for name, measured in rows.items():
        rate, cpu = median_of(measured, lambda one: one.per_second), median_of(measured, lambda one: one.cpu_us)
        found[name] = {"off": rate[0], "on": rate[1], "cpu_us_off": cpu[0], "cpu_us_on": cpu[1]}
        print(
            f"{name:32} {rate[0]:8,.0f} {rate[1]:8,.0f} {rate[1] / rate[0]:6.2f} "
            f"{cpu[0]:7.0f} {cpu[1]:7.0f} {cpu[0] / cpu[1]:6.2f}"
        )
    if file is not None:
        file.write_text(json.dumps(found, indent=1) + "\n")


def median_of(measured: dict[bool, list[Measured]], part: Callable[[Measured], float]) -> tuple[float, float]:
    off, on = (statistics.median(part(one) for one in measured[key]) for key in (False, True))
    return off, on


def talk(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
