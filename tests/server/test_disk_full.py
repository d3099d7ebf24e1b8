"""A real server on a small disk that fills: 507, reads go on, writes resume when there is room, nothing is lost."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cortex import Runner, RunnerOptions
from episteme.folds import FOLDS, decode_frame
from episteme.node import Node
from stores import MemoryEngine, state_digest
from tests.support.disks import MIB, small_disk
from tests.support.envelopes import claim
from tests.support.http import Reply, call
from tests.support.servers import Server

WRITERS = 4
NARRATIVE_BYTES = 8000  # so that some hundred writes fill the disk
ROUND = 40  # writes of all writers together, between two looks whether the disk is full
ROUNDS_MAX = 100
DEADLINE_S = 30.0
NO_RESERVE = ("--port", "0", "--disk-reserve-bytes", "0")
RESERVE = ("--port", "0")


class Work:
    """Writers of one server after the other, and what they were told."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, int] = {}  # seqs by hash
        self.count = 0

    def write(self, server: Server, number: int) -> Reply:
        reply = call(server.url, "POST", "/v1/assertions", claim(f"subject {number}", narrative="x" * NARRATIVE_BYTES))
        if reply.status < 300:
            told = reply.json()
            self.acknowledged[told["hash"]] = told["seq"]
        return reply

    def write_next(self, server: Server) -> Reply:
        self.count += 1
        return self.write(server, self.count)

    def write_until_full(self, server: Server) -> Reply:
        """Write from several threads until a write is refused."""
        with ThreadPoolExecutor(WRITERS) as threads:
            for _ in range(ROUNDS_MAX):
                numbers = range(self.count, self.count + ROUND)
                self.count += ROUND
                for reply in threads.map(lambda number: self.write(server, number), numbers):
                    if reply.status >= 300:
                        return reply
        raise AssertionError("the disk never filled")

    def write_until_taken(self, server: Server) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while (reply := self.write_next(server)).status >= 300:
            check_full(reply)
            assert time.monotonic() < deadline_s, "writes do not resume"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, 12 * MIB, 5 * MIB) as disk:
        yield disk


def check_full(reply: Reply) -> None:
    problem = reply.json()
    assert (reply.status, problem["code"]) == (507, "disk-full")
    assert "room" in problem["hint"]
    assert int(reply.headers["retry-after"]) > 0


def check_reads_go_on(server: Server) -> None:
    answer = call(server.url, "GET", "/v1/query?subject=subject+3&predicate=causes_muscle_loss")
    assert (answer.status, answer.json()["candidates_count"]) == (200, 1)
    page = call(server.url, "GET", "/v1/log?after=-1&limit=5")
    assert (page.status, len(page.lines)) == (200, 5)


def check_nothing_is_lost(folder: Path, acknowledged: dict[str, int]) -> None:
    """Every acknowledged event is at its place, and the state is what the log comes to."""
    with Node.open(folder) as node:
        for hash_hex, seq in acknowledged.items():
            assert node.get(hash_hex).seq == seq
        store = MemoryEngine()
        runner = Runner(node.log, store, FOLDS, decode_frame, RunnerOptions(on_error="dead-letter"))
        runner.run_to(node.log.durable_end)
        with store.snapshot() as replayed:
            assert node.state.digest() == state_digest(replayed)


@pytest.mark.parametrize("arguments", [RESERVE, NO_RESERVE], ids=["reserve", "no reserve"])
def test_full_disk_is_507_reads_go_on_and_writes_resume_without_a_restart_and_nothing_is_lost(
    disk: Path, arguments: tuple[str, ...]
) -> None:
    work, folder = Work(), disk / "data"
    with Server.start(folder, arguments) as server:
        check_full(work.write_until_full(server))
        check_reads_go_on(server)
        check_full(work.write_next(server))
        ready = call(server.url, "GET", "/readyz")
        assert ready.status == 503
        assert any("the disk is full" in reason for reason in ready.json()["reasons"])
        status = call(server.url, "GET", "/v1/status").json()
        assert status["disk"]["full"]
        assert status["disk"]["free_bytes"] < 4 * MIB
        (disk / "ballast").unlink()
        work.write_until_taken(server)
        last = call(server.url, "POST", "/v1/assertions?wait=15s", claim("after there was room"))
        assert last.status == 201
        assert call(server.url, "GET", "/readyz").status == 200
        assert not call(server.url, "GET", "/v1/status").json()["disk"]["full"]
        ended = server.stop()
    assert ended.code == 0
    assert "Traceback" not in ended.output
    assert len(work.acknowledged) > ROUND
    check_nothing_is_lost(folder, work.acknowledged)


def test_process_that_is_killed_on_a_full_disk_starts_or_says_why_not_and_loses_nothing(
    disk: Path,
) -> None:
    work, folder = Work(), disk / "data"
    with Server.start(folder, NO_RESERVE) as server:
        check_full(work.write_until_full(server))
        server.kill()
    with Server(folder, NO_RESERVE) as server:
        if server.comes_up():  # the opening of the state found what little it needs
            assert work.write_next(server).status in (202, 503, 507)
            assert server.stop().code == 0
        else:
            ended = server.wait()
            assert (ended.code, "Traceback" in ended.output) == (1, False)
            assert "code: disk-full" in ended.output
    (disk / "ballast").unlink()
    with Server.start(folder, NO_RESERVE) as server:
        work.write_until_taken(server)
        assert server.stop().code == 0
    check_nothing_is_lost(folder, work.acknowledged)


def test_reserve_is_room_for_a_restart_while_the_disk_is_full(disk: Path) -> None:
    work, folder = Work(), disk / "data"
    with Server.start(folder, RESERVE) as server:
        check_full(work.write_until_full(server))
        server.kill()
    with Server.start(folder, RESERVE) as server:
        check_reads_go_on(server)
        check_full(work.write_until_full(server))
        assert server.stop().code == 0
    (disk / "ballast").unlink()
    check_nothing_is_lost(folder, work.acknowledged)
