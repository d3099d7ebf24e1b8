"""Materialized views: a pair's answer, computed when it changed: family MV.

The record types of an answer live here, because a view keeps one whole; the
lenses that make them are episteme's.  A view is written from what is stored
already: values as they were spelled, and the winner's row, as msgpack.
"""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Raw, Struct

from keycodec import rulings_key, view_key
from model import AnyValue
from stores.assertion import AssertionRow, decode_assertion
from stores.kv import Reader
from stores.records import RecordCodec
from stores.rulings import Rulings, decode_rulings
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


class ViewGround(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What a view rests on besides its claims: what a reader looks at again before it takes the view.

    rule: hash of the predicate's rule under which it was made; None: of none.  epochs and sources: those (32 bytes
    each) that claims of the pair name, ascending; None: too many to list.  hidden: those of the epochs whose claims
    it leaves out, ascending.  references: whether a claim of the pair names a subject as its value.  governed:
    whether aliases, and epochs too many to list, are in it as they stood at its position; else it knows of none.
    """

    rule: bytes | None = None
    epochs: tuple[bytes, ...] | None = ()
    hidden: tuple[bytes, ...] = ()
    sources: tuple[bytes, ...] | None = ()
    references: bool = False
    governed: bool = True


_NO_GROUND: Final = ViewGround()


class ViewRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A pair's answer under its default lens, as of the event at seq, the last that touched the pair.

    The winner has as many signatures as an envelope holds: the answer's can be sent as it is.
    """

    resolution: Resolution
    groups_count: int
    winner: AssertionRow | None
    seq: int
    time: int
    ground: ViewGround = _NO_GROUND


class RawGroup(Struct, frozen=True, array_like=True, gc=False):
    """A GroupRow whose value is still msgpack."""

    value: Raw
    share: float
    support: int
    best_tier: int
    votes_micros: int
    hashes: Sequence[bytes]
    hashes_count: int


class RawResolution(Struct, frozen=True, array_like=True, gc=False):
    """A Resolution of raw groups."""

    lens: str
    lens_version: int
    status: Status
    winner: bytes | None
    confidence: float
    conflict: float
    margin: float | None
    candidates_count: int
    groups: Sequence[RawGroup]


class RawView(Struct, frozen=True, array_like=True, gc=False):
    """A view as it is written: the winner is its row's stored value."""

    resolution: RawResolution
    groups_count: int
    winner: bytes | None
    seq: int
    time: int
    ground: ViewGround = _NO_GROUND


class StoredView(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A view as it is read, or written from a resolution that is at hand: the winner is its row's stored value."""

    resolution: Resolution
    groups_count: int
    winner: bytes | None
    seq: int
    time: int
    ground: ViewGround


_RULINGS_KEY: Final = rulings_key()
_RAW: Final = RecordCodec(RawView, version=3)
_STORED: Final = RecordCodec(StoredView, version=3)


class ViewStore:
    """Reads views."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, subject: str, predicate: str) -> ViewRow | None:
        """The pair's view."""
        data = self._reader.get(view_key(subject, predicate))
        return None if data is None else _decode(data)

    def get_ruled(self, subject: str, predicate: str) -> tuple[ViewRow | None, Rulings]:
        """The pair's view, and what says whether it is still exact, in one look."""
        view, rulings = self._reader.get_many((view_key(subject, predicate), _RULINGS_KEY))
        return None if view is None else _decode(view), decode_rulings(rulings)


class ViewWriter(ViewStore):
    """Stages views."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, subject: str, predicate: str, view: RawView | StoredView) -> None:
        """Set the pair's view."""
        data = _RAW.encode(view) if isinstance(view, RawView) else _STORED.encode(view)
        self._staging.put(view_key(subject, predicate), data)

    def delete(self, subject: str, predicate: str) -> None:
        """Let the pair have no view."""
        self._staging.delete(view_key(subject, predicate))


def _decode(data: bytes) -> ViewRow:
    view = _STORED.decode(data)
    winner = None if view.winner is None else decode_assertion(view.winner)
    return ViewRow(view.resolution, view.groups_count, winner, view.seq, view.time, view.ground)
