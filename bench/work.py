"""What the measurements share: a server in a process of its own, the load process, a folder, processor time."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.inputs import claims as signed_claims
from bench.wire import get, post, read_requests, write_requests
from model import encode_envelope

__all__ = ["claims", "get", "load", "post", "process", "read_requests", "scratch", "serving", "write_requests"]

START_S = 30.0
STOP_S = 60.0
LOAD_S = 180.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Server(NamedTuple):
    """A process that listens, maybe with processes of its own."""

    port: int
    pid: int

    def cpu_s(self) -> float:
        """What it and its processes have used, all their threads together."""
        return sum(_cpu_s(pid) for pid in _family(self.pid))


def claims(count: int, start: int = 0) -> Iterator[bytes]:
    """Envelopes of distinct signed claims: 16 agents, ten claims a pair."""
    return map(encode_envelope, signed_claims(count, start))


def load(port: int, connections: int, requests: Path, *options: str) -> dict[str, Any]:
    """Run the load process against loopback; what it prints.

    Raises: RuntimeError with what it said, if it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "bench.load", str(port), str(connections), str(requests), *options],
        capture_output=True,
        text=True,
        timeout=LOAD_S,
    )
    if done.returncode:
        raise RuntimeError(last_words(done.stderr))
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def serving(arguments: Sequence[str], env: dict[str, str] | None = None) -> Iterator[Server]:
    """A server process, python -m arguments, that says where it listens; ended by SIGTERM."""
    server = subprocess.Popen(
        [sys.executable, "-m", *arguments], stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    )
    assert server.stderr is not None
    deadline, said = time.monotonic() + START_S, ""
    try:
        for line in server.stderr:
            if "listening on " in line:
                yield Server(int(line.strip().rsplit(":", 1)[1]), server.pid)
                break
            said += line
            assert time.monotonic() < deadline, "the server did not start"
        else:
            raise RuntimeError(f"the server ended before it listened: {last_words(said)}")
    finally:
        server.terminate()
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        server.stderr.close()


@contextmanager
def process(arguments: list[str], env: dict[str, str] | None = None) -> Iterator[int]:
    """The same; gives its port."""
    with serving(arguments, env) as server:
        yield server.port


@contextmanager
def episteme_server(folder: Path, *options: str) -> Iterator[Server]:
    """Ours, with its defaults but for these options."""
    with serving(["episteme", "serve", "--data", str(folder), "--port", "0", *options]) as server:
        yield server


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder beside the project, on the disk that data would be on."""
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=Path.cwd()) as folder:
        yield Path(folder)


def last_words(text: str) -> str:
    """Of what a process said, the last two lines of words: there it says why it failed."""
    lines = [line.strip(" │╭╮╰╯─") for line in text.splitlines()]
    return "; ".join([line for line in lines if line][-2:]) or "it said nothing"


def _family(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _family(int(child))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
