"""episteme backup, restore."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from msgspec import Struct

from episteme.cli.answers import time_text
from episteme.cli.bar import bar
from episteme.cli.live import state_of
from episteme.cli.output import Output, chosen, counted, print_fields, print_json, talk
from episteme.cli.session import URL_DEFAULT, Data, OutputOption, Url, offline_config, server
from episteme.cli.steps import failing
from episteme.client import Client
from episteme.errors import EXIT_USAGE, CannotOpen, VerificationFailed
from episteme.moving import (
    FrameSource,
    LineSource,
    LogSource,
    Manifest,
    check_backup,
    fold_apart,
    take_backup,
)
from episteme.moving import restore as restore_backup
from episteme.moving.backup import FRAMES, SCRATCH
from episteme.node import LOG_FOLDER, system_clock_ms
from episteme.state import open_state
from wal import FileLog, LogError, ReadOnlyLog

_NOT_IN_IT: Final = "not in it: keys/ (the operator key, API tokens) and the audits; copy what you need of those"

StateAt = Callable[[], tuple[int, str]]  # how many positions the source's state has folded, and its digest


class BackupReport(Struct, frozen=True):
    """What `backup` prints."""

    folder: str
    database: str
    frames: int
    new_frames: int
    last_seq: int
    last_time_ms: int | None
    digest: str
    signatures: bool
    state_digest: str | None
    state_position: int | None


class RestoreReport(Struct, frozen=True):
    """What `restore` prints."""

    data: str
    database: str
    last_seq: int
    state_digest: str
    dead_letters: int


def backup(
    to: Annotated[Path, typer.Argument(metavar="TO", help="The backup's folder: a new one, or that of the last run.")],
    check: Annotated[bool, typer.Option("--check", help="Copy nothing: only look whether TO is whole.")] = False,
    signatures: Annotated[
        bool, typer.Option("--signatures", help="Verify every signature too, not only frames, chain and hashes.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Fold the copy, and compare its state with the source's at that position.")
    ] = False,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Copy a running database's log, exactly, and verify the copy.  Run it again to add what is new.

    With --data DIR from the folder, beside its server or without one; else from the server at --url. Exit code 4 if
    the copy is not what it should be.
    """
    with failing(to):
        if check:
            if deep:
                _refuse("--check --deep: with --deep there must be a source to compare with")
            manifest, new_frames, found = check_backup(to, bar, signatures=signatures), 0, None
        else:
            with _source(url, data) as (source, state_at):
                found = state_at() if deep else None
                taken = take_backup(
                    to, source, bar, clock_ms=system_clock_ms, version=version("episteme-db"), signatures=signatures
                )
            manifest, new_frames = taken.manifest, taken.new_frames
            if found is not None:
                _compare(to, *found)
    _print_backup(_report(to, manifest, new_frames, found), chosen(output))


def restore(
    backup: Annotated[Path, typer.Argument(metavar="FROM", help="A backup's folder.")],
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Where the database goes: a new folder, or an empty one.")
    ],
    to_seq: Annotated[int | None, typer.Option("--to-seq", min=0, help="Only positions up to this one.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Verify every signature first.")] = False,
    output: OutputOption = None,
) -> None:
    """Make a database of a backup: verified, opened and folded before it gets its name.

    Never over anything that is there. Exit code 4 for a damaged backup; nothing is made then.
    """
    with failing(backup):
        made = restore_backup(backup, data, bar, clock_ms=system_clock_ms, to_seq=to_seq, signatures=verify)
    report = RestoreReport(str(data), made.database, made.last_seq, made.folded.digest, made.folded.dead_letters)
    if chosen(output) is Output.TABLE:
        print_fields(
            [
                ("data folder", report.data),
                ("database", report.database),
                ("last seq", str(report.last_seq)),
                ("state", f"{report.state_digest}, folded anew"),
                *([("dead letters", str(report.dead_letters))] if report.dead_letters else []),
            ]
        )
    else:
        print_json(report, chosen(output))
    talk.print(f"next: put keys/ back into {data}, then `episteme serve --data {data}`", markup=False)


@contextmanager
def _source(url: str, data: Path | None) -> Iterator[tuple[FrameSource, StateAt]]:
    if data is None:
        with server(url) as client:
            yield _source_of(client), lambda: state_of(client)
        return
    folder = data / LOG_FOLDER
    if not folder.is_dir():
        _refuse(f"{data} is not a data folder: it has no {LOG_FOLDER}/")
    with ReadOnlyLog.open(folder) as log:
        yield LogSource(log), lambda: _state_of_folder(data)


def _source_of(client: Client) -> LineSource:
    """The log of a server, up to where it ends now."""
    status = client.status()
    return LineSource(status.database, status.log.seq + 1, lambda after: client.tail(after, follow=False))


def _state_of_folder(data: Path) -> tuple[int, str]:
    """Raises: CannotOpen while somebody has the folder."""
    try:
        log = FileLog.open(data / LOG_FOLDER, clock_ms=system_clock_ms, new_log_id=_no_new_log)
    except LogError as error:
        raise CannotOpen(f"--deep must open the state: {error}; ask its server, with --url") from error
    with log, open_state(data, log, offline_config(data)) as state:
        return state.watermark.seq, state.digest()


def _no_new_log() -> bytes:
    raise AssertionError("the log is there already")


def _compare(folder: Path, position: int, digest: str) -> None:
    """Raises: VerificationFailed if the copy comes to something else."""
    with bar("folding") as moved:
        folded = fold_apart(folder / FRAMES, position, folder / SCRATCH, system_clock_ms, moved)
    if folded.digest != digest:
        raise VerificationFailed(
            f"the first {position} events come to {folded.digest}, and the source's state says {digest}: it is the "
            "state that is wrong, or another version of the program made it; `episteme rebuild` makes it anew"
        )


def _report(folder: Path, manifest: Manifest, new_frames: int, state: tuple[int, str] | None) -> BackupReport:
    position, digest = state or (None, None)
    return BackupReport(
        str(folder),
        manifest.database,
        manifest.frames,
        new_frames,
        manifest.frames - 1,
        manifest.last_time_ms,
        manifest.digest,
        manifest.signatures,
        digest,
        position,
    )


def _print_backup(report: BackupReport, output: Output) -> None:
    if output is not Output.TABLE:
        print_json(report, output)
        return
    checked = "frames, chain, hashes" + (" and signatures" if report.signatures else "")
    time = "" if report.last_time_ms is None else f", the last at {time_text(report.last_time_ms)}"
    print_fields(
        [
            ("backup", report.folder),
            ("database", report.database),
            ("events", f"{counted(report.frames, 'frame')}, {report.new_frames:,} new{time}"),
            ("digest", report.digest),
            ("verified", f"{checked}: opened again and walked"),
            *([("state", f"{report.state_digest}, as the source's")] if report.state_digest else []),
        ]
    )
    talk.print(_NOT_IN_IT, markup=False)


def _refuse(detail: str) -> NoReturn:
    talk.print(f"error: {detail}", markup=False)
    raise typer.Exit(EXIT_USAGE)
