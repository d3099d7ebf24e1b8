"""A progress bar on stderr, where that is a terminal; in a pipe a line now and then, of what takes long."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from episteme.cli.output import talk

LINE_EVERY_S: Final = 10.0  # in a pipe: often enough to see that it goes on, seldom enough for a log


class Bar:
    """Takes how much is done, and how much there is in all."""

    def __init__(self, what: str, *, in_bytes: bool) -> None:
        """what: shown before the bar.  in_bytes: of bytes, else of events."""
        done = DownloadColumn() if in_bytes else MofNCompleteColumn()
        columns = (TextColumn("{task.description}"), BarColumn(), done, TimeRemainingColumn())
        self.progress = Progress(*columns, console=talk, transient=True, disable=not talk.is_terminal)
        self._task = self.progress.add_task(what, total=None)
        self._what = what
        self._said_s = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        self.progress.update(self._task, completed=done, total=total)
        if not talk.is_terminal and time.monotonic() - self._said_s >= LINE_EVERY_S:
            self._said_s = time.monotonic()
            talk.print(f"{self._what}: {100 * done / max(total, 1):.0f} %, {done:,} of {total:,}", markup=False)


@contextmanager
def bar(what: str, *, in_bytes: bool = False) -> Iterator[Bar]:
    """A bar for as long as the block runs."""
    shown = Bar(what, in_bytes=in_bytes)
    with shown.progress:
        yield shown
