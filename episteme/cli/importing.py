"""episteme import."""

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from episteme.api import Database
from episteme.cli.output import Output, chosen, fail, print_fields, print_json, talk
from episteme.cli.session import KEY_DEFAULT, URL_DEFAULT, Data, KeyName, OutputOption, Url, database, signing_key
from episteme.cli.write import LifecycleName, SourceClassName, ValueType
from episteme.errors import EXIT_PARTLY, EXIT_USAGE, EpistemeError
from episteme.importer import (
    SAYS_NOTHING,
    Keyring,
    Plan,
    Skipped,
    check_columns,
    claims,
    read_columns,
    read_rows,
    summarize_skipped,
)
from episteme.receipts import IngestResult
from model import SignedEvent

_READABLE_WAIT_S = 30.0
_NOTHING_SHOWN = ", ".join(SAYS_NOTHING[1:])


class Report(msgspec.Struct):
    """What an import did.  rows = accepted + duplicate + refused + the sum of skipped."""

    rows: int = 0
    accepted: int = 0
    duplicate: int = 0
    refused: int = 0
    skipped: dict[str, int] = {}
    keys: int = 0
    keys_made: int = 0
    last_seq: int = -1
    seconds: float = 0.0
    claims_per_second: int = 0
    rejected_file: str | None = None


