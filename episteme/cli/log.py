"""episteme log verify."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from episteme.check import ClaimCheck, check_claims
from episteme.cli.output import Output, chosen, fail, print_fields, print_json, print_table, shown_lines, talk
from episteme.cli.session import OutputOption
from episteme.config import DEFAULT_DATA
from episteme.errors import EXIT_VERIFICATION, CannotOpen
from episteme.node import LOG_FOLDER
from wal import LogError

log_app = typer.Typer(no_args_is_help=True, help="Look after a log, offline.")


class Verified(msgspec.Struct, frozen=True):
    """What `log verify` prints."""

    ok: bool
    log_id: str
    segments: int
    frames: int
    end_seq: int
    bytes: int
    events: int
    signatures: int
    findings: list[dict[str, str | int]]


@log_app.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="A data folder, or a log's own.")] = DEFAULT_DATA,
    output: OutputOption = None,
) -> None:
    """Check every frame, the chain, every hash and every signature; exit code 4 if anything is damaged.

    Changes nothing and may run beside a server: what it is just writing shows as an unfinished tail.
    """
    path = folder / LOG_FOLDER if (folder / LOG_FOLDER).is_dir() else folder
    try:
        with _progress() as progress:
            task = progress.add_task("verifying", total=None)
            found = check_claims(path, lambda count: progress.advance(task, count))
    except LogError as error:
        fail(CannotOpen(str(error)))
    _print_found(found, chosen(output))
    if found.damaged:
        raise typer.Exit(EXIT_VERIFICATION)


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description} {task.completed:,.0f} events"),
        TimeElapsedColumn(),
        console=talk,
        transient=True,
        disable=not talk.is_terminal,
    )


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
                log.end_seq,
                log.size_bytes,
                found.event_count,
                found.signature_count,
                findings,
            ),
            output,
        )
        return
    print_fields(
        [
            ("log", log.log_id.hex()),
            ("frames", f"{log.frame_count:,} in {log.segment_count} segments, {log.size_bytes / 1e6:.1f} MB"),
            ("events", f"{found.event_count:,} hashes and {found.signature_count:,} signatures checked"),
            ("result", "damaged" if found.damaged else "ok"),
        ]
    )
    if found.findings:
        print_table(
            ("finding", "file", "byte", "detail"),
            [(one.severity, str(one.path), str(one.offset), shown_lines(one.detail)) for one in found.findings],
            right=("byte",),
        )
