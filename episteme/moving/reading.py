"""Reading exports: what a file is, its lines, and what is wrong with one, by its number."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, Literal

import msgspec

from episteme.errors import BadCopy, EpistemeError, InvalidParameter
from episteme.gate import EVENT_BYTES_MAX
from episteme.loglines import LogLine, decode_line
from episteme.moving.export import EXPORT_FORMAT, ExportEnd, ExportHeader
from episteme.moving.packing import UNREADABLE, opened
from wal.opening import LOG_ID_BYTES

# Of the widest event a line is at most three times as long: everything in it may be escaped.
LINE_BYTES_MAX: Final = 4 * EVENT_BYTES_MAX
_END: Final = b'{"episteme_export_end":'
_BOM: Final = b"\xef\xbb\xbf"

# export: of this program, with a first and a last line.  lines: of a log, as `tail` prints them.
# envelopes: signed events.  claims: other JSON objects.  csv: anything else.
FileKind = Literal["export", "lines", "envelopes", "claims", "csv"]


def kind_of_file(path: Path) -> FileKind:
    """What a file holds, by its first line that is not blank.  Raises: BadCopy for one that cannot be unpacked."""
    first = next((line for _, line in numbered_lines(path) if line.strip()), b"").removeprefix(_BOM)
    if not first.lstrip().startswith(b"{"):
        return "csv"
    try:
        found: Any = msgspec.json.decode(first)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "claims"  # each line is told of when it is read
    if "episteme_export" in found:
        return "export"
    if "seq" in found and "time_ms" in found:
        return "lines"
    return "envelopes" if "event" in found and "signatures" in found else "claims"


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers, from 1.  Raises: BadCopy for one that is too long, or damaged."""
    with opened(path) as packed:
        yield from lines_of(packed.file)


def lines_of(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """The same of a file that is open."""
    number = 0
    try:
        while line := file.readline(LINE_BYTES_MAX + 1):
            number += 1
            if len(line) > LINE_BYTES_MAX:
                raise BadCopy(f"line {number} has more than {LINE_BYTES_MAX} bytes")
            yield number, line
    except UNREADABLE as error:
        raise BadCopy(f"the file is damaged or cut behind line {number}: {error}") from error


def read_header(line: bytes) -> ExportHeader:
    """The first line.  Raises: BadCopy; InvalidParameter for a format that this program cannot read."""
    try:
        header = msgspec.json.decode(line, type=ExportHeader)
        if len(bytes.fromhex(header.database)) != LOG_ID_BYTES:
            raise ValueError(f"database {header.database[:80]!r} is no id")
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadCopy(f"line 1 is not the first line of an export: {error}") from error
    if header.episteme_export != EXPORT_FORMAT:
        raise InvalidParameter(
            f"an export of format {header.episteme_export}; this program reads {EXPORT_FORMAT}: use a newer one"
        )
    return header


def read_export(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, LogLine | ExportEnd]]:
    """The lines behind the first, with their numbers; the last is the end.

    Raises: BadCopy for a line that is none, or if the end is missing, or does not fit.
    """
    count = 0
    for number, data in lines:
        if data.startswith(_END):
            end = _read_end(number, data)
            if end.episteme_export_end != count:
                raise BadCopy(f"line {number} says that there are {end.episteme_export_end} lines; there are {count}")
            yield number, end
            if next(lines, None) is not None:
                raise BadCopy(f"line {number + 1} is behind the end")
            return
        yield number, read_line(number, data)
        count += 1
    raise BadCopy(f"the end is missing: the file was cut behind {count} lines of the log")


def read_line(number: int, data: bytes) -> LogLine:
    """One line of a log.  Raises: BadCopy."""
    try:
        return decode_line(data)
    except EpistemeError as error:
        raise BadCopy(f"line {number}: {error.detail}") from error


def _read_end(number: int, data: bytes) -> ExportEnd:
    try:
        return msgspec.json.decode(data, type=ExportEnd)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadCopy(f"line {number} is not the end of an export: {error}") from error
