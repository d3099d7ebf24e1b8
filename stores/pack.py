"""Lists of agents that a curator vouches for: family TP.

A pack is a curator's name for a list: its id is a hash of both, so versions of
one pack share an id, and no curator can take over another's.

Source: docs/format-keys.md, "Records".
"""

from collections.abc import Iterator
from typing import Final

from blake3 import blake3
from msgspec import Struct

from keycodec import pack_key, pack_prefix, parse
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging

_ID_TAG: Final = b"episteme/pack-id/v1\n"


class PackMemberRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An agent (32 bytes) and its weight in millionths, 0 to 1,000,000."""

    agent: bytes
    weight_micros: int


class TrustPackRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The newest version of a pack, with the hash of its event and its first position; members as they were given."""

    curator: bytes
    name: str
    version: int
    members: tuple[PackMemberRow, ...]
    note: str | None
    digest: bytes
    seq: int
    time: int


_CODEC: Final = RecordCodec(TrustPackRow, version=1)


def pack_id(curator: bytes, name: str) -> str:
    """The id of a curator's pack, in hex; curator is its key, 32 bytes."""
    return blake3(_ID_TAG + curator + name.encode()).hexdigest()


class TrustPackStore:
    """Reads trust packs."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, pack_hex: str) -> TrustPackRow | None:
        """One pack, by its id."""
        data = self._reader.get(pack_key(pack_hex))
        return None if data is None else _CODEC.decode(data)

    def packs(self, *, after: str | None = None, count_max: int) -> Iterator[tuple[str, TrustPackRow]]:
        """Packs with their ids in id order, at most count_max; after is an exclusive id."""
        start = None if after is None else pack_key(after)
        for key, data in self._reader.scan(pack_prefix(), after=start, count_max=count_max):
            yield parse(key).text("pack"), _CODEC.decode(data)


class TrustPackWriter(TrustPackStore):
    """Stages trust packs."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, row: TrustPackRow) -> None:
        """Set a pack."""
        self._staging.put(pack_key(pack_id(row.curator, row.name)), _CODEC.encode(row))
