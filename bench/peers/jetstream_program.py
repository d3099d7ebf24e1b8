"""Envelopes as messages of a JetStream stream, published until the server has acknowledged them.

NATS_SERVER in the environment names the program of the server, which runs on a free port of loopback.  Nothing is
checked, hashed, verified or folded: a message is bytes.
"""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import nats
from nats.js import JetStreamContext
from nats.js.api import StorageType

from bench.measured import Measured
from bench.peers.programs import APPEND_MANY, APPEND_ONE, BATCH, Task, main, rate_of

CONFIG: Final = """
host: 127.0.0.1
port: -1
ports_file_dir: "{folder}"
jetstream {{ store_dir: "{folder}/store", sync_interval: always }}
"""
SUBJECT: Final = "claims"
START_S: Final = 20.0


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run it; where it listens."""
    config = folder / "nats.conf"
    config.write_text(CONFIG.format(folder=folder))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([os.environ["NATS_SERVER"], "-c", str(config)], stdout=log, stderr=log)
        try:
            yield _address(folder, process)
        finally:
            process.terminate()
            process.wait(START_S)


def _address(folder: Path, process: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        for path in folder.glob("*.ports"):
            if text := path.read_text():
                return str(json.loads(text)["nats"][0])
        time.sleep(0.02)
    raise RuntimeError("the server did not start: " + (folder / "log").read_text().strip()[-300:])


async def publish_one_by_one(stream: JetStreamContext, task: Task) -> Measured:
    """The rate with each acknowledged before the next is published."""
    for body in task.warm:
        await stream.publish(SUBJECT, body)
    seconds = []
    for body in task.bodies:
        before = time.perf_counter()
        await stream.publish(SUBJECT, body)
        seconds.append(time.perf_counter() - before)
    return rate_of(seconds)


async def publish_many(stream: JetStreamContext, task: Task) -> Measured:
    """The rate with 64 not yet acknowledged."""
    await _publish_all(stream, task.warm)
    started = time.perf_counter()
    await _publish_all(stream, task.bodies)
    return Measured(len(task.bodies) / (time.perf_counter() - started))


async def _publish_all(stream: JetStreamContext, bodies: Any) -> None:
    room, futures = asyncio.Semaphore(BATCH), []
    for body in bodies:
        await room.acquire()
        future = await stream.publish_async(SUBJECT, body)
        future.add_done_callback(lambda _: room.release())
        futures.append(future)
    await asyncio.gather(*futures)


async def _measure(address: str, work: Any, task: Task) -> Measured:
    connection = await nats.connect(address)
    stream = connection.jetstream()
    await stream.add_stream(name="claims", subjects=[SUBJECT], storage=StorageType.FILE, num_replicas=1)
    measured: Measured = await work(stream, task)
    state = (await stream.stream_info("claims")).state
    assert state.messages == len(task.warm) + len(task.bodies), state
    await connection.close()
    return measured


def _measured(work: Any, task: Task) -> Measured:
    with server(task.folder) as address:
        return asyncio.run(_measure(address, work, task))


if __name__ == "__main__":
    main(
        {
            APPEND_ONE: lambda task: _measured(publish_one_by_one, task),
            APPEND_MANY: lambda task: _measured(publish_many, task),
        }
    )
