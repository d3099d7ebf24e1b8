"""How the values of predicates are compared: families PRED and PREDH.

PRED is the rule that counts now, PREDH keeps those that counted before it, by
position, so that the rule as of a position is one get or, if it has changed
since, one short scan.

Source: docs/format-keys.md, "Records".
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from keycodec import inverse_of, past_predicate_key, past_predicate_prefix, predicate_key, predicate_prefix
from model import PredicateRule
from stores.kv import Reader
from stores.past import in_turn, past_positions, past_row
from stores.records import RecordCodec
from stores.staging import Staging


class PredicateRow(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A rule of a predicate, with its hash and the position from which on it counts."""

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

    def as_of(self, predicate: str, at: int | None) -> PredicateRow | None:
        """A predicate's rule as of a position, None for the newest."""
        newest = self.get(predicate)
        if newest is None or at is None or newest.seq <= at:
            return newest
        data = past_row(
            self._reader, past_predicate_prefix(predicate), lambda inverse: past_predicate_key(predicate, inverse), at
        )
        return None if data is None else _CODEC.decode(data)

    def positions(self, predicate: str, *, count_max: int) -> list[int]:
        """The positions at which a predicate's rule changed, in log order; of more than count_max the last ones."""
        newest = self.get(predicate)
        return past_positions(self._reader, past_predicate_prefix(predicate), newest, count_max=count_max)

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
        """Keep a rule; it is its predicate's now unless a later one is."""
        predicate = row.event.predicate
        newest, past = in_turn(self.get(predicate), row)
        self._staging.put(predicate_key(predicate), _CODEC.encode(newest))
        if past is not None:
            self._staging.put(past_predicate_key(predicate, inverse_of(past.seq)), _CODEC.encode(past))
