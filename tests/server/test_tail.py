"""Pages of a log's tail, shared by all who read them: none skips or repeats, whoever is slow and whatever ends."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from episteme.errors import EventsGone, LogFailed, NotReady, Overloaded
from episteme.loglines import LogLine
from episteme.server.places import Places
from episteme.server.stream import encode_event
from episteme.server.tail import PAGE_BYTES, PAGE_COUNT, Encode, LogTail
from episteme.tailing import BEGINNING, LogFilter, make_filter
from model import FRAME_KIND_EVENT, Receipt, encode_record
from tests.support.events import KEY_A, make_assertion, signed
from tests.support.faulty_files import WAIT_S, FaultyFiles
from tests.support.logs import open_log
from wal import FileLog, LogOptions, Retention

COUNT: Final = 300
ALL: Final = LogFilter()
_ID: Final = re.compile(rb"^id: (\d+)\n", re.MULTILINE)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[FileLog]:
    with open_log(tmp_path / "log", segment_bytes=2000) as opened:
        yield opened


async def collect(tail: LogTail, after: int, last: int, wanted: LogFilter = ALL) -> list[int]:
    """Positions as they were sent, until the reader has come to the last one."""
    found: list[int] = []
    with tail.reading():
        while after < last:
            if tail.end_seq > after:
                page = await tail.page(after, wanted)
                assert page.position > after
                after = page.position
                found += map(int, _ID.findall(page.data))
            elif tail.ended:
                raise tail.end_of_log()
            else:
                await tail.wait(after, WAIT_S)
    return found


def run(
    log: FileLog,
    work: Callable[[LogTail], Coroutine[Any, Any, Any]],
    *,
    encode: Encode = encode_event,
    readers_max: int = 2000,
) -> Any:
    async def main() -> Any:
        with ThreadPoolExecutor(2) as threads:
            tail = LogTail(log, threads, encode, Places(readers_max))
            try:
                return await asyncio.wait_for(work(tail), WAIT_S)
            finally:
                tail.close()

    return asyncio.run(main())


def append_all(log: FileLog, first: int, last: int) -> None:
    for seq in range(first, last):
        log.append(b"%d" % seq, 9).wait()


def append_claims(log: FileLog, subjects: list[str]) -> None:
    payloads = [encode_record(signed(make_assertion(subject=one), KEY_A), Receipt()) for one in subjects]
    log.append_many([(FRAME_KIND_EVENT, payload) for payload in payloads]).wait()


def test_readers_from_any_position_catch_up_and_go_live_without_gap_or_repeat(log: FileLog) -> None:
    append_all(log, 0, 100)
    starts = range(BEGINNING, 100)

    async def work(tail: LogTail) -> list[list[int]]:
        readers = [asyncio.create_task(collect(tail, after, COUNT - 1)) for after in starts]
        await asyncio.to_thread(append_all, log, 100, COUNT)
        return await asyncio.gather(*readers)

    for after, seqs in zip(starts, run(log, work), strict=True):
        assert seqs == list(range(after + 1, COUNT))


def test_two_thousand_readers_cost_one_wake_up_and_one_encoding(log: FileLog) -> None:
    encoded = []

    def counting(line: LogLine) -> bytes:
        encoded.append(line.seq)
        return encode_event(line)

    async def work(tail: LogTail) -> list[list[int]]:
        readers = [asyncio.create_task(collect(tail, BEGINNING, 0)) for _ in range(2000)]
        await asyncio.sleep(0)  # all of them wait now
        calls: list[None] = []
        wake = tail._wake
        tail._wake = lambda: calls.append(wake())  # type: ignore[method-assign]
        await asyncio.to_thread(append_all, log, 0, 1)
        found = await asyncio.gather(*readers)
        assert len(calls) == 1
        return found

    assert run(log, work, encode=counting) == [[0]] * 2000
    assert encoded == [0]


def test_readers_that_begin_anywhere_soon_share_pages(log: FileLog) -> None:
    encoded = []

    def counting(line: LogLine) -> bytes:
        encoded.append(line.seq)
        return encode_event(line)

    log.append_many([(9, b"x")] * (4 * PAGE_COUNT)).wait()

    async def work(tail: LogTail) -> None:
        await asyncio.gather(*(collect(tail, after, 4 * PAGE_COUNT - 1) for after in range(BEGINNING, 9)))

    run(log, work, encode=counting)
    alone = 10 * PAGE_COUNT  # what each of them reads before the first boundary that all have
    assert len(encoded) <= alone + 3 * PAGE_COUNT


def test_page_holds_no_more_than_its_bytes_but_for_one_long_line(log: FileLog) -> None:
    sizes = [9000, 9000, PAGE_BYTES, 9000, 24_000, 24_000, 24_000, 9000]

    def padded(line: LogLine) -> bytes:
        return b"id: %d\n%b\n" % (line.seq, bytes(sizes[line.seq]))

    append_all(log, 0, len(sizes))

    async def work(tail: LogTail) -> list[list[int]]:
        pages, after = [], BEGINNING
        with tail.reading():
            while after < tail.end_seq:
                page = await tail.page(after, ALL)
                after = page.position
                pages.append(list(map(int, _ID.findall(page.data))))
        return pages

    assert run(log, work, encode=padded) == [[0, 1], [2], [3, 4, 5], [6, 7]]


def test_pages_kept_for_others_have_a_bound(log: FileLog) -> None:
    log.append_many([(9, bytes(PAGE_BYTES // 2))] * 200).wait()

    async def work(tail: LogTail) -> None:
        await collect(tail, BEGINNING, 199)
        assert tail._kept_bytes == sum(len(page.data) for page in tail._kept.values())
        assert 2**22 < tail._kept_bytes <= 2**23

    run(log, work)


def test_filtered_reader_sees_what_fits_and_passes_over_the_rest(log: FileLog) -> None:
    append_claims(log, ["Semaglutide", "Tesla", "Sema", "sema"] * 30)

    async def work(tail: LogTail) -> list[list[int]]:
        exact, prefix = make_filter(subject="Tesla"), make_filter(subject="Sema*")
        return [*await asyncio.gather(collect(tail, 1, 119, exact), collect(tail, BEGINNING, 119, prefix))]

    exact, prefix = run(log, work)
    assert exact == [seq for seq in range(2, 120) if seq % 4 == 1]
    assert prefix == [seq for seq in range(120) if seq % 4 in (0, 2)]


def test_reader_that_leaves_while_a_page_is_read_takes_it_from_nobody(log: FileLog) -> None:
    append_all(log, 0, 1)

    async def work(tail: LogTail) -> list[int]:
        leaver, stayer = (asyncio.create_task(collect(tail, BEGINNING, 0)) for _ in range(2))
        await asyncio.sleep(0)
        leaver.cancel()
        return await stayer

    assert run(log, work) == [0]


def test_readers_have_a_bound_and_make_room_when_they_go(log: FileLog) -> None:
    async def work(tail: LogTail) -> None:
        with tail.reading():
            with tail.reading(), pytest.raises(Overloaded, match="2 tails and long polls are open") as caught:
                tail.reading().__enter__()
            assert caught.value.retry_after_s
            with tail.reading():
                pass
        assert tail.reader_count == 0

    run(log, work, readers_max=2)


def test_end_of_the_log_is_told(log: FileLog) -> None:
    async def work(tail: LogTail) -> None:
        waiting = asyncio.create_task(collect(tail, 0, 1))
        await asyncio.sleep(0)
        await asyncio.to_thread(log.close)
        with pytest.raises(NotReady, match="come again"):
            await waiting

    append_all(log, 0, 1)
    run(log, work)


def test_failure_is_told_after_what_is_durable(tmp_path: Path) -> None:
    files = FaultyFiles()
    with open_log(tmp_path, files=files) as log:

        async def work(tail: LogTail) -> list[int]:
            seen = await collect(tail, BEGINNING, 0)
            waiting = asyncio.create_task(collect(tail, 0, 1))
            await asyncio.sleep(0)
            files.fail("sync")
            log.append(b"not acknowledged", 1)
            with pytest.raises(LogFailed):
                await waiting
            return seen

        append_all(log, 0, 1)
        assert run(log, work) == [0]


def test_drain_lets_all_who_wait_go(log: FileLog) -> None:
    async def work(tail: LogTail) -> list[bool]:
        with tail.reading():
            waiting = [asyncio.create_task(tail.wait(BEGINNING, WAIT_S)) for _ in range(3)]
            await asyncio.sleep(0)
            tail.drain()
            return await asyncio.gather(*waiting)

    assert run(log, work) == [True] * 3


def test_position_that_retention_has_overtaken_is_refused(tmp_path: Path) -> None:
    options = LogOptions(segment_bytes=200, reserve_bytes=0, retention=Retention(count_min=1))
    with open_log(tmp_path, options=options) as log:
        append_all(log, 0, 30)

        async def work(tail: LogTail) -> None:
            with pytest.raises(EventsGone, match=f"begins at position {log.first_seq}"):
                await collect(tail, BEGINNING, 29)
            assert await collect(tail, log.first_seq - 1, 29) == list(range(log.first_seq, 30))

        run(log, work)
