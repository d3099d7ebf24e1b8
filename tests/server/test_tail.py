import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from episteme.server.tail import LogTail
from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.logs import open_log, read_all
from wal import FileLog, Frame, FutureSeq, LogClosed, LogFailed, LogOptions, Retention, Truncated

COUNT = 300


@pytest.fixture
def log(tmp_path: Path) -> Iterator[FileLog]:
    with open_log(tmp_path / "log", segment_bytes=2000) as opened:
        yield opened


async def collect(tail: LogTail, seq: int, count: int, page: int = 1024) -> list[Frame]:
    frames: list[Frame] = []
    async for found in tail.pages(seq, count_max=page):
        frames += found
        if len(frames) >= count:
            break
    return frames


def run(log: FileLog, work: Callable[[LogTail], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        with ThreadPoolExecutor(2) as threads, LogTail(log, threads) as tail:
            return await asyncio.wait_for(work(tail), WAIT_S)

    return asyncio.run(main())


def append_all(log: FileLog, first: int, last: int) -> None:
    for seq in range(first, last):
        log.append(b"%d" % seq, 1).wait()


@pytest.mark.parametrize("page", [1, 7, 1024])
def test_tail_from_any_position_catches_up_and_goes_live_without_gap_or_repeat(log: FileLog, page: int) -> None:
    append_all(log, 0, 100)

    async def work(tail: LogTail) -> list[list[Frame]]:
        readers = [asyncio.create_task(collect(tail, seq, COUNT - seq, page)) for seq in (0, 1, 50, 99, 100)]
        await asyncio.to_thread(append_all, log, 100, COUNT)
        return await asyncio.gather(*readers)

    for start, frames in zip((0, 1, 50, 99, 100), run(log, work), strict=True):
        assert frames == read_all(log)[start:]


def test_two_thousand_subscribers_cost_one_wake_up(log: FileLog) -> None:
    async def work(tail: LogTail) -> list[list[Frame]]:
        readers = [asyncio.create_task(collect(tail, 0, 1)) for _ in range(2000)]
        await asyncio.sleep(0)  # all of them wait now
        calls = []
        wake = tail._wake
        tail._wake = lambda: calls.append(wake())  # type: ignore[method-assign]
        await asyncio.to_thread(append_all, log, 0, 1)
        found = await asyncio.gather(*readers)
        assert len(calls) == 1
        return found

    assert run(log, work) == [read_all(log)] * 2000


def test_reader_that_stops_within_the_backlog_holds_up_nobody(log: FileLog) -> None:
    async def work(tail: LogTail) -> list[Frame]:
        slow = tail.pages(0, count_max=1)
        first = await anext(slow)
        await asyncio.to_thread(append_all, log, 1, COUNT)
        rest = [frame async for page in _first(slow, COUNT - 1) for frame in page]
        return first + rest

    append_all(log, 0, 1)
    assert run(log, work) == read_all(log)


async def _first(pages: Any, count: int) -> Any:
    for _ in range(count):
        yield await anext(pages)


def test_end_of_the_log_is_told(log: FileLog) -> None:
    async def work(tail: LogTail) -> None:
        waiting = asyncio.create_task(collect(tail, 1, 1))
        await asyncio.sleep(0)
        await asyncio.to_thread(log.close)
        with pytest.raises(LogClosed, match="subscribe again"):
            await waiting

    append_all(log, 0, 1)
    run(log, work)


def test_failure_is_told_after_what_is_durable(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log:

        async def work(tail: LogTail) -> list[Frame]:
            pages = tail.pages(0)
            seen = await anext(pages)
            files.fail("sync")
            log.append(b"not acknowledged", 1)
            with pytest.raises(LogFailed):
                await anext(pages)
            return seen

        append_all(log, 0, 1)
        assert [frame.payload for frame in run(log, work)] == [b"0"]


def test_position_that_is_gone_or_not_there_is_refused(tmp_path: Path) -> None:
    options = LogOptions(segment_bytes=200, reserve_bytes=0, retention=Retention(count_min=1))
    with open_log(tmp_path, options=options) as log:
        append_all(log, 0, 30)

        async def work(tail: LogTail) -> None:
            with pytest.raises(Truncated, match=f"first one kept is {log.first_seq}"):
                await anext(tail.pages(0))

        run(log, work)
        assert next(iter(log.subscribe(log.first_seq))).seq == log.first_seq
        with pytest.raises(FutureSeq):
            log.subscribe(31)
