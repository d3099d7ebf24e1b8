"""Where an event that is not an assertion first stood, and who has signed it: family EVENT."""

from typing import Final

from msgspec import Struct

from keycodec import event_key
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging


class EventRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """First position, kind, and the signers so far."""

    seq: int
    kind: str
    agents: tuple[bytes, ...]


_CODEC: Final = RecordCodec(EventRow, version=1)


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
