"""Exports: the log as lines of JSON, lossless; its claims as a table.

An export in JSON begins with a line that says of what it is, and ends with one
that says how much it was: whoever reads it knows that nothing is missing.  Of a
whole log the last line holds the checksum of the last frame and the digest of
all, and every line the checksum of the one before.

Source: docs/operations.md, "Moving data".
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from typing import IO, Any, Final

import msgspec
from blake3 import blake3
from msgspec import UNSET, Struct

from episteme.errors import VerificationFailed
from episteme.loglines import LogLine, encode_line, frame_of, line_of
from episteme.moving.digest import add_frame
from episteme.tailing import LOOKED_BYTES_MAX, LOOKED_COUNT_MAX, LogFilter, check_position, read_page
from model import Assertion, Bundle
from wal import LogReader

EXPORT_FORMAT: Final = 1
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_BUNDLES: Final = LogFilter(kind="bundle")
_encode: Final = msgspec.json.Encoder().encode


class ExportHeader(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The first line.  whole: all positions from 0 on, so that the log can be made of it anew."""

    episteme_export: int
    database: str
    whole: bool
    version: str


class ExportEnd(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The last line: how many lines of the log there are; of a whole one the last frame's checksum, and the digest.

    digest: BLAKE3 of all frames' bytes in order.
    """

    episteme_export_end: int
    chain: int | None = None
    digest: str | None = None


class ClaimRow(Struct, frozen=True, kw_only=True):
    """A claim as a row of a table.  Times are milliseconds since 1970; metadata is JSON."""

    seq: int
    time_ms: int
    hash: str
    subject: str
    predicate: str
    type: str
    object: str
    confidence: str
    source_class: str
    lifecycle: str
    timestamp: int
    agents: str
    source_hash: str
    parent_hash: str
    epoch: str
    valid_from: int | None
    valid_to: int | None
    narrative: str
    metadata: str
    audience: str


COLUMNS: Final = ClaimRow.__struct_fields__
# What agents wrote freely: a spreadsheet takes some of it for a formula, and runs it.
_FREE_TEXT: Final = frozenset({"subject", "predicate", "object", "narrative", "metadata", "audience"})


def lines_of_log(log: LogReader, after: int, wanted: LogFilter) -> Iterator[LogLine]:
    """The wanted lines of a log that is open here, after a position, up to its end as it is at the call.

    Raises: AsOfBeyond for a position that it does not have; Damaged.
    """
    check_position(log, after)
    end = log.durable_end
    while after + 1 < end:
        page = read_page(log, after, wanted, count_max=LOOKED_COUNT_MAX, bytes_max=LOOKED_BYTES_MAX)
        yield from (line for line in page.lines if line.seq < end)
        after = page.position


def with_bundles(lines: Iterable[LogLine], bundle_line: Callable[[str], LogLine]) -> Iterator[LogLine]:
    """The lines of a part of a log, each bundle in front of the first of its events, so that they can be verified.

    bundle_line: the line of the bundle with this hash, wherever in the log it stands.
    """
    there: set[str | None] = set()
    for line in lines:
        for one in line.signatures:
            if isinstance(one.bundle, str) and one.bundle not in there:
                there.add(one.bundle)
                yield bundle_line(one.bundle)
        if isinstance(line.event, Bundle):
            if line.hash in there:
                continue
            there.add(line.hash)
        yield line


class BundleLines:
    """Finds bundles in a log that is open here and has no state beside it: what was read once is not read again."""

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._next_seq = log.first_seq
        self._seqs: dict[str, int] = {}

    def line(self, bundle: str) -> LogLine:
        """The line of the bundle with this hash.  Raises: VerificationFailed if there is none; Damaged."""
        while bundle not in self._seqs and self._next_seq < self._log.durable_end:
            page = read_page(
                self._log, self._next_seq - 1, _BUNDLES, count_max=LOOKED_COUNT_MAX, bytes_max=LOOKED_BYTES_MAX
            )
            for line in page.lines:
                self._seqs.setdefault(line.hash or "", line.seq)
            self._next_seq = page.position + 1
        if bundle not in self._seqs:
            raise VerificationFailed(f"the log has no bundle {bundle}, by which one of its events is signed")
        return line_of(self._log.get(self._seqs[bundle]))


def write_lines(lines: Iterable[LogLine], header: ExportHeader, out: IO[bytes]) -> int:
    """Write an export in JSON; give how many lines of the log it has."""
    out.write(_encode(header) + b"\n")
    hasher, chain, count = blake3(), 0, 0
    for line in lines:
        out.write(encode_line(line) + b"\n")
        count += 1
        if header.whole:
            chain = add_frame(hasher, frame_of(line))
    end = ExportEnd(episteme_export_end=count)
    if header.whole:
        end = ExportEnd(episteme_export_end=count, chain=chain, digest=hasher.hexdigest())
    out.write(_encode(end) + b"\n")
    return count


def write_csv(lines: Iterable[LogLine], out: IO[bytes], *, raw: bool) -> int:
    """Write the claims as a table with a header; give how many.

    raw: leave text as it is; else text that a spreadsheet would run as a formula gets a ' before it.
    """
    text = StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    count = 0
    for row in rows_of(lines):
        writer.writerow(_cells(row, raw=raw))
        count += 1
        if text.tell() > 1 << 16:
            _flush(text, out)
    _flush(text, out)
    return count


def rows_of(lines: Iterable[LogLine]) -> Iterator[ClaimRow]:
    """The claims among the lines, as rows; one that comes again with another signature is a row again."""
    for line in lines:
        if isinstance(line.event, Assertion):
            yield _row(line, line.event)


def _row(line: LogLine, claim: Assertion) -> ClaimRow:
    value = claim.object.value
    return ClaimRow(
        seq=line.seq,
        time_ms=line.time_ms,
        hash=line.hash or "",
        subject=claim.subject,
        predicate=claim.predicate,
        type=str(claim.object.__struct_config__.tag),
        object=value if isinstance(value, str) else str(value).lower(),
        confidence=claim.confidence,
        source_class=claim.source_class,
        lifecycle=claim.lifecycle,
        timestamp=claim.timestamp,
        agents=" ".join(line.agents),
        source_hash=_text(claim.source_hash),
        parent_hash=_text(claim.parent_hash),
        epoch=_text(claim.epoch),
        valid_from=None if claim.valid_from is UNSET else claim.valid_from,
        valid_to=None if claim.valid_to is UNSET else claim.valid_to,
        narrative=_text(claim.narrative),
        metadata="" if claim.metadata is UNSET else _encode(claim.metadata).decode(),
        audience=_text(claim.audience),
    )


def _text(value: Any) -> str:
    return "" if value is UNSET else str(value)


def _cells(row: ClaimRow, *, raw: bool) -> Iterator[Any]:
    for name in COLUMNS:
        cell = getattr(row, name)
        is_number = name == "object" and row.type == "number"
        if not raw and name in _FREE_TEXT and not is_number and cell.startswith(_FORMULA):
            cell = f"'{cell}"
        yield cell


def _flush(text: StringIO, out: IO[bytes]) -> None:
    out.write(text.getvalue().encode())
    text.seek(0)
    text.truncate()
