"""A progress bar on stderr, where that is a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from episteme.cli.output import talk


class Bar:
    """Takes how much is done, and how much there is in all."""

    def __init__(self, what: str, *, in_bytes: bool) -> None:
        """what: shown before the bar.  in_bytes: of bytes, else of events."""
        done = DownloadColumn() if in_bytes else MofNCompleteColumn()
        columns = (TextColumn("{task.description}"), BarColumn(), done, TimeRemainingColumn())
        self.progress = Progress(*columns, console=talk, transient=True, disable=not talk.is_terminal)
        self._task = self.progress.add_task(what, total=None)

    def __call__(self, done: int, total: int) -> None:
        self.progress.update(self._task, completed=done, total=total)


@contextmanager
def bar(what: str, *, in_bytes: bool = False) -> Iterator[Bar]:
    """A bar for as long as the block runs."""
    shown = Bar(what, in_bytes=in_bytes)
    with shown.progress:
        yield shown
