"""Where an event that is not an assertion first stood, who has signed it, and from where on it counts: family EVENT."""

from typing import Final

from msgspec import Struct

from keycodec import event_key
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging


class EventRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """First position, kind, and the signers so far.

    since: of a kind that counts only when an operator signs it, the position from which on it does; None: it does
    not, or its kind knows no such thing.
    """

    seq: int
    kind: str
    agents: tuple[bytes, ...]
    since: int | None


_CODEC: Final = RecordCodec(EventRow, version=2)


class EventStore:
    """Reads event rows."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, digest: bytes) -> EventRow | None:
        """The row of the event with this hash."""
        data = self._reader.get(event_key(digest.hex()))
        return None if data is None else _CODEC.decode(data)


class EventWriter(EventStore):
    """Stages event rows."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, digest: bytes, row: EventRow) -> None:
        """Keep an event row."""
        self._staging.put(event_key(digest.hex()), _CODEC.encode(row))
