"""episteme log info, read, verify, repair, dump."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Final, NoReturn

import msgspec
import typer

from episteme.check import ClaimCheck, check_claims
from episteme.cli.app import App
from episteme.cli.bar import bar
from episteme.cli.frames import parse_time, print_frames
from episteme.cli.lines import LinePrinter
from episteme.cli.loginfo import print_info
from episteme.cli.output import (
    Output,
    chosen,
    counted,
    fail,
    print_fields,
    print_json,
    print_table,
    shown_lines,
    talk,
)
from episteme.cli.session import OutputOption
from episteme.config import DEFAULT_DATA
from episteme.errors import EXIT_USAGE, EXIT_VERIFICATION, CannotOpen, Damaged, EpistemeError
from episteme.loginfo import log_info
from episteme.node import LOG_FOLDER
from episteme.tailing import LogFilter, tail_of
from wal import Corrupt, LogError, Quarantined, ReadOnlyLog, Repaired, dump_log, repair_log

log_app = App(help="Look after a log, offline.")

_DUMP_COUNT: Final = 20
_DUMP_COUNT_MAX: Final = 100_000  # a table is held in memory until it is whole

Folder = Annotated[Path, typer.Argument(metavar="[DIR]", help="A data folder, or a log's own.")]


class Verified(msgspec.Struct, frozen=True):
    """What `log verify` prints."""

    ok: bool
    log_id: str
    segments: int
    frames: int
    lost: int
    end_seq: int
    bytes: int
    events: int
    signatures: int
    findings: list[dict[str, str | int]]


class RepairReport(msgspec.Struct, frozen=True):
    """What `log repair` prints."""

    ok: bool
    folder: str
    log_id: str
    segments: int
    kept: int
    lost: int
    lost_seqs: tuple[tuple[int, int], ...]
    first_seq: int
    end_seq: int
    quarantined_bytes: int
    findings: tuple[Quarantined, ...]


@log_app.command()
def info(folder: Folder = DEFAULT_DATA, output: OutputOption = None) -> None:
    """Show which log it is, its positions and times, and its files.

    Changes nothing, checks nothing but headers, and may run beside a server.
    """
    with _errors():
        print_info(log_info(_log_folder(folder)), chosen(output))


@log_app.command()
def read(
    folder: Folder = DEFAULT_DATA,
    start: Annotated[int | None, typer.Option("--from", min=0, help="The first position.")] = None,
    after: Annotated[int | None, typer.Option("--after", min=-1, help="The position before the first.")] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="At most so many.")] = _DUMP_COUNT,
    output: OutputOption = None,
) -> None:
    """Show events as they were taken, a line each: what `episteme tail` shows, of a folder.

    Changes nothing and may run beside a server: shows what is on the disk for certain, and no more.
    """
    if start is not None and after is not None:
        _refuse("--from and --after: only one of them")
    with _errors(), ReadOnlyLog.open(_log_folder(folder)) as log:
        at = after if after is not None else (log.first_seq if start is None else start) - 1
        printer = LinePrinter(chosen(output))
        for line in islice(tail_of(log, at, LogFilter(), follow=False), count):
            printer(line)


@log_app.command()
def verify(folder: Folder = DEFAULT_DATA, output: OutputOption = None) -> None:
    """Check every frame, the chain, every hash and every signature; exit code 4 if anything is damaged.

    Changes nothing and may run beside a server: what it is just writing shows as an unfinished tail. Frames that
    an earlier repair could not save are listed as lost, and are no damage.
    """
    with bar("verifying", in_bytes=True) as progress, _errors():
        found = check_claims(_log_folder(folder), progress)
    _print_found(found, chosen(output))
    if found.damaged:
        raise typer.Exit(EXIT_VERIFICATION)


@log_app.command()
def repair(
    into: Annotated[Path, typer.Option("--into", metavar="NEWDIR", help="Where the new log goes: a new folder.")],
    folder: Folder = DEFAULT_DATA,
    output: OutputOption = None,
) -> None:
    """Make a sound log in a new folder from a damaged one, which is only read; exit code 4 if frames were lost.

    What can be saved keeps its position and its content. In place of a frame that cannot stands one that says why.
    Bytes that are no whole frames are kept in NEWDIR/quarantine.
    """
    with bar("repairing", in_bytes=True) as progress, _errors():
        repaired = repair_log(_log_folder(folder), into, on_progress=progress)
    _print_repaired(repaired, into, chosen(output))
    old = _log_folder(folder)
    talk.print(
        f"next: check it with `episteme log verify {into}`, then move {old} aside and {into} into its place, and "
        "move the state folder beside it away: it may hold what the log has lost, and is made anew",
        markup=False,
    )
    if repaired.lost:
        raise typer.Exit(EXIT_VERIFICATION)


@log_app.command()
def dump(
    folder: Folder = DEFAULT_DATA,
    start: Annotated[int | None, typer.Option("--from", min=0, help="Seq of the first frame.")] = None,
    time_from: Annotated[
        str | None,
        typer.Option("--time-from", help="Frames not before this time: ISO 8601, UTC unless it says, or milliseconds."),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=_DUMP_COUNT_MAX, help="At most so many.")] = _DUMP_COUNT,
    output: OutputOption = None,
) -> None:
    """Show frames as they stand; exit code 4 where damage ends the look.

    Changes nothing and may run beside a server, or on a damaged log.
    """
    if start is not None and time_from is not None:
        _refuse("--from and --time-from: only one of them")
    try:
        time_ms = None if time_from is None else parse_time(time_from)
    except ValueError:
        _refuse("--time-from takes a time such as 2026-01-31T12:00:00Z, or milliseconds since 1970")
    with _errors():
        frames = dump_log(_log_folder(folder), start, time_ms)
        damage = print_frames(islice(frames, count), chosen(output))
    if damage is not None:
        talk.print(f"stopped: {shown_lines(str(damage))}", markup=False)
        raise typer.Exit(EXIT_VERIFICATION)


def _log_folder(folder: Path) -> Path:
    return folder / LOG_FOLDER if (folder / LOG_FOLDER).is_dir() else folder


def _refuse(detail: str) -> NoReturn:
    talk.print(f"error: {detail}", markup=False)
    raise typer.Exit(EXIT_USAGE)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except EpistemeError as error:
        fail(error)
    except Corrupt as error:
        fail(Damaged(str(error)))
    except (LogError, OSError) as error:
        fail(CannotOpen(str(error)))


def _print_found(found: ClaimCheck, output: Output) -> None:
    log = found.log
    if output is not Output.TABLE:
        findings: list[dict[str, str | int]] = [
            {"severity": one.severity, "path": str(one.path), "offset": one.offset, "detail": one.detail}
            for one in found.findings
        ]
        print_json(
            Verified(
                not found.damaged,
                log.log_id.hex(),
                log.segment_count,
                log.frame_count,
                found.lost_count,
                log.end_seq,
                log.size_bytes,
                found.event_count,
                found.signature_count,
                findings,
            ),
            output,
        )
        return
    lost = f"; {counted(found.lost_count, 'frame')} lost in an earlier repair" if found.lost_count else ""
    print_fields(
        [
            ("log", log.log_id.hex()),
            (
                "frames",
                f"{log.frame_count:,} in {counted(log.segment_count, 'segment')}, {log.size_bytes / 1e6:.1f} MB",
            ),
            ("events", f"{found.event_count:,} hashes and {found.signature_count:,} signatures checked"),
            ("result", ("damaged" if found.damaged else "ok") + lost),
        ]
    )
    if found.findings:
        print_table(
            ("finding", "file", "byte", "detail"),
            [(one.severity, str(one.path), str(one.offset), shown_lines(one.detail)) for one in found.findings],
            right=("byte",),
        )
    if found.damaged:
        talk.print("hint: `episteme log repair` makes a sound log of what is whole")


def _print_repaired(repaired: Repaired, into: Path, output: Output) -> None:
    if output is not Output.TABLE:
        print_json(
            RepairReport(
                not repaired.lost,
                str(into),
                repaired.log_id.hex(),
                repaired.segment_count,
                repaired.kept_count,
                repaired.lost_count,
                repaired.lost,
                repaired.first_seq,
                repaired.end_seq,
                repaired.quarantined_bytes,
                repaired.findings,
            ),
            output,
        )
        return
    print_fields(
        [
            ("log", repaired.log_id.hex()),
            ("new folder", str(into)),
            ("kept", f"{counted(repaired.kept_count, 'frame')} in {counted(repaired.segment_count, 'segment')}"),
            ("lost", counted(repaired.lost_count, "frame")),
            ("quarantine", counted(repaired.quarantined_bytes, "byte")),
        ]
    )
    if repaired.findings:
        print_table(
            ("file", "byte", "length", "lost seqs", "reason"),
            [
                (one.file, str(one.offset), str(one.length), _seqs(one.seq_from, one.seq_to), shown_lines(one.reason))
                for one in repaired.findings
            ],
            right=("byte", "length"),
        )


def _seqs(first: int | None, last: int | None) -> str:
    if first is None or last is None:
        return ""
    return str(first) if first == last else f"{first} to {last}"
