"""How the values of predicates are compared: family PRED.

Source: docs/format-keys.md, "Records".
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from keycodec import predicate_key, predicate_prefix
from model import PredicateRule
from stores.kv import Reader
from stores.records import RecordCodec
from stores.staging import Staging


class PredicateRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The rule of a predicate that counts now, with its hash and its first position."""

    event: PredicateRule
    digest: bytes
    seq: int
    time: int


_CODEC: Final = RecordCodec(PredicateRow, version=1)


class PredicateStore:
    """Reads predicates' rules."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def get(self, predicate: str) -> PredicateRow | None:
        """A predicate's rule; None: its values are compared by type alone."""
        data = self._reader.get(predicate_key(predicate))
        return None if data is None else _CODEC.decode(data)

    def predicates(self, start: str = "", *, after: str | None = None, count_max: int) -> Iterator[PredicateRow]:
        """Rules of predicates that begin with start, in byte order, at most count_max; after is an exclusive one."""
        last = None if after is None else predicate_key(after)
        for _, data in self._reader.scan(predicate_prefix(start), after=last, count_max=count_max):
            yield _CODEC.decode(data)


class PredicateWriter(PredicateStore):
    """Stages predicates' rules."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def put(self, row: PredicateRow) -> None:
        """Make a rule its predicate's."""
        self._staging.put(predicate_key(row.event.predicate), _CODEC.encode(row))