def import_claims(
    file: Annotated[Path, typer.Argument(help="A CSV file with a header.", exists=True, dir_okay=False, readable=True)],
    subject: Annotated[str, typer.Option("--subject", help="Template, such as 'isbn:{isbn}'.")],
    predicate: Annotated[str, typer.Option("--predicate", help="Template.")],
    object_: Annotated[str, typer.Option("--object", help="Template, such as '{authors}'.")],
    value_type: Annotated[ValueType, typer.Option("--type", help="How to read the object.")] = ValueType.TEXT,
    sign_per: Annotated[
        str | None, typer.Option("--sign-per", help="A column: one key for each of its values, made when missing.")
    ] = None,
    confidence: Annotated[str, typer.Option("--confidence", help="0 to 1.")] = "1",
    source_class: Annotated[
        SourceClassName, typer.Option("--source-class", help="The tier of all rows.")
    ] = SourceClassName.COMMUNITY,
    lifecycle: Annotated[
        LifecycleName, typer.Option("--lifecycle", help="The stage of all rows.")
    ] = LifecycleName.APPROVED,
    metadata: Annotated[list[str] | None, typer.Option("--metadata", help="name=template; repeatable.")] = None,
    timestamp: Annotated[
        int | None, typer.Option("--timestamp", help="Milliseconds since 1970. [default: the file's modification time]")
    ] = None,
    nothing: Annotated[
        list[str] | None,
        typer.Option("--nothing", help=f"An object that says nothing; repeatable. [default: {_NOTHING_SHOWN}]"),
    ] = None,
    key: KeyName = KEY_DEFAULT,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Sign the rows of a CSV file as claims and write them.  Run it again to go on where it stopped."""
    plan = Plan(
        subject=subject,
        predicate=predicate,
        object=object_,
        object_type=value_type.value,
        confidence=confidence,
        source_class=source_class.value,
        lifecycle=lifecycle.value,
        timestamp_ms=int(file.stat().st_mtime * 1000) if timestamp is None else timestamp,
        metadata=_metadata(metadata or []),
        says_nothing=SAYS_NOTHING if nothing is None else ("", *(text.casefold() for text in nothing)),
        sign_per=sign_per,
    )
    try:
        check_columns(plan, read_columns(file))
    except EpistemeError as error:
        fail(error)
    keyring = Keyring(plan, lambda: signing_key(key))
    with database(url, data) as db:
        report, failure = _run(db, file, plan, keyring)
    _print_report(report, chosen(output))
    if failure is not None:
        fail(failure)
    if report.refused:
        raise typer.Exit(EXIT_PARTLY)


def _run(db: Database, file: Path, plan: Plan, keyring: Keyring) -> tuple[Report, EpistemeError | None]:
    report, skipped, refused = Report(), list[Skipped](), list[IngestResult]()
    lines: deque[int] = deque()
    started_s = time.monotonic()

    def events(progress: Progress, task: TaskID) -> Iterator[SignedEvent]:
        for line, signed in claims(_counted(file, report, progress, task), plan, keyring, skipped.append):
            lines.append(line)
            yield signed

    failure: EpistemeError | None = None
    with _progress() as progress:
        task = progress.add_task(f"importing {file.name}", total=_line_count(file) - 1)
        try:
            for result in db.ingest(events(progress, task)):
                line = lines.popleft()
                if result.status == "refused":
                    refused.append(msgspec.structs.replace(result, line=line))
                elif result.status == "duplicate":
                    report.duplicate += 1
                else:
                    report.accepted += 1
                if result.seq is not None:
                    report.last_seq = max(report.last_seq, result.seq)
            progress.update(task, completed=report.rows, total=report.rows)
            _wait_readable(db, report.last_seq)
        except EpistemeError as error:  # what was done until then is told all the same
            failure = error
    report.seconds = round(time.monotonic() - started_s, 3)
    report.claims_per_second = round((report.accepted + report.duplicate) / max(report.seconds, 0.001))
    report.refused = len(refused)
    report.skipped = summarize_skipped(skipped)
    report.keys, report.keys_made = len(keyring), keyring.made_count
    report.rejected_file = _write_rejected(file, skipped, refused)
    return report, failure


def _counted(file: Path, report: Report, progress: Progress, task: TaskID) -> Iterator[tuple[int, dict[str, str]]]:
    for line, row in read_rows(file):
        report.rows += 1
        if report.rows % 200 == 0:
            progress.update(task, completed=report.rows)
        yield line, row


def _wait_readable(db: Database, seq: int) -> None:
    """Come back once a query sees all that was written."""
    if seq >= 0:
        db.query("-", "-", min_seq=seq, wait_s=_READABLE_WAIT_S)


def _write_rejected(file: Path, skipped: list[Skipped], refused: list[IngestResult]) -> str | None:
    """Rows that are no claim for a reason worth reading, beside the file; None if there are none."""
    invalid = [one for one in skipped if one.reason != "says nothing"]
    if not invalid and not refused:
        return None
    path = Path(f"{file.name}.rejected")
    lines = [*invalid, *({"line": one.line, "reason": one.code, "detail": one.detail} for one in refused)]
    path.write_bytes(msgspec.json.Encoder().encode_lines(lines))
    return str(path)


def _line_count(file: Path) -> int:
    with file.open("rb") as opened:
        return sum(block.count(b"\n") for block in iter(lambda: opened.read(1 << 20), b""))


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=talk,
        disable=not talk.is_terminal,
    )


def _metadata(pairs: list[str]) -> dict[str, str]:
    split = dict(pair.partition("=")[::2] for pair in pairs)
    if "" in split or any("=" not in pair for pair in pairs):
        talk.print("error: --metadata takes name=template")
        raise typer.Exit(EXIT_USAGE)
    return split


def _print_report(report: Report, output: Output) -> None:
    if output is not Output.TABLE:
        print_json(report, output)
        return
    print_fields(
        [
            ("rows", f"{report.rows:,}"),
            ("accepted", f"{report.accepted:,} claims, signed by {report.keys:,} keys ({report.keys_made:,} made)"),
            ("duplicate", f"{report.duplicate:,} rows said the same again"),
            *((f"skipped {reason}", f"{count:,}") for reason, count in report.skipped.items()),
            ("refused", f"{report.refused:,}"),
            ("time", f"{report.seconds:.1f} s until readable, {report.claims_per_second:,} claims/s"),
        ]
    )
    if report.rejected_file is not None:
        talk.print(f"rows that were not taken, with reasons: {report.rejected_file}", markup=False)
