"""The async face of a log's tail: catch-up, then live, for as many readers as the edge has.

The log wakes the event loop once, however many readers wait; each then reads
by its own position.  No queue, so a slow one costs nobody anything and loses
nothing.  A page is read and encoded once for all who come to the same position:
pages end where others do, so readers that began anywhere soon share them.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Final, NamedTuple

from episteme.errors import EpistemeError
from episteme.loglines import LogLine
from episteme.server.mailbox import post
from episteme.server.places import Places
from episteme.tailing import LOOKED_BYTES_MAX, LOOKED_COUNT_MAX, LogFilter, told_of_log
from wal import LogClosed, LogError, LogReader

PAGE_BYTES: Final = 64 * 1024  # encoded; one line that is longer is a page by itself
PAGE_COUNT: Final = 256  # a page ends at the latest before a multiple of this
_KEPT_BYTES_MAX: Final = 8 * 1024 * 1024  # of encoded pages for readers that come behind: some 15,000 events
_KEPT_COUNT_MAX: Final = 256
# Between two looks at a log that grows all the time.  A reader costs the loop some 0.1 ms a look, so all of
# them together take at most a fifth of it; the first event after a rest is sent at once.
_PACE_S_MIN: Final = 0.01
_PACE_S_EACH: Final = 0.0005

Encode = Callable[[LogLine], bytes]


class TailPage(NamedTuple):
    """Encoded lines (none, where none that was looked at is wanted), and the position up to which was looked."""

    data: bytes
    position: int


_Key = tuple[int, LogFilter]


class LogTail:
    """Tails of one log in one event loop.  Not thread-safe, but for the log's own call and close."""

    def __init__(self, log: LogReader, threads: Executor, encode: Encode, places: Places) -> None:
        """threads: where pages are read.  encode: a line as it is sent.  places: for readers, and for others too."""
        self._log = log
        self._threads = threads
        self._encode = encode
        self._places = places
        self._end_seq = log.durable_end - 1
        self._grown = asyncio.Event()
        self._is_wake_due = False
        self._woken_s = 0.0
        self._stop_watching: Callable[[], None] | None = None
        self._kept: OrderedDict[_Key, TailPage] = OrderedDict()
        self._kept_bytes = 0
        self._reads: dict[_Key, asyncio.Task[TailPage]] = {}
        self.reader_count = 0
        self.draining = False

    @property
    def end_seq(self) -> int:
        """The last position that readers look at; the log may be a moment ahead."""
        return self._end_seq

    @property
    def ended(self) -> bool:
        """Whether nothing will come after end_seq."""
        return self._log.ended and self._log.durable_end - 1 == self._end_seq

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Have the place of a reader; in the loop.

        Raises: Overloaded if all of them are taken.
        """
        with self._places.taken():
            if self._stop_watching is None:
                self._loop = asyncio.get_running_loop()
                self._stop_watching = self._log.watch(self._wake_soon)
            if self.reader_count == 0:
                self._end_seq = self._log.durable_end - 1
            self.reader_count += 1
            try:
                yield
            finally:
                self.reader_count -= 1

    async def page(self, after: int, wanted: LogFilter) -> TailPage:
        """The page after a position before end_seq.

        Raises: EventsGone; NotReady if the log is closed; Damaged.
        """
        key = after, wanted
        page = self._kept.get(key)
        if page is not None:
            self._kept.move_to_end(key)
            return page
        read = self._reads.get(key)
        if read is None:
            read = self._reads[key] = asyncio.ensure_future(self._read_on_thread(key))
        return await asyncio.shield(read)  # others may wait for it when this reader goes

    async def wait(self, after: int, timeout_s: float) -> bool:
        """Wait until there is more than a position, or the end of all; False if the time ran out before."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._end_seq <= after and not self.ended and not self.draining:
                    await self._grown.wait()
        except TimeoutError:
            return False
        return True

    def end_of_log(self) -> EpistemeError:
        """What a reader is told once all was given."""
        return told_of_log(self._log.failure or LogClosed("the log was closed; come again when it is open"))

    def drain(self) -> None:
        """Let all who wait go; in the loop."""
        self.draining = True
        self._ring()

    def close(self) -> None:
        """Stop watching the log; whoever still waits is not woken again."""
        if self._stop_watching is not None:
            self._stop_watching()

    async def _read_on_thread(self, key: _Key) -> TailPage:
        try:
            page = await self._loop.run_in_executor(self._threads, self._read, *key, self._end_seq)
        finally:
            del self._reads[key]
        self._keep(key, page)
        return page

    def _read(self, after: int, wanted: LogFilter, end_seq: int) -> TailPage:
        """On a thread."""
        count, bytes_max = (PAGE_COUNT, PAGE_BYTES // 2) if wanted.takes_all else (LOOKED_COUNT_MAX, LOOKED_BYTES_MAX)
        count_max = min(end_seq - after, count - (after + 1) % count)
        try:
            frames = self._log.read_from(after + 1, count_max=count_max, bytes_max=bytes_max)
        except (LogError, OSError) as error:
            raise told_of_log(error) from error
        parts: list[bytes] = []
        size_bytes = 0
        for frame in frames:
            line = wanted.line_of(frame)
            part = b"" if line is None else self._encode(line)
            if parts and size_bytes + len(part) > PAGE_BYTES:
                break
            if part:
                parts.append(part)
            size_bytes += len(part)
            after = frame.seq
        return TailPage(b"".join(parts), after)

    def _keep(self, key: _Key, page: TailPage) -> None:
        self._kept[key] = page
        self._kept_bytes += len(page.data)
        while len(self._kept) > _KEPT_COUNT_MAX or self._kept_bytes > _KEPT_BYTES_MAX:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest.data)

    def _wake_soon(self) -> None:
        """In the log's thread: one call into the loop at a time is enough."""
        if not self._is_wake_due:
            self._is_wake_due = True
            post(self._loop, self._wake)

    def _wake(self) -> None:
        pace_s = max(_PACE_S_MIN, self.reader_count * _PACE_S_EACH)
        early_s = self._woken_s + pace_s - self._loop.time()
        if early_s > 0:
            self._loop.call_later(early_s, self._wake)
            return
        self._is_wake_due = False  # before the look, so that growth after it wakes again
        self._woken_s = self._loop.time()
        self._end_seq = self._log.durable_end - 1
        self._ring()

    def _ring(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()
