"""Work for requests has a bound, and none is done for those who have gone; memory for bodies has one as well."""

import asyncio
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from episteme.config import ServerConfig
from episteme.errors import Overloaded, RequestTimeout
from episteme.server.app import Application
from episteme.server.room import FREE_BYTES, Room
from episteme.server.threads import GONE, Threads
from tests.support.asgi import call_node
from tests.support.envelopes import claim
from tests.support.faulty_files import WAIT_S
from tests.support.nodes import node_on

MIB = 1024 * 1024


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads(1, 2, "test")
    yield made
    made.close()


class Held:
    """Work that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.let_go.wait(WAIT_S)
        return "held"


def test_what_is_more_than_may_wait_is_refused_and_the_rest_is_done(threads: Threads) -> None:
    held = Held()

    async def work() -> None:
        first = asyncio.create_task(threads.run({}, held))
        waiting = [asyncio.create_task(threads.run({}, lambda: "done")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as refused:
            await threads.run({}, lambda: "too much")
        assert refused.value.retry_after_s == 1
        held.let_go.set()
        assert [await one for one in (first, *waiting)] == ["held", "done", "done"]
        assert await threads.run({}, lambda: "again") == "again"

    asyncio.run(work())


def test_work_for_somebody_who_has_gone_is_not_begun(threads: Threads) -> None:
    held, begun = Held(), threading.Event()

    async def work() -> None:
        first = asyncio.create_task(threads.run({}, held))
        connection: dict[str, Any] = {}
        second = asyncio.create_task(threads.run(connection, begun.set))
        await asyncio.sleep(0)
        connection[GONE] = True
        held.let_go.set()
        await first
        with pytest.raises(RequestTimeout):
            await second

    asyncio.run(work())
    assert not begun.is_set()


def test_close_begins_nothing_that_waits() -> None:
    threads, held, begun = Threads(1, 2, "test"), Held(), threading.Event()

    async def work() -> None:
        first = asyncio.create_task(threads.run({}, held))
        waiting = asyncio.create_task(threads.run({}, begun.set))
        await asyncio.to_thread(held.begun.wait, WAIT_S)
        closing = asyncio.create_task(asyncio.to_thread(threads.close))
        with pytest.raises(asyncio.CancelledError):
            await waiting
        held.let_go.set()
        await asyncio.gather(first, closing)

    asyncio.run(work())
    assert not begun.is_set()


@pytest.mark.parametrize(
    "path",
    ["/v1/query?subject=s&predicate=p&explain=1", "/v1/assertions", "/v1/log", "/v1/subjects/s/history?predicate=p"],
)
def test_reads_beyond_the_bound_are_told_to_come_again(tmp_path: Path, path: str) -> None:
    config = ServerConfig(read_threads=1, reads_waiting_max=0)

    async def work(application: Application) -> list[int]:
        statuses: list[int] = []

        async def ask() -> None:
            async def receive() -> Any:
                return {"type": "http.request", "body": b"", "more_body": False}

            async def send(message: Any) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            raw_path, _, query = path.partition("?")
            await application(
                {
                    "type": "http",
                    "method": "GET",
                    "path": raw_path,
                    "raw_path": raw_path.encode(),
                    "query_string": query.encode(),
                    "headers": [],
                },
                receive,
                send,
            )

        await asyncio.gather(*(ask() for _ in range(5)))
        return sorted(statuses)

    with node_on(tmp_path) as node:
        application = Application(node, config)
        try:
            statuses = asyncio.run(work(application))
        finally:
            application.close()
    assert statuses[0] == 200
    assert 503 in statuses


# Memory for bodies


def test_small_bodies_need_no_room_and_large_ones_share_what_there_is() -> None:
    room = Room(1000)
    with room.share() as one, room.share() as other:
        one.hold(FREE_BYTES)
        one.hold(FREE_BYTES + 600)
        other.hold(FREE_BYTES + 400)
        with pytest.raises(Overloaded):
            other.hold(FREE_BYTES + 401)
        with room.share() as small:
            small.hold(FREE_BYTES)
    with room.share() as next_one:  # all was given back
        next_one.hold(FREE_BYTES + 1000)


def test_slow_bodies_that_unpack_to_megabytes_do_not_fill_the_memory(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = packer.compress(b" " * (6 * MIB)) + packer.flush(zlib.Z_SYNC_FLUSH)
    config = ServerConfig(bodies_bytes_max=8 * MIB, body_s_max=WAIT_S)

    async def work(application: Application) -> None:
        stalled = Slow(application, bomb)
        await stalled.until_read()
        assert (await Slow(application, bomb).status()) == 503
        small = Slow(application, claim("beside them"), encoding=b"identity", whole=True)
        assert (await small.status()) == 202
        stalled.leave()
        assert (await stalled.status()) == 400
        again = Slow(application, bomb)
        await again.until_read()
        again.leave()
        await again.status()

    with node_on(tmp_path) as node:
        application = Application(node, config)
        try:
            asyncio.run(work(application))
        finally:
            application.close()


class Slow:
    """A body of which a first part has come; in a running loop."""

    def __init__(
        self, application: Application, body: bytes, *, encoding: bytes = b"gzip", whole: bool = False
    ) -> None:
        self._body: bytes | None = body
        self._whole = whole
        self._left = asyncio.Event()
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._read = asyncio.Event()
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/events",
            "raw_path": b"/v1/events",
            "query_string": b"",
            "headers": [(b"content-encoding", encoding)],
        }
        self._task = asyncio.create_task(application(scope, self._receive, self._send))

    async def until_read(self) -> None:
        """Until all that was sent has been taken."""
        await asyncio.wait_for(self._read.wait(), WAIT_S)

    def leave(self) -> None:
        self._left.set()

    async def status(self) -> int:
        await asyncio.wait_for(self._task, WAIT_S)
        return self._status.result()

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": not self._whole}
        self._read.set()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._status.set_result(message["status"])


@pytest.mark.parametrize(("sent", "status"), [("0" * 6000 + "5", 422), ("0" * 6000 + "999999999", 413)])
def test_length_may_have_as_many_zeros_as_somebody_likes(tmp_path: Path, sent: str, status: int) -> None:
    with node_on(tmp_path) as node:
        reply = call_node(node, "POST", "/v1/assertions", b'{"a":', headers={"Content-Length": sent})
        assert reply.status == status


def test_more_parameters_than_any_path_has_are_refused_unread(tmp_path: Path) -> None:
    with node_on(tmp_path) as node:
        reply = call_node(node, "GET", "/v1/query?" + "a&" * 16_000)
        assert (reply.status, reply.json()["code"]) == (422, "invalid-parameter")
        assert "more than 64" in reply.json()["detail"]
