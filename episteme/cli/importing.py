"""episteme import."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer
from msgspec import Struct

from episteme.cli.bar import bar
from episteme.cli.ingesting import Ingestion, Item, print_report
from episteme.cli.output import Output, chosen, fail, print_fields, print_json, talk
from episteme.cli.session import KEY_DEFAULT, URL_DEFAULT, Data, KeyName, OutputOption, Url, patient, signing_key
from episteme.cli.steps import failing
from episteme.cli.write import LifecycleName, SourceClassName, ValueType
from episteme.errors import EXIT_PARTLY, EXIT_USAGE, Refused
from episteme.importer import (
    SAYS_NOTHING,
    Keyring,
    Plan,
    Skipped,
    bundled_claims,
    check_columns,
    claims,
    events_in,
    read_columns,
    read_objects,
    read_rows,
    unsigned,
)
from episteme.moving import FileKind, Imported, check_export, import_exactly, kind_of_file, numbered_lines
from episteme.node import system_clock_ms

_NOTHING_SHOWN: Final = ", ".join(SAYS_NOTHING[1:])
_MAPPED: Final = ("claims", "csv")  # files that say nothing of how they are to be read


class _Target(NamedTuple):
    """Where to, and what to print; dry_run: nowhere."""

    url: str
    data: Path | None
    output: Output
    dry_run: bool


class ExactReport(Struct, frozen=True):
    """What an import into an empty folder prints; nothing was written if data is null."""

    data: str | None
    database: str
    last_seq: int
    events: int
    signatures: int
    state_digest: str | None


def import_claims(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV with a header, lines of JSON, signed envelopes, or an export; may be packed (.gz, .zst).",
            exists=True,
            dir_okay=False,
            readable=True,
        ),
    ],
    subject: Annotated[
        str | None, typer.Option("--subject", help="Of CSV and plain JSON: a template, such as 'isbn:{isbn}'.")
    ] = None,
    predicate: Annotated[str | None, typer.Option("--predicate", help="Template.")] = None,
    object_: Annotated[str | None, typer.Option("--object", help="Template, such as '{authors}'.")] = None,
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
    sign_each: Annotated[
        bool,
        typer.Option("--sign-each", help="A signature for each row, not one for a thousand in a bundle."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, and write nothing.")] = False,
    key: KeyName = KEY_DEFAULT,
    url: Url = URL_DEFAULT,
    data: Data = None,
    output: OutputOption = None,
) -> None:
    """Write what a file holds.  Run it again to go on where it stopped: what is there already is told as duplicate.

    Rows are signed as claims by way of templates; events that are signed already are written as they are. The export
    of a whole log with --data of a new folder makes the same database: same id, positions, times and signatures, all
    verified, or nothing.
    """
    target = _Target(url, data, chosen(output), dry_run)
    with failing(file):
        kind = kind_of_file(file)
        if kind in _MAPPED:
            plan = Plan(
                subject=_given(subject, "--subject"),
                predicate=_given(predicate, "--predicate"),
                object=_given(object_, "--object"),
                object_type=value_type.value,
                confidence=confidence,
                source_class=source_class.value,
                lifecycle=lifecycle.value,
                timestamp_ms=int(file.stat().st_mtime * 1000) if timestamp is None else timestamp,
                metadata=_metadata(metadata or []),
                says_nothing=SAYS_NOTHING if nothing is None else ("", *(text.casefold() for text in nothing)),
                sign_per=sign_per,
            )
            _import_rows(file, kind, plan, key, target, sign_each=sign_each)
        elif kind == "export" and data is not None and not _holds_something(data):
            _import_exactly(file, data, target)
        else:
            _import_events(file, kind, target)


def _import_rows(file: Path, kind: FileKind, plan: Plan, key: str, target: _Target, *, sign_each: bool) -> None:
    if kind == "csv":
        check_columns(plan, read_columns(file))
    else:
        check_columns(plan, next((list(row) for _, row in read_objects(file, lambda _: None)), []))
    keyring = Keyring(plan, lambda: signing_key(key))
    ingestion = Ingestion(file)

    def unread(line: Skipped) -> None:
        ingestion.report.rows += 1
        ingestion.skip(line)

    def rows() -> Iterator[tuple[int, dict[str, str]]]:
        for numbered in read_rows(file) if kind == "csv" else read_objects(file, unread):
            ingestion.report.rows += 1
            yield numbered

    if target.dry_run:
        ingestion.report.accepted = sum(1 for _ in unsigned(rows(), plan, ingestion.skip))
        _finish(ingestion, target)
        return
    with patient(target.url, target.data) as db:
        sign = claims if sign_each else bundled_claims
        ingestion.run(db, iter(sign(rows(), plan, keyring, ingestion.skip)), _line_count(file), ordered=False)
    ingestion.report.keys, ingestion.report.keys_made = len(keyring), keyring.made_count
    _finish(ingestion, target)


def _import_events(file: Path, kind: FileKind, target: _Target) -> None:
    """Into a database that is there: at other positions, and each refused that it would refuse from anybody."""
    ingestion = Ingestion(file)

    def events() -> Iterator[Item]:
        for number, event in events_in(file, kind, ingestion.skip):
            ingestion.report.rows += 1
            yield number, event

    if target.dry_run:
        for _ in events():
            ingestion.report.accepted += 1
        _finish(ingestion, target)
        return
    with patient(target.url, target.data) as db:
        ingestion.run(db, events(), _line_count(file), ordered=True)
    _finish(ingestion, target)


def _import_exactly(file: Path, data: Path, target: _Target) -> None:
    if target.dry_run:
        checked = check_export(file, bar)
        report = ExactReport(None, checked.database, checked.last_seq, checked.events, checked.signatures, None)
    else:
        made: Imported = import_exactly(file, data, bar, clock_ms=system_clock_ms)
        digest = made.folded.digest
        report = ExactReport(str(data), made.database, made.last_seq, made.events, made.signatures, digest)
    if target.output is not Output.TABLE:
        print_json(report, target.output)
        return
    print_fields(
        [
            ("data folder", report.data or "none: a dry run"),
            ("database", report.database),
            ("last seq", str(report.last_seq)),
            ("verified", f"{report.events:,} hashes and {report.signatures:,} signatures"),
            *([("state", f"{report.state_digest}, folded anew")] if report.state_digest else []),
        ]
    )


def _finish(ingestion: Ingestion, target: _Target) -> None:
    report = ingestion.finish()
    print_report(report, target.output)
    if target.dry_run:
        talk.print("a dry run: nothing was written")
    if ingestion.failure is not None:
        if not isinstance(ingestion.failure, Refused):
            talk.print("it stopped there: run it again to go on, what is there already is told as duplicate")
        fail(ingestion.failure)
    if ingestion.is_partial:
        raise typer.Exit(EXIT_PARTLY)


def _holds_something(data: Path) -> bool:
    return data.exists() and (not data.is_dir() or any(data.iterdir()))


def _given(template: str | None, option: str) -> str:
    if template is None:
        raise typer.BadParameter("is missing: this file says nothing of it by itself", param_hint=option)
    return template


def _line_count(file: Path) -> int:
    return sum(1 for _ in numbered_lines(file))


def _metadata(pairs: list[str]) -> dict[str, str]:
    split = dict(pair.partition("=")[::2] for pair in pairs)
    if "" in split or any("=" not in pair for pair in pairs):
        talk.print("error: --metadata takes name=template")
        raise typer.Exit(EXIT_USAGE)
    return split
