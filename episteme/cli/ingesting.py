"""Writing many events with a bar: what became of each is counted, and what was refused goes into a file."""

import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from episteme.api import Database
from episteme.bundling import Unbundling
from episteme.cli.bar import bar
from episteme.cli.output import Output, counted, print_fields, print_json, talk
from episteme.client import Client
from episteme.errors import EpistemeError
from episteme.importer import Skipped, summarize_skipped
from episteme.receipts import IngestResult
from model import SignedEvent

Item = tuple[int | None, SignedEvent | bytes]  # with its line in the file; a bundle that the import made has none

_READABLE_WAIT_S: Final = 30.0
_MOVED_EVERY: Final = 200
_KEPT_MAX: Final = 100_000  # refusals and skipped rows that are listed; further ones are counted


class Report(msgspec.Struct):
    """What an import did.  rows = accepted + duplicate + refused + the sum of skipped.

    bundles: by how many the rows were signed; they are events of their own, and no rows.
    refusals: how many for each reason.
    """

    rows: int = 0
    accepted: int = 0
    duplicate: int = 0
    refused: int = 0
    refusals: dict[str, int] = {}
    skipped: dict[str, int] = {}
    keys: int = 0
    keys_made: int = 0
    bundles: int = 0
    last_seq: int = -1
    seconds: float = 0.0
    claims_per_second: int = 0
    rejected_file: str | None = None


class Ingestion:
    """One import: rows in, a report out.  For one thread."""

    def __init__(self, file: Path) -> None:
        self.report = Report()
        self.failure: EpistemeError | None = None
        self._file = file
        self._skipped: list[Skipped] = []
        self._refused: list[IngestResult] = []
        self._skipped_counts: Counter[str] = Counter()
        self._refused_counts: Counter[str] = Counter()

    def skip(self, skipped: Skipped) -> None:
        """Note a row that became no event."""
        for reason, count in summarize_skipped([skipped]).items():
            self._skipped_counts[reason] += count
        if skipped.is_fault and len(self._skipped) < _KEPT_MAX:
            self._skipped.append(skipped)

    @property
    def is_partial(self) -> bool:
        """Whether lines are left that somebody must mend."""
        return bool(self._skipped or self.report.refused)

    def run(self, db: Database, items: Iterator[Item], rows_max: int, *, ordered: bool) -> None:
        """Write the items, and wait until they can be read; an error ends it and is kept in failure.

        ordered: whether the log must keep their order.
        """
        report, lines, unbundling = self.report, deque[int](), Unbundling()
        started_s = time.monotonic()

        def events() -> Iterator[SignedEvent | bytes]:
            for line, event in items:
                if line is None:
                    report.bundles += 1
                else:
                    lines.append(line)
                    if line % _MOVED_EVERY == 0:
                        moved(min(line, rows_max), rows_max)
                unbundling.sent(is_bundle=line is None)
                yield event

        with bar(f"importing {self._file.name}") as moved:
            try:
                results = db.ingest(events(), ordered=ordered) if isinstance(db, Client) else db.ingest(events())
                for result in results:
                    told = unbundling.take(result)
                    if told is not None:
                        self._count(told, lines.popleft())
                _wait_readable(db, report.last_seq)
            except EpistemeError as error:  # what was done until then is told all the same
                self.failure = error
        report.seconds = round(time.monotonic() - started_s, 3)
        report.claims_per_second = round((report.accepted + report.duplicate) / max(report.seconds, 0.001))

    def finish(self) -> Report:
        """The report, once the file of what was not taken is written."""
        report = self.report
        report.skipped = dict(sorted(self._skipped_counts.items(), key=lambda pair: (-pair[1], pair[0])))
        report.refusals = dict(self._refused_counts.most_common())
        report.refused = sum(self._refused_counts.values())
        report.rejected_file = self._write_rejected()
        return report

    def _count(self, result: IngestResult, line: int) -> None:
        report = self.report
        if result.status == "refused":
            self._refused_counts[result.code or "refused"] += 1
            if len(self._refused) < _KEPT_MAX:
                self._refused.append(msgspec.structs.replace(result, line=line))
        elif result.status == "duplicate":
            report.duplicate += 1
        else:
            report.accepted += 1
        if result.seq is not None:
            report.last_seq = max(report.last_seq, result.seq)

    def _write_rejected(self) -> str | None:
        """What was not taken for a reason worth reading, beside the file; None if there is nothing."""
        refused = ({"line": one.line, "reason": one.code, "detail": one.detail} for one in self._refused)
        lines: list[Any] = [*self._skipped, *refused]
        if not lines:
            return None
        content = msgspec.json.Encoder().encode_lines(lines)
        path = self._file.with_name(f"{self._file.name}.rejected")
        try:
            path.write_bytes(content)
        except OSError:  # the file's folder may be read-only
            path = Path(path.name)
            path.write_bytes(content)
        return str(path)


def print_report(report: Report, output: Output) -> None:
    """What an import did."""
    if output is not Output.TABLE:
        print_json(report, output)
        return
    signers = f", signed by {counted(report.keys, 'key')} ({report.keys_made:,} made)" if report.keys else ""
    signers += f" in {counted(report.bundles, 'bundle')}" if report.bundles else ""
    print_fields(
        [
            ("rows", f"{report.rows:,}"),
            ("accepted", f"{report.accepted:,} events{signers}"),
            ("duplicate", f"{report.duplicate:,} rows said the same again"),
            *((f"skipped {reason}", f"{count:,}") for reason, count in report.skipped.items()),
            ("refused", f"{report.refused:,}"),
            *((f"  {code}", f"{count:,}") for code, count in report.refusals.items()),
            ("time", f"{report.seconds:.1f} s until readable, {report.claims_per_second:,} events/s"),
        ]
    )
    if report.rejected_file is not None:
        talk.print(f"rows that were not taken, with reasons: {report.rejected_file}", markup=False)


def _wait_readable(db: Database, seq: int) -> None:
    """Come back once a query sees all that was written."""
    if seq >= 0:
        db.query("-", "-", min_seq=seq, wait_s=_READABLE_WAIT_S)
