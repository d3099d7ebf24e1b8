"""Paradigms that claims belong to, and which of them are hidden: families E and SUPERSEDED.

An epoch is hidden just when its own marker is there: the fold writes it when
an epoch that supersedes it by time or by invalidation comes, so no chain is
walked to answer a query.  Chains are walked only to explain.  The marker says
from which position on it counts, so one get tells it as of any position.

Source: docs/format-keys.md, "Records".
"""

from collections.abc import Iterable, Iterator
from typing import Final, Literal

from msgspec import Struct

from keycodec import epoch_key, epoch_prefix, parse, superseded_epoch_key
from model import Epoch
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging
from stores.walk import walk


class EpochRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An epoch as it was signed, with the position from which on it counts; its id is the event's hash."""

    event: Epoch
    seq: int
    time: int


class SupersededEpoch(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The epoch that hides this one (its id, 32 bytes), how, and from which position on."""

    by: bytes
    mode: Literal["temporal", "invalidation"]
    seq: int
    time: int


_EPOCH: Final = RecordCodec(EpochRow, version=1)
_SUPERSEDED: Final = RecordCodec(SupersededEpoch, version=1)


class EpochStore:
    """Reads epochs."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, epoch_hex: str) -> EpochRow | None:
        """One epoch."""
        data = self._reader.get(epoch_key(epoch_hex))
        return None if data is None else _EPOCH.decode(data)

    def epochs(self, *, after: str | None = None, count_max: int) -> Iterator[tuple[str, EpochRow]]:
        """Epochs with their ids in id order, at most count_max; after is an exclusive id."""
        start = None if after is None else epoch_key(after)
        for key, data in self._reader.scan(epoch_prefix(), after=start, count_max=count_max):
            yield parse(key).text("epoch"), _EPOCH.decode(data)

    def is_superseded(self, epoch_hex: str, at: int | None = None) -> bool:
        """Whether the epoch's claims are hidden as of a position, None for the newest: one get."""
        marker = self.superseded(epoch_hex)
        return marker is not None and (at is None or marker.seq <= at)

    def superseded(self, epoch_hex: str) -> SupersededEpoch | None:
        """What hides the epoch."""
        data = self._reader.get(superseded_epoch_key(epoch_hex))
        return None if data is None else _SUPERSEDED.decode(data)

    def superseded_many(self, epochs_hex: Iterable[str]) -> list[SupersededEpoch | None]:
        """What hides each of several epochs, in the order asked."""
        found = self._reader.get_many([superseded_epoch_key(epoch_hex) for epoch_hex in epochs_hex])
        return [None if data is None else _SUPERSEDED.decode(data) for data in found]

    def chain(self, epoch_hex: str, *, at: int | None = None, count_max: int) -> list[str]:
        """The epoch, what hides it as of a position, what hides that, and so on: at most count_max ids, none twice."""

        def newer(older_hex: str) -> str | None:
            marker = self.superseded(older_hex)
            return None if marker is None or (at is not None and marker.seq > at) else marker.by.hex()

        return walk(epoch_hex, newer, count_max=count_max).nodes


class EpochWriter(EpochStore):
    """Stages epochs."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, epoch_hex: str, row: EpochRow) -> None:
        """Keep an epoch."""
        self._staging.put(epoch_key(epoch_hex), _EPOCH.encode(row))

    def put_superseded(self, epoch_hex: str, marker: SupersededEpoch) -> None:
        """Hide an epoch, which need not be there yet."""
        self._staging.put(superseded_epoch_key(epoch_hex), _SUPERSEDED.encode(marker))
