"""Servers with workers: which processes there are, and connections to one of them or the other."""

import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from tests.support.http import call, connect, exchange
from tests.support.servers import WAIT_S, Server

COUNT: Final = 2
ARGUMENTS: Final = ("--port", "0", "--workers", str(COUNT))

_ATTEMPTS_MAX: Final = 64  # connections, each to a worker that the system picks


def worker_pids(server: Server) -> list[int]:
    """The processes that the server has started, whatever state they are in."""
    tasks = Path(f"/proc/{server.pid}/task").glob("*/children")
    return sorted(int(child) for task in tasks for child in task.read_text().split())


def another_worker(server: Server, known: Sequence[int]) -> int:
    """One that the server has started besides those; its program runs, whether or not it takes connections."""
    until_s = time.monotonic() + WAIT_S
    while True:
        for pid in worker_pids(server):
            # Until then it is the server's own copy, and the server waits for it to become another.
            if pid not in known and b"workers.process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        assert time.monotonic() < until_s, server.output


@contextmanager
def stopped(pid: int) -> Iterator[int]:
    """Stop a process; a descriptor that becomes readable when it ends, which it does by the end of this."""
    with watched([pid]) as [file]:
        signal.pidfd_send_signal(file, signal.SIGSTOP)
        try:
            yield file
        finally:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(file, signal.SIGKILL)


@contextmanager
def watched(pids: Sequence[int]) -> Iterator[list[int]]:
    """Descriptors that become readable when these processes end."""
    files = [os.pidfd_open(pid) for pid in pids]
    try:
        yield files
    finally:
        for file in files:
            os.close(file)


def wait_ended(files: Sequence[int]) -> None:
    """Return once all of watched processes have ended."""
    for file in files:
        ready, _, _ = select.select([file], [], [], WAIT_S)
        assert ready, "a process goes on"


def end(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a process a signal, and return once it has ended."""
    with watched([pid]) as files:
        os.kill(pid, number)
        wait_ended(files)


def metric(server: Server, name: str) -> float:
    """One that has no labels."""
    lines = call(server.url, "GET", "/metrics").body.decode().splitlines()
    return next(float(line.partition(" ")[2]) for line in lines if line.startswith(f"{name} "))


def wait_for_workers(server: Server, started: int) -> None:
    """Return once so many have been started in all, and as many take connections as there should be."""
    until_s = time.monotonic() + WAIT_S
    while (metric(server, "episteme_workers_started_total"), metric(server, "episteme_workers")) != (started, COUNT):
        assert time.monotonic() < until_s, server.output


def connections(server: Server) -> list[HTTPConnection]:
    """An open connection to each worker; the caller closes them."""
    found: dict[str, HTTPConnection] = {}
    for _ in range(_ATTEMPTS_MAX):
        connection = connect(server.url)
        process = exchange(connection, "GET", "/livez").headers["x-request-id"].partition("-")[0]
        if process in found:
            connection.close()
        else:
            found[process] = connection
        if len(found) == COUNT:
            return list(found.values())
    raise AssertionError(f"connections go to {len(found)} workers")
