"""episteme tail: the log as it was written, and as it goes on."""

import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final, Self, TypedDict

import typer

from episteme.cli.lines import LinePrinter
from episteme.cli.output import Output, chosen, fail, talk
from episteme.cli.running import EXIT_INTERRUPTED
from episteme.cli.session import URL_DEFAULT, Data, OutputOption, Url, check_folder, database
from episteme.client import Client
from episteme.errors import EpistemeError, translate
from episteme.loglines import LogLine
from episteme.node import LOG_FOLDER
from episteme.tailing import BEGINNING, make_filter, tail_of
from wal import LogError, ReadOnlyLog

_LAST: Final = 10

Lines = Iterator[LogLine]


def tail(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    after: Annotated[int | None, typer.Option("--after", min=BEGINNING, help="Begin after this position.")] = None,
    start: Annotated[int | None, typer.Option("--from", min=0, help="Begin at this position.")] = None,
    last: Annotated[
        int | None,
        typer.Option(
            "--last",
            "-n",
            min=0,
            help=f"Begin so many positions before the end. [default: {_LAST}]",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many lines.")] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", help="Only about this subject; 'Sema*': about all that begin so.")
    ] = None,
    predicate: Annotated[str | None, typer.Option("--predicate", help="Only about this property.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Only this kind of event, such as vote.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="Only what this agent signed.")] = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Show what the log holds, a line an event; with -f go on with what comes.

    With --data it reads the folder's log and nothing else, also while a server has it. Ctrl-C ends it and says how
    to go on.
    """
    if sum(one is not None for one in (after, start, last)) > 1:
        raise typer.BadParameter("--after, --from and --last: only one of them")
    if start is not None:
        after = start - 1
    wanted = Wanted(subject=subject, predicate=predicate, kind=kind, agent=agent)
    tailed = _Tailed(wanted, None if url == URL_DEFAULT else url, data)
    if data is None:
        with database(url, None) as db:
            assert isinstance(db, Client)
            at = _beginning(db.status().log.seq, last) if after is None else after
            tailed.show(db.tail(at, follow=follow, **wanted), at, limit, output)
    else:
        _show_folder(data, after, last, limit, output, tailed, follow=follow)


class Wanted(TypedDict):
    """What is to be shown; as make_filter."""

    subject: str | None
    predicate: str | None
    kind: str | None
    agent: str | None


class _Interruptions:
    """Keeps Ctrl-C from falling between a line and the note that it was printed; a second one is heeded at once."""

    def __init__(self) -> None:
        self._is_held = False
        self._is_due = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._heed)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raises: KeyboardInterrupt at the end, if it came meanwhile."""
        self._is_held = True
        yield
        self._is_held = False
        if self._is_due:
            raise KeyboardInterrupt

    def _heed(self, _number: int, _frame: FrameType | None) -> None:
        if not self._is_held or self._is_due:
            raise KeyboardInterrupt
        self._is_due = True


class _Tailed:
    """What is shown, and how far it came."""

    def __init__(self, wanted: Wanted, url: str | None, data: Path | None) -> None:
        self.wanted = wanted
        self._url = url
        self._data = data

    def show(self, lines: Lines, after: int, limit: int | None, output: Output | None) -> None:
        """Print until they end, or until Ctrl-C."""
        printer = LinePrinter(chosen(output))
        first = after
        try:
            with _Interruptions() as interruptions:
                for line in islice(lines, limit):
                    with interruptions.held():
                        printer(line)
                        after = line.seq
        except KeyboardInterrupt:
            self._tell(after)
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except EpistemeError:
            if after > first:
                self._tell(after)
            raise

    def _tell(self, after: int) -> None:
        talk.print(f"last seq {after}, continue with: {self._command(after)}", markup=False)

    def _command(self, after: int) -> str:
        options: dict[str, Any] = {
            "url": self._url,
            "data": None if self._data is None else str(self._data),
            **self.wanted,
        }
        given = [f" --{name} {shlex.quote(value)}" for name, value in options.items() if value is not None]
        return f"episteme tail -f --after {after}{''.join(given)}"


def _show_folder(
    data: Path,
    after: int | None,
    last: int | None,
    limit: int | None,
    output: Output | None,
    tailed: _Tailed,
    *,
    follow: bool,
) -> None:
    check_folder(data)
    try:
        with ReadOnlyLog.open(data / LOG_FOLDER) as log:
            at = _beginning(log.durable_end - 1, last) if after is None else after
            tailed.show(tail_of(log, at, make_filter(**tailed.wanted), follow=follow), at, limit, output)
    except EpistemeError as error:
        fail(error)
    except LogError as error:
        fail(translate(error))


def _beginning(end_seq: int, last: int | None) -> int:
    """The position so many before the end."""
    return max(BEGINNING, end_seq - (_LAST if last is None else last))
