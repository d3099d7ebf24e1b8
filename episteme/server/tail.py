"""The async face of a log's tail: catch-up, then live, for as many subscribers as the edge has.

The log wakes the event loop once, however many subscribers wait; each then
reads by its own position.  No queue, so a slow one costs nobody anything and
loses nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import Self

from wal import Frame, LogClosed, LogReader

PAGE_COUNT_MAX = 1024  # frames that one subscriber holds at a time
PAGE_BYTES_MAX = 1024 * 1024


class LogTail:
    """Tails of one log in one event loop.  Not thread-safe, but for the log's own call."""

    def __init__(self, log: LogReader, threads: Executor) -> None:
        """Begin to watch; call it in a running loop.  threads: where pages are read."""
        self._log = log
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._grown = asyncio.Event()
        self._scheduled = False
        self._stop_watching = log.watch(self._wake_soon)

    async def pages(
        self, seq: int, *, count_max: int = PAGE_COUNT_MAX, bytes_max: int = PAGE_BYTES_MAX
    ) -> AsyncIterator[list[Frame]]:
        """Frames from seq on, a page at a time, then those to come, without gap or repeat.

        Raises: LogClosed or LogFailed once the log has ended and all was given; Truncated if retention overtook
        the position; Corrupt.
        """
        while True:
            grown = self._grown  # taken before the look, so that no wake-up falls in between
            if self._log.durable_end > seq:
                frames = await self._loop.run_in_executor(self._threads, self._read, seq, count_max, bytes_max)
                seq = frames[-1].seq + 1
                yield frames
            elif self._log.ended:
                raise self._log.failure or LogClosed("the log was closed; subscribe again when it is open")
            else:
                await grown.wait()

    def close(self) -> None:
        """Stop watching the log; whoever still waits is not woken again."""
        self._stop_watching()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, seq: int, count_max: int, bytes_max: int) -> list[Frame]:
        return self._log.read_from(seq, count_max=count_max, bytes_max=bytes_max)

    def _wake_soon(self) -> None:
        """In the log's thread: one call into the loop at a time is enough."""
        if not self._scheduled and not self._loop.is_closed():
            self._scheduled = True
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._scheduled = False
        self._grown.set()
        self._grown = asyncio.Event()
