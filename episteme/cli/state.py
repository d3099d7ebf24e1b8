"""episteme rebuild; episteme state digest, snapshot, snapshots, dead-letters: of a folder, or of a running server."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec import Struct

from cortex import Manifest, OnProgress, Rebuilt, State, WrongLog
from episteme.cli.app import App
from episteme.cli.bar import bar
from episteme.cli.live import LiveUrl, rebuild_live, snapshot_live, state_of
from episteme.cli.output import (
    Output,
    chosen,
    counted,
    fail,
    print_fields,
    print_json,
    print_table,
    short,
    shown_lines,
    talk,
)
from episteme.cli.session import OutputOption, server
from episteme.config import DEFAULT_DATA, NodeConfig
from episteme.errors import (
    EXIT_PARTLY,
    EXIT_USAGE,
    EXIT_VERIFICATION,
    CannotOpen,
    DiskFull,
    NotReady,
    StateDamaged,
    translate,
)
from episteme.folds import LoggedEvent
from episteme.node import LOG_FOLDER, system_clock_ms
from episteme.opening import in_use
from episteme.state import open_state, remake_state
from wal import FileLog, LogLocked

state_app = App(help="Look after the state that is folded from the log.")

_LOOK_S: Final = 0.1  # how often a bar moves while the fold catches up
_LETTERS_SHOWN: Final = 1000
_LIVE_HINT: Final = "A running server does a rebuild, a snapshot or a digest itself: --url, with an admin token."

Folder = Annotated[
    Path,
    typer.Argument(metavar="[DIR]", envvar="EPISTEME_DATA", help="A data folder that no server has open."),
]


class RebuildReport(Struct, frozen=True):
    """What `rebuild` prints."""

    events: int
    seconds: float
    events_per_second: int
    digest_before: str | None
    digest_after: str | None
    same: bool | None


class DigestReport(Struct, frozen=True):
    """What `state digest` prints."""

    events: int
    digest: str


class SnapshotReport(Struct, frozen=True):
    """One line of `state snapshots`, and what `state snapshot` prints."""

    path: str
    events: int
    bytes: int
    digest: str | None


class LetterReport(Struct, frozen=True):
    """One line of `state dead-letters`."""

    seq: int
    fold: str
    attempts: int
    reason: str


def rebuild(
    folder: Folder = DEFAULT_DATA,
    digest: Annotated[bool, typer.Option("--digest", help="Compare the old state with the new one.")] = False,
    url: LiveUrl = None,
    output: OutputOption = None,
) -> None:
    """Make the state anew from the log, beside the old one, then put it in its place.

    If it fails or is stopped half-way, the old state is as it was. With --url a server does so while it goes on to
    answer. With --digest, exit code 4 if the two differ.
    """
    started_s = time.monotonic()
    if url is not None:
        with server(url) as client:
            rebuilt = rebuild_live(client, digest=digest)
    else:
        with _log(folder) as log, bar("rebuilding") as moved:
            rebuilt = _rebuilt(folder, log, moved, digest=digest)
    seconds = time.monotonic() - started_s
    before, after = rebuilt.digest_before, rebuilt.digest_after
    same = None if before is None or after is None else before == after
    report = RebuildReport(
        rebuilt.position, round(seconds, 3), round(rebuilt.position / max(seconds, 1e-9)), before, after, same
    )
    if chosen(output) is Output.TABLE:
        print_fields(
            [
                ("events", f"{report.events:,} in {seconds:.1f} s, {report.events_per_second:,} a second"),
                *([("digest", after)] if after else []),
                *([("old digest", before)] if before else []),
                *([("result", "the same" if same else "they differ: the old state was wrong")] if before else []),
            ]
        )
    else:
        print_json(report, chosen(output))
    if same is False:
        raise typer.Exit(EXIT_VERIFICATION)


@state_app.command("digest")
def digest_command(folder: Folder = DEFAULT_DATA, url: LiveUrl = None, output: OutputOption = None) -> None:
    """Say what the state comes to: equal logs give equal digests, on any machine."""
    if url is not None:
        with server(url) as client:
            report = DigestReport(*state_of(client))
    else:
        with _caught_up(folder) as state:
            report = DigestReport(state.watermark.seq, state.digest())
    if chosen(output) is Output.TABLE:
        print_fields([("events", f"{report.events:,}"), ("digest", report.digest)])
    else:
        print_json(report, chosen(output))


@state_app.command("snapshot")
def snapshot_command(
    folder: Folder = DEFAULT_DATA,
    digest: Annotated[bool, typer.Option(help="Read the whole state for its digest.")] = True,
    url: LiveUrl = None,
    output: OutputOption = None,
) -> None:
    """Copy the state, with hard links where possible; a state that is lost later begins there."""
    if url is not None:
        with server(url) as client:
            made = snapshot_live(client, digest=digest)
        report = SnapshotReport(made.name, made.position, made.size_bytes, made.digest)
    else:
        with _caught_up(folder) as state:
            saved = state.save_snapshot(digest=digest)
        report = SnapshotReport(str(saved.path), *_described(saved.manifest))
    _print_snapshots([report], chosen(output))


@state_app.command("snapshots")
def snapshots_command(folder: Folder = DEFAULT_DATA, output: OutputOption = None) -> None:
    """List the snapshots there are."""
    with _state(folder) as state:
        found = [SnapshotReport(str(one.path), *_described(one.manifest)) for one in state.snapshots()]
    _print_snapshots(found, chosen(output))


@state_app.command("dead-letters")
def dead_letters_command(
    folder: Folder = DEFAULT_DATA,
    retry: Annotated[bool, typer.Option("--retry", help="Try to fold them again, as of now.")] = False,
    output: OutputOption = None,
) -> None:
    """List the events that could not be folded, and why; with --retry exit code 7 if some still cannot be."""
    with _caught_up(folder, or_stopped=True) as state:  # what stops the fold must not hide why
        if retry:
            retried = state.retry_dead_letters()
            talk.print(f"retried {counted(retried.retried_count, 'event')}: {len(retried.applied)} applied")
        letters = [
            LetterReport(letter.seq, letter.fold, letter.attempts, letter.reason)
            for letter in state.dead_letters(count_max=_LETTERS_SHOWN)
        ]
        count = state.dead_letter_count()
    if chosen(output) is Output.TABLE:
        rows = [(str(one.seq), one.fold, str(one.attempts), shown_lines(one.reason)) for one in letters]
        print_table(("seq", "fold", "attempts", "reason"), rows, right=("seq", "attempts"))
    else:
        for letter in letters:
            print_json(letter, chosen(output))
    if count > len(letters):
        talk.print(f"{count - len(letters):,} more are not shown")
    if retry and count:
        raise typer.Exit(EXIT_PARTLY)


def _rebuilt(data: Path, log: FileLog, moved: OnProgress, *, digest: bool) -> Rebuilt:
    """Beside the old state, or in its place if that cannot be opened."""
    try:
        with open_state(data, log, NodeConfig()) as state:
            return state.rebuild(moved, digest=digest)
    except (StateDamaged, WrongLog) as error:
        talk.print(f"the old state cannot be used: {shown_lines(str(error))}", markup=False)
    position = remake_state(data, log, NodeConfig(), moved)
    with open_state(data, log, NodeConfig()) as state:
        return Rebuilt(position, None, state.digest() if digest else None)


@contextmanager
def _state(data: Path) -> Iterator[State[LoggedEvent]]:
    """The state of a data folder, which nothing is folded into."""
    with _log(data) as log, open_state(data, log, NodeConfig()) as state:
        yield state


@contextmanager
def _log(data: Path) -> Iterator[FileLog]:
    """The log of a data folder; what goes wrong meanwhile ends the command with its exit code."""
    if not (data / LOG_FOLDER).is_dir():
        talk.print(f"error: {data} is not a data folder: it has no {LOG_FOLDER}/", markup=False)
        talk.print(f"  hint: name another; `episteme serve --data {data}` makes a new database", markup=False)
        raise typer.Exit(EXIT_USAGE)
    try:
        with FileLog.open(data / LOG_FOLDER, clock_ms=system_clock_ms, new_log_id=lambda: os.urandom(16)) as log:
            yield log
    except LogLocked:
        told = in_use(data, data / LOG_FOLDER / "LOCK")
        fail(CannotOpen(told.detail, hint=_LIVE_HINT))
    except TimeoutError as error:
        fail(NotReady(str(error)))
    except OSError as error:
        fail((DiskFull if error.errno in (ENOSPC, EDQUOT) else CannotOpen)(f"{data}: {error}"))
    except Exception as error:
        if getattr(error, "code", None) is None:
            raise
        fail(translate(error))


@contextmanager
def _caught_up(data: Path, *, or_stopped: bool = False) -> Iterator[State[LoggedEvent]]:
    """As _state, with all events folded; or_stopped: or as many as could be."""
    with _state(data) as state:
        if state.lag or state.outdated:
            with bar("folding") as moved:
                state.start()
                end = state.watermark.seq + state.lag
                while state.outdated or state.watermark.seq < end:
                    if state.failure is not None and or_stopped:
                        break
                    if state.failure is not None:
                        raise state.failure.again()
                    moved(state.rebuilt_seq if state.outdated else state.watermark.seq, end)
                    time.sleep(_LOOK_S)
        yield state


def _described(manifest: Manifest) -> tuple[int, int, str | None]:
    return manifest.position, manifest.size_bytes, manifest.digest


def _print_snapshots(found: Sequence[SnapshotReport], output: Output) -> None:
    if output is not Output.TABLE:
        for one in found:
            print_json(one, output)
        return
    rows = [(f"{one.events:,}", f"{one.bytes / 1e6:.1f} MB", short(one.digest or "-"), one.path) for one in found]
    print_table(("events", "size", "digest", "folder"), rows, right=("events", "size"))
