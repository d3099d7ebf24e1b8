"""Keys that no longer speak: family REVOKED.

A revocation counts from its position in the log on; what the key signed before
stays signed.

Source: docs/format-keys.md, "Records".
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from keycodec import revocation_key, revocation_prefix
from model import KeyRevocation
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging


class RevocationRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The revocation of a key that counts, with its hash and the position from which on it holds: at it and after."""

    event: KeyRevocation
    digest: bytes
    seq: int
    time: int


_CODEC: Final = RecordCodec(RevocationRow, version=1)


class RevocationStore:
    """Reads revocations."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, agent_hex: str) -> RevocationRow | None:
        """The revocation of an agent's key."""
        data = self._reader.get(revocation_key(agent_hex))
        return None if data is None else _CODEC.decode(data)

    def get_many(self, agents: Iterable[bytes]) -> list[RevocationRow | None]:
        """The revocations of several agents (32 bytes each), in the order asked."""
        found = self._reader.get_many([revocation_key(agent.hex()) for agent in agents])
        return [None if data is None else _CODEC.decode(data) for data in found]

    def is_revoked(self, agent_hex: str, seq: int) -> bool:
        """Whether the key no longer spoke at position seq; at the revocation's own position it does not."""
        row = self.get(agent_hex)
        return row is not None and seq >= row.seq

    def revocations(self, *, after: str | None = None, count_max: int) -> Iterator[RevocationRow]:
        """Revocations in agent order, at most count_max; after is an exclusive agent."""
        start = None if after is None else revocation_key(after)
        for _, data in self._reader.scan(revocation_prefix(), after=start, count_max=count_max):
            yield _CODEC.decode(data)


class RevocationWriter(RevocationStore):
    """Stages revocations."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, row: RevocationRow) -> None:
        """Revoke the key that the event names."""
        self._staging.put(revocation_key(row.event.revoked), _CODEC.encode(row))
