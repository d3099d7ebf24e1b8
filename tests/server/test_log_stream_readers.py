"""The stream of the log without a socket: a reader whose every move is the test's."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from episteme.config import ServerConfig
from episteme.node import Node
from episteme.server.app import Application
from tests.support.faulty_files import WAIT_S
from tests.support.log_pages import get, lines_of
from tests.support.nodes import node_on


class Reader:
    """Takes what is sent, so many messages at a time; in a running loop."""

    def __init__(self, application: Application, query: str, path: str = "/v1/log/tail") -> None:
        self.taken: list[bytes] = []
        self.offered = 0
        self.sends = b""  # again and again
        self.received = 0
        self._allowed = asyncio.Semaphore(0)
        self._gone = asyncio.Event()
        self._news = asyncio.Condition()
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [],
        }
        self.task = asyncio.create_task(application(scope, self._receive, self._send))

    async def take(self, count: int) -> bytes:
        """Allow so many more messages, and wait for them; all that was taken."""
        wanted = len(self.taken) + count
        for _ in range(count):
            self._allowed.release()
        async with self._news, asyncio.timeout(WAIT_S):
            await self._news.wait_for(lambda: len(self.taken) >= wanted)
        return b"".join(self.taken)

    async def leave(self) -> None:
        self._gone.set()
        await asyncio.wait_for(self.task, WAIT_S)

    async def _receive(self) -> dict[str, Any]:
        if self.sends:
            await asyncio.sleep(0)
            self.received += 1
            return {"type": "http.request", "body": self.sends, "more_body": True}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.offered += 1
        if message["type"] == "http.response.body":
            await self._allowed.acquire()
            self.taken.append(message["body"])
            async with self._news:
                self._news.notify_all()


@contextmanager
def application_of(node: Node, config: ServerConfig) -> Iterator[Application]:
    application = Application(node, config)
    try:
        yield application
    finally:
        application.close()


def test_nothing_is_read_for_a_reader_that_takes_nothing(node: Node) -> None:
    async def work(application: Application) -> None:
        reader = Reader(application, "after=-1")
        await reader.take(1)
        for _ in range(20):
            await asyncio.sleep(0)
        assert reader.offered <= 3  # the start, what was taken, and one that waits
        await reader.leave()

    with application_of(node, ServerConfig()) as application:
        asyncio.run(work(application))


def test_stream_that_rests_says_so_and_how_far_it_looked(node: Node) -> None:
    async def work(application: Application) -> bytes:
        reader = Reader(application, "subject=nobody")
        sent = await reader.take(4)
        await reader.leave()
        return sent

    with application_of(node, ServerConfig(stream_idle_s=0.01)) as application:
        sent = asyncio.run(work(application))
    assert sent.startswith(b"retry: 1000\n\nid: 8\nevent: caught-up\n")
    assert sent.endswith(b": still here\nid: 8\n\n" * 2)


def test_stream_of_a_closed_log_ends_with_a_problem(tmp_path: Path) -> None:
    async def work(application: Application, node: Node) -> bytes:
        reader = Reader(application, "")
        await reader.take(2)
        await asyncio.to_thread(node.log.close)
        sent = await reader.take(2)
        await asyncio.wait_for(reader.task, WAIT_S)
        return sent

    with node_on(tmp_path) as node, application_of(node, ServerConfig()) as application:
        sent = asyncio.run(work(application, node))
    name, data = sent.removesuffix(b"\n\n").split(b"\n\n")[-1].split(b"\n")
    assert name == b"event: problem"
    assert json.loads(data.removeprefix(b"data: "))["code"] == "not-ready"


def test_stream_of_a_reader_that_sends_without_end_ends(node: Node) -> None:
    async def work(application: Application) -> None:
        reader = Reader(application, "after=-1")
        reader.sends = b"x" * 1024
        await reader.take(1)
        await asyncio.wait_for(reader.task, WAIT_S)
        assert reader.received < 100

    with application_of(node, ServerConfig()) as application:
        asyncio.run(work(application))


def test_streams_and_long_polls_have_a_bound_and_leave_their_place(node: Node) -> None:
    config = ServerConfig(streams_max=1)

    async def work(application: Application) -> None:
        for _ in range(3):
            reader = Reader(application, "after=-1")
            await reader.take(1)
            refused = Reader(application, "after=-1")
            problem = json.loads(await refused.take(1))
            assert (problem["code"], problem["status"]) == ("overloaded", 503)
            await refused.leave()
            polling = Reader(application, "after=5&wait=1s", path="/v1/escalations")
            assert json.loads(await polling.take(1))["code"] == "overloaded"
            await polling.leave()
            await reader.leave()

    with application_of(node, config) as application:
        asyncio.run(work(application))
    assert lines_of(get(node, "after=8&wait=1ms", config=config)) == []
