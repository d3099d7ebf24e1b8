"""Materialized views: a pair's answer, computed when it changed: family MV.

The record types of an answer live here, because a view keeps one whole; the
lenses that make them are episteme's.
"""

from typing import Final, Literal

from msgspec import Struct

from keycodec import view_key
from model import AnyValue
from stores.assertion import AssertionRow
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging

Status = Literal["unanimous", "agreed", "contested", "none"]


class GroupRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One value and who stands for it; hashes are in log order and may be cut, hashes_count is not."""

    value: AnyValue
    share: float
    support: int
    best_tier: int
    votes_micros: int
    hashes: tuple[bytes, ...]
    hashes_count: int


class Resolution(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a lens makes of a set of candidates; the order of groups is the lens's own."""

    lens: str
    lens_version: int
    status: Status
    winner: bytes | None
    confidence: float
    conflict: float
    margin: float | None
    candidates_count: int
    groups: tuple[GroupRow, ...]


class ViewRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A pair's answer under its default lens, as of the event at seq, the last that touched the pair."""

    resolution: Resolution
    groups_count: int
    winner: AssertionRow | None
    seq: int
    time: int


_CODEC: Final = RecordCodec(ViewRow, version=1)


class ViewStore:
    """Reads views."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, subject: str, predicate: str) -> ViewRow | None:
        """The pair's view."""
        data = self._reader.get(view_key(subject, predicate))
        return None if data is None else _CODEC.decode(data)


class ViewWriter(ViewStore):
    """Stages views."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, subject: str, predicate: str, row: ViewRow) -> None:
        """Set the pair's view."""
        self._staging.put(view_key(subject, predicate), _CODEC.encode(row))
