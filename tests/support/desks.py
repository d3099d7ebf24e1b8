"""Tasks and memories over logs without waits for the disk, and all that a query finds, page by page."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cortex import (
    CommandOptions,
    DeskOptions,
    Memories,
    MemoryQuery,
    Page,
    RunnerOptions,
    StateOptions,
    TaskQuery,
    Tasks,
)
from cortex.models.desk import Desk
from tests.support.faulty_files import WAIT_S
from tests.support.logs import ALL, open_log
from wal import Log

HALT = DeskOptions(commands=CommandOptions(wait_s=WAIT_S))
DEAD_LETTER = HALT._replace(state=StateOptions(fold=RunnerOptions(on_error="dead-letter")))
BY_HAND: Final = b'{"type":"task-created","v":1,"id":"by-hand","title":"appended by somebody else"}'


class Clock:
    """Milliseconds that pass only when a test says so."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


@contextmanager
def open_tasks(folder: Path, options: DeskOptions = HALT, clock_ms: Clock | None = None) -> Iterator[Tasks]:
    """Tasks over a log of their own, both in folder."""
    with (
        open_log(folder / "log", clock_ms=clock_ms or Clock()) as log,
        Tasks.over(log, folder / "state", options=options) as tasks,
    ):
        yield tasks


@contextmanager
def open_memories(folder: Path, options: DeskOptions = HALT, clock_ms: Clock | None = None) -> Iterator[Memories]:
    """Memories over a log of their own, both in folder."""
    with (
        open_log(folder / "log", clock_ms=clock_ms or Clock()) as log,
        Memories.over(log, folder / "state", options=options) as memories,
    ):
        yield memories


def settle(desk: Desk[Any, Any, Any]) -> None:
    """Wait until all that is in the log is applied."""
    end = desk.log.next_seq
    assert not end or desk.state.watermark.wait(end - 1, WAIT_S)


def pages(desk: Desk[Any, Any, Any], query: TaskQuery | MemoryQuery, limit: int) -> Iterator[Page[Any]]:
    """Page after page; one that comes twice would never end."""
    cursor, seen = None, set[str]()
    while True:
        page = desk.find(query, limit=limit, cursor=cursor)
        yield page
        cursor = page.cursor
        if cursor is None:
            return
        assert cursor not in seen
        seen.add(cursor)


def found(desk: Desk[Any, Any, Any], query: TaskQuery | MemoryQuery, limit: int = 1000) -> list[str]:
    """The ids of all that a query finds, in order."""
    return [row.id for page in pages(desk, query, limit) for row in page.items]


def appended(log: Log) -> list[bytes]:
    """The payloads of all events."""
    return [frame.payload for frame in log.read_from(0, count_max=ALL, bytes_max=ALL)]
