"""Pieces of evidence and what became of them: families SRC and SRCT.

A record is written at version 2 and read at 1 and 2.  Every status is kept
with the position from which on it holds, so a warning can be told as of then.
The content itself stays in the log; the record knows its hash and size.  SRCT
counts the sources that are suspect or retracted now.

Source: docs/format-keys.md, "Records".
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec
from msgspec import Struct

from keycodec import parse, source_key, source_prefix, tainted_sources_key
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging

SourceState = Literal["active", "suspect", "retracted"]

_TAINTED: Final = struct.Struct("<Q")


class SourceStatus(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A status, who set it (32 bytes) by which event (its hash), and from which position on it holds."""

    status: SourceState
    agent: bytes
    digest: bytes
    seq: int
    time: int


class SourceRecord(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A source: label and address, its content's BLAKE3 and size where it was given, statuses in log order."""

    label: str
    url: str | None
    content_hash: bytes | None
    content_bytes: int
    statuses: tuple[SourceStatus, ...]

    def status_at(self, seq: int) -> SourceStatus | None:
        """The status after the event at position seq; None: the source was not known then."""
        held = [status for status in self.statuses if status.seq <= seq]
        return held[-1] if held else None

    @property
    def is_tainted(self) -> bool:
        """Whether it is suspect or retracted now."""
        return bool(self.statuses) and self.statuses[-1].status != "active"


class _RecordV1(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    label: str
    url: str | None
    status: SourceState
    agent: bytes
    digest: bytes
    seq: int
    time: int


_decode_v1 = msgspec.msgpack.Decoder(_RecordV1).decode


def decode_source_record_compat(fields: bytes) -> SourceRecord:
    """Read the fields of a record of version 1, which knew one status and no content.

    fields: the value without its version byte.
    Raises: msgspec.DecodeError for a wrong shape or trailing bytes, which the codec translates.
    """
    record = _decode_v1(fields)
    status = SourceStatus(record.status, record.agent, record.digest, record.seq, record.time)
    return SourceRecord(record.label, record.url, None, 0, (status,))


_CODEC: Final = RecordCodec(SourceRecord, version=2, older={1: decode_source_record_compat})


class SourceStore:
    """Reads sources."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, source_hex: str) -> SourceRecord | None:
        """One source."""
        data = self._reader.get(source_key(source_hex))
        return None if data is None else _CODEC.decode(data)

    def get_many(self, sources_hex: Iterable[str]) -> list[SourceRecord | None]:
        """Several sources, in the order asked."""
        found = self._reader.get_many([source_key(source_hex) for source_hex in sources_hex])
        return [None if data is None else _CODEC.decode(data) for data in found]

    def tainted_count(self) -> int:
        """How many sources are suspect or retracted now."""
        data = self._reader.get(tainted_sources_key())
        return 0 if data is None else int(_TAINTED.unpack(data)[0])

    def sources(self, *, after: str | None = None, count_max: int) -> Iterator[tuple[str, SourceRecord]]:
        """Sources with their hashes in hash order, at most count_max; after is an exclusive hash."""
        start = None if after is None else source_key(after)
        for key, data in self._reader.scan(source_prefix(), after=start, count_max=count_max):
            yield parse(key).text("source_hash"), _CODEC.decode(data)


class SourceWriter(SourceStore):
    """Stages sources."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, source_hex: str, record: SourceRecord) -> None:
        """Set a source, and count it if it is tainted."""
        known = self.get(source_hex)
        change = record.is_tainted - (known is not None and known.is_tainted)
        if change:
            self._staging.put(tainted_sources_key(), _TAINTED.pack(self.tainted_count() + change))
        self._staging.put(source_key(source_hex), _CODEC.encode(record))
