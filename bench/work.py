"""What the measurements share: signed requests, a server of ours, a bare one, a load process."""

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model import Assertion, NumberValue, SigningKey, encode_envelope, sign_event

AGENTS = [SigningKey(bytes([number]) * 32) for number in range(1, 17)]
START_S = 20.0


def claims(count: int, start: int = 0) -> Iterator[bytes]:
    """Signed envelopes of distinct claims: 16 agents, ten claims a pair."""
    for number in range(start, start + count):
        event = Assertion(
            v=2,
            subject=f"subject-{number // 10:06d}",
            predicate="measured_value",
            object=NumberValue(f"{number % 7}.{number % 10}"),
            confidence="0.85",
            source_class="observational",
            lifecycle="approved",
            timestamp=1_767_225_600_000 + number,
        )
        yield encode_envelope(sign_event(event, AGENTS[number % len(AGENTS)]))


def post(path: str, body: bytes) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode() + body


def write_requests(path: Path, requests: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        for request in requests:
            file.write(struct.pack("<I", len(request)) + request)


def load(port: int, connections: int, requests: Path) -> dict[str, Any]:
    """Run the load process against loopback."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load", "127.0.0.1", str(port), str(connections), str(requests)],
        check=True,
        capture_output=True,
        timeout=180,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def process(arguments: list[str], env: dict[str, str] | None = None) -> Iterator[int]:
    """A server process of ours; gives its port, ends it by SIGTERM."""
    server = subprocess.Popen(
        [sys.executable, "-m", *arguments], stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    )
    assert server.stderr is not None
    deadline = time.monotonic() + START_S
    try:
        for line in server.stderr:
            if "listening on " in line:
                yield int(line.rsplit(":", 1)[1])
                break
            assert time.monotonic() < deadline, "the server did not start"
        else:
            raise AssertionError("the server ended before it listened")
    finally:
        server.terminate()
        server.wait(timeout=30)
        server.stderr.close()


@contextmanager
def episteme_server(folder: Path) -> Iterator[int]:
    with process(["episteme", "serve", "--data", str(folder), "--port", "0"]) as port:
        yield port


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder beside the project, on the disk that data would be on."""
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=Path.cwd()) as folder:
        yield Path(folder)
