"""episteme doctor."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from episteme.cli.bar import bar
from episteme.cli.live import operate
from episteme.cli.output import Output, chosen, print_list, print_table, shown_lines, talk
from episteme.cli.session import URL_DEFAULT, Data, OutputOption, Url, check_folder, offline_config, server
from episteme.cli.steps import failing
from episteme.doctor import Check, Folded, Patient, backup_check, examine, unopened
from episteme.errors import EXIT_FAILED
from episteme.node import LOG_FOLDER, system_clock_ms
from episteme.state import STATE_FOLDER, open_state
from wal import FileLog, ReadOnlyLog

_STYLES: Final = {"warn": "yellow", "fail": "bold red", "skipped": "dim"}


def doctor(
    deep: Annotated[
        bool, typer.Option("--deep", help="Verify every signature, and fold the whole log once more to compare.")
    ] = False,
    backup: Annotated[
        Path | None, typer.Option("--backup", metavar="DIR", help="A backup that should be young; see `backup`.")
    ] = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Look a database over, and say what to do: disk, keys, log, state, and whether the answers are those of the log.

    With --data DIR a folder, beside its server or without one; else the server at --url, which looks itself over and
    asks for an admin token. Exit code 1 if anything fails.
    """
    if data is None:
        with server(url) as client:
            checks = operate(client, "looking", "/v1/admin/doctor", {"deep": "1"} if deep else {}).checks or []
            status = client.status()
        database, frames = status.database, status.log.seq + 1
    else:
        check_folder(data)
        with failing(data), _patient(data) as (patient, before):
            with bar("looking") as moved:
                checks = [*before, *examine(patient, moved, deep=deep)]
            database, frames = patient.log.log_id.hex(), patient.log.durable_end
    checks.append(backup_check(backup, database, frames, system_clock_ms()))
    _print(checks, chosen(output))
    if any(check.level == "fail" for check in checks):
        raise typer.Exit(EXIT_FAILED)


@contextmanager
def _patient(data: Path) -> Iterator[tuple[Patient, list[Check]]]:
    """The folder, and what is to be said of its opening."""
    config = offline_config(data)
    with ExitStack() as opened:
        readable = opened.enter_context(ReadOnlyLog.open(data / LOG_FOLDER))
        before: list[Check] = []
        folded = None
        if (data / STATE_FOLDER).is_dir():
            try:
                log = opened.enter_context(
                    FileLog.open(data / LOG_FOLDER, clock_ms=system_clock_ms, new_log_id=_no_new_log)
                )
                folded = Folded(opened.enter_context(open_state(data, log, config)), log)
            except Exception as error:
                if getattr(error, "code", None) is None:
                    raise
                before = unopened(error)
        yield Patient(data, readable, readable.size_bytes, folded, config, system_clock_ms), before


def _no_new_log() -> bytes:
    raise AssertionError("the log is there already")


def _print(checks: list[Check], output: Output) -> None:
    if output is not Output.TABLE:
        print_list(checks, output)
        return
    print_table(("", "look at", "found"), [(check.level, check.name, shown_lines(check.detail)) for check in checks])
    for check in checks:
        if check.fix:
            talk.print(Text.assemble((f"{check.level} ", _STYLES[check.level]), f"{check.name}: {check.fix}"))
