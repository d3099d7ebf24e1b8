"""Lists of agents that a curator vouches for: families TP and TPH.

A pack is a curator's name for a list: its id is a hash of both, so versions of
one pack share an id, and no curator can take over another's.  TP is the highest
version, TPH those that counted before it, by the position from which on they did.

Source: docs/format-keys.md, "Records".
"""

from collections.abc import Iterator
from typing import Final

from blake3 import blake3
from msgspec import Struct

from keycodec import inverse_of, pack_key, pack_prefix, parse, past_pack_key, past_pack_prefix
from stores.kv import Reader
from stores.past import past_positions, past_row
from stores.records import RecordCodec
from stores.staging import Staging

_ID_TAG: Final = b"episteme/pack-id/v1\n"


class PackMemberRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An agent (32 bytes) and its weight in millionths, 0 to 1,000,000."""

    agent: bytes
    weight_micros: int


class TrustPackRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A version of a pack, with the hash of its event and the position from which on it counts.

    members: as they were given.
    """

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

    def as_of(self, pack_hex: str, at: int | None) -> TrustPackRow | None:
        """The newest version of a pack as of a position, None for the newest of all."""
        newest = self.get(pack_hex)
        if newest is None or at is None or newest.seq <= at:
            return newest
        data = past_row(self._reader, past_pack_prefix(pack_hex), lambda inverse: past_pack_key(pack_hex, inverse), at)
        return None if data is None else _CODEC.decode(data)

    def positions(self, pack_hex: str, *, count_max: int) -> list[int]:
        """The positions at which a pack changed, in log order; of more than count_max the last ones."""
        return past_positions(self._reader, past_pack_prefix(pack_hex), self.get(pack_hex), count_max=count_max)

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
        """Keep a version; it is the pack's now unless a higher or an equal one is."""
        pack_hex = pack_id(row.curator, row.name)
        known = self.get(pack_hex)
        is_highest = known is None or known.version < row.version
        past = known if is_highest else row
        if is_highest:
            self._staging.put(pack_key(pack_hex), _CODEC.encode(row))
        if past is not None:
            self._staging.put(past_pack_key(pack_hex, inverse_of(past.seq)), _CODEC.encode(past))
