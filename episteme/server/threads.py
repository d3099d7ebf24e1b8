"""Threads for what requests ask of them, with a bound on what waits for one.

Work that was asked for by somebody who has gone meanwhile is not begun: who
asks and leaves, again and again, takes the time of nobody else.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final, TypeVar

from starlette.types import Scope as Connection

from episteme.errors import Overloaded, RequestTimeout

GONE: Final = "episteme.gone"  # under this name in the scope of a request whose connection was lost: True

Found = TypeVar("Found")


class Threads:
    """So many threads, and so much that waits for one.  Of one event loop."""

    def __init__(self, count: int, waiting_max: int, name: str) -> None:
        self._taken_max = count + waiting_max
        self._taken = 0
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    @property
    def pool(self) -> Executor:
        """For work that has a bound of its own."""
        return self._pool

    async def run(self, connection: Connection, work: Callable[[], Found]) -> Found:
        """What the work gives, on a thread.  Raises: Overloaded before it is taken; what the work raises."""
        if self._taken >= self._taken_max:
            raise Overloaded(f"{self._taken} reads are at work or wait for a thread", retry_after_s=1)
        self._taken += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, _unless_gone, connection, work)
        finally:
            self._taken -= 1

    def close(self) -> None:
        """Finish what is at work, and begin nothing more."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _unless_gone(connection: Connection, work: Callable[[], Found]) -> Found:
    if connection.get(GONE, False):
        raise RequestTimeout("whoever asked for this has gone")
    return work()
