"""episteme export."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import IO, Annotated, Final, NamedTuple

import typer

from episteme.cli.bar import Bar, bar
from episteme.cli.output import counted, talk
from episteme.cli.session import URL_DEFAULT, Data, Url, check_folder, server
from episteme.cli.steps import failing
from episteme.loglines import LogLine
from episteme.moving import (
    EXPORT_FORMAT,
    BundleLines,
    ExportHeader,
    lines_of_log,
    load_arrow,
    with_bundles,
    write_csv,
    write_lines,
    write_parquet,
    written,
)
from episteme.node import LOG_FOLDER
from episteme.tailing import BEGINNING, LogFilter, make_filter
from wal import ReadOnlyLog

_MOVED_EVERY: Final = 500  # lines from one look of the bar to the next


class Format(StrEnum):
    """How an export is written."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class _Source(NamedTuple):
    """Lines of a log, whose log it is, where it ends, and what finds the line of a bundle in it."""

    database: str
    end: int
    lines: Iterator[LogLine]
    bundle_line: Callable[[str], LogLine]


def export(
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="jsonl is lossless; csv and parquet are tables of claims. [default: by FILE]"),
    ] = None,
    after: Annotated[int, typer.Option("--after", min=-1, help="Only what came after this position.")] = BEGINNING,
    subject: Annotated[
        str | None, typer.Option("--subject", help="Only about this subject, or with a * at the end all that begin so.")
    ] = None,
    predicate: Annotated[str | None, typer.Option("--predicate", help="Only claims on this predicate.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Only events of this kind, such as vote.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="Only what this agent has signed.")] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="csv: leave text that a spreadsheet would run as a formula as it is.")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option("-O", "--to", metavar="FILE", help="Where to; .gz or .zst packs it. [default: standard output]"),
    ] = None,
    url: Url = URL_DEFAULT,
    data: Data = None,
) -> None:
    """Write the log as lines of JSON, lossless with all signatures, or its claims as a table.

    Of a whole log in jsonl `import` makes the same database again, bit for bit. With --data DIR from a folder, beside
    its server or without one.
    """
    chosen = format_ or _format_by(to)
    if chosen is Format.PARQUET and to is None and sys.stdout.isatty():
        raise typer.BadParameter("parquet is not for a terminal; name a file with -O", param_hint="--format")
    with failing(to or "standard output"):
        if chosen is Format.PARQUET:
            load_arrow()
        wanted = make_filter(subject, predicate, kind, agent)
        whole = wanted.takes_all and after == BEGINNING
        with _source(url, data, after, wanted) as source, bar("exporting") as moved, _out(to) as out:
            header = ExportHeader(
                episteme_export=EXPORT_FORMAT,
                database=source.database,
                whole=whole,
                version=version("episteme-db"),
            )
            lines = _watched(source, moved)
            if chosen is Format.JSONL and not whole:
                lines = with_bundles(lines, source.bundle_line)
            count = _write(chosen, lines, header, out, raw=raw)
    if to is not None:
        noun = "line" if chosen is Format.JSONL else "claim"
        talk.print(f"exported {counted(count, noun)} to {to}", markup=False)


def _write(chosen: Format, lines: Iterator[LogLine], header: ExportHeader, out: IO[bytes], *, raw: bool) -> int:
    if chosen is Format.CSV:
        return write_csv(lines, out, raw=raw)
    return write_parquet(lines, out) if chosen is Format.PARQUET else write_lines(lines, header, out)


@contextmanager
def _source(url: str, data: Path | None, after: int, wanted: LogFilter) -> Iterator[_Source]:
    if data is not None:
        check_folder(data)
        with ReadOnlyLog.open(data / LOG_FOLDER) as log:
            yield _Source(log.log_id.hex(), log.durable_end, lines_of_log(log, after, wanted), BundleLines(log).line)
        return
    with server(url) as client:
        status = client.status()
        lines = client.tail(
            after,
            follow=False,
            subject=wanted.subject,
            predicate=wanted.predicate,
            kind=wanted.kind,
            agent=None if wanted.agent is None else wanted.agent.hex(),
        )

        def bundle_line(bundle: str) -> LogLine:
            return next(client.tail(client.get_bundle(bundle).seq - 1, follow=False))

        yield _Source(status.database, status.log.seq + 1, lines, bundle_line)


@contextmanager
def _out(to: Path | None) -> Iterator[IO[bytes]]:
    if to is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with written(to) as out:
        yield out


def _watched(source: _Source, moved: Bar) -> Iterator[LogLine]:
    for number, line in enumerate(source.lines):
        yield line
        if number % _MOVED_EVERY == 0:
            moved(min(line.seq + 1, source.end), source.end)


def _format_by(to: Path | None) -> Format:
    """By the name's ending, that of packing aside."""
    suffixes = [] if to is None else [suffix for suffix in to.suffixes if suffix not in (".gz", ".zst")]
    known = {".csv": Format.CSV, ".parquet": Format.PARQUET}
    return known.get(suffixes[-1], Format.JSONL) if suffixes else Format.JSONL
