"""Where what answers rest on last changed: family RULED.

One row for the whole database, so that one get says whether anything that was
computed at a position can still be true.

Source: docs/format-keys.md, "Records".
"""

from typing import Final, Literal

import msgspec
from msgspec import Struct

from keycodec import rulings_key
from stores.kv import Reader, position_of
from stores.records import RecordCodec
from stores.staging import Staging

Ruling = Literal["epoch", "supersession", "revocation", "alias", "predicate", "source", "trust"]


class Rulings(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The position of the last event of each kind that changed what an answer may rest on; -1: none ever has."""

    epoch: int
    supersession: int
    revocation: int
    alias: int
    predicate: int
    source: int
    trust: int


NO_RULINGS: Final = Rulings(-1, -1, -1, -1, -1, -1, -1)
_CODEC: Final = RecordCodec(Rulings, version=1)


def decode_rulings(data: bytes | None) -> Rulings:
    """The row as it is stored; None: there is none yet."""
    return NO_RULINGS if data is None else _CODEC.decode(data)


class RulingsStore:
    """Reads the one row."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self) -> Rulings:
        """The positions by kind."""
        return decode_rulings(self._reader.get(rulings_key()))


class RulingsWriter(RulingsStore):
    """Stages the one row."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def note(self, kind: Ruling, seq: int) -> None:
        """Say that the event at a position has changed something.

        One that is taken late, after others behind it, changes what was computed at their positions too: it is
        noted at the position that comes next.
        """
        known = self.get()
        seq = max(seq, position_of(self._staging), getattr(known, kind))
        self._staging.put(rulings_key(), _CODEC.encode(msgspec.structs.replace(known, **{kind: seq})))
