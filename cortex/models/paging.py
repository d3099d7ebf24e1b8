"""Pages of a query over a model's rows: index entries in order, records that match, an opaque cursor.  Pure reads.

Every order ends in the id, so a page begins right behind the last record of the
one before: what is inserted or removed meanwhile neither repeats nor hides others.
An order that the index has is walked, and stops when the page is full.  Another
one, and orders under a label other than that of creation, are gathered: all that
may match is looked at.  Both look at no more than scan_count_max entries.

Source: docs/cortex.md, "Finding".
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from heapq import merge, nsmallest
from itertools import islice
from typing import Any, Final, Generic, NamedTuple

import msgspec
from blake3 import blake3
from msgspec import Struct

from cortex.models.domain import ORDER, ROW, Event, Model, Plan, Row, Rows, label_prefix
from cortex.models.refusals import InvalidQuery, QueryTooWide
from stores import Reader
from wal import wall_ms
from wal.format import LOGICAL_BITS

LIMIT_MAX: Final = 1000  # records of a page
_MARK_BYTES: Final = 8
_CHUNK: Final = 256  # records that are fetched together
_SCAN_COUNT: Final = 256  # index entries that are read together
_TIME_END: Final = 2**64


class Page(Struct, Generic[Row], frozen=True):
    """Some of what a query finds, in order."""

    items: tuple[Row, ...]
    cursor: str | None  # for the next page; None if this is the last


class Range(NamedTuple):
    """A part of an index: entries under prefix, the rest of whose key lies between low and high."""

    prefix: bytes
    low: bytes = b""
    high: bytes = b""  # exclusive; empty: to the end


class Finder(Generic[Event, Row]):
    """Answers queries on one moment of a model's state."""

    def __init__(self, model: Model[Event, Row], reader: Reader, log_id: bytes, scan_count_max: int) -> None:
        """log_id: of the log that the state is a fold of; a cursor of another one is refused."""
        self._model = model
        self._reader = reader
        self._log_id = log_id
        self._scan_count_max = scan_count_max
        self.rows = Rows(model, reader)

    def page(self, query: Any, plan: Plan[Row], limit: int, cursor: str | None) -> Page[Row]:
        """At most limit records behind the cursor.

        query: what the plan was made of; a cursor belongs to it.
        Raises: InvalidQuery; QueryTooWide.
        """
        check_limit(limit)
        identity = self._model.name.encode() + self._log_id + msgspec.json.encode(query)
        after = b"" if cursor is None else _decode_cursor(identity, cursor)
        found = self._found(plan, after, min(limit + 1, _CHUNK))
        ranked = list(islice(found, limit + 1) if self._is_walk(plan) else nsmallest(limit + 1, found, key=_rank_of))
        items = tuple(row for _, row in ranked[:limit])
        return Page(items, _encode_cursor(identity, ranked[limit - 1][0]) if len(ranked) > limit else None)

    def _is_walk(self, plan: Plan[Row]) -> bool:
        """Whether the index entries come in the order that is asked for."""
        return self._index_of(plan) == plan.order and plan.descending == self._model.descends[plan.order]

    def _index_of(self, plan: Plan[Row]) -> bytes:
        """The order of the index that is looked at: under a label there is only that of creation."""
        return self._model.created_order if plan.labels else plan.order

    def _found(self, plan: Plan[Row], after: bytes, chunk_count: int) -> Iterator[tuple[bytes, Row]]:
        """Records that match, each once, with their ranks behind after; in order if it is a walk."""
        start = after if self._is_walk(plan) else b""
        ids = self._each_once(merge(*(self._entries(part) for part in self._ranges(plan, start))))
        while chunk := list(islice(ids, chunk_count)):
            for data in self._reader.get_many([ROW + id_ for id_ in chunk]):
                assert data is not None, chunk
                row = self._model.decode_row(data)
                if _is_within(plan, row) and plan.matches(row):
                    rank = self._model.rank(row, plan.order, descending=plan.descending)
                    if rank > after:
                        yield rank, row

    def _ranges(self, plan: Plan[Row], after: bytes) -> list[Range]:
        low, high = self._bounds(plan)
        if plan.labels:
            prefixes = [label_prefix(label, group) for label in plan.labels for group in plan.groups]
        else:
            prefixes = [ORDER + plan.order + group for group in plan.groups]
        return [Range(prefix, max(low, after), high) for prefix in prefixes]

    def _bounds(self, plan: Plan[Row]) -> tuple[bytes, bytes]:
        """Between which ranks the time of creation lets a record be, in an index by that time."""
        order = self._index_of(plan)
        if order != self._model.created_order:
            return b"", b""
        first = (plan.created_from_ms or 0) << LOGICAL_BITS
        end = _TIME_END if plan.created_before_ms is None else plan.created_before_ms << LOGICAL_BITS
        if self._model.descends[order]:  # ranks are the times' complements: what is first comes last
            first, end = _TIME_END - end, _TIME_END - first
        low = min(first, _TIME_END - 1).to_bytes(8, "big")
        return low, b"" if end == _TIME_END else end.to_bytes(8, "big")

    def _entries(self, part: Range) -> Iterator[tuple[bytes, bytes]]:
        """The rank and the id of each entry of a range, in order."""
        size, after = len(part.prefix), part.prefix + part.low if part.low else None
        while True:
            page = list(self._reader.scan(part.prefix, after=after, count_max=_SCAN_COUNT))
            for key, id_ in page:
                if part.high and key[size:] >= part.high:
                    return
                yield key[size:], id_
            if len(page) < _SCAN_COUNT:
                return
            after = page[-1][0]

    def _each_once(self, entries: Iterator[tuple[bytes, bytes]]) -> Iterator[bytes]:
        """The ids of entries, neighbours that are equal once: a record may stand under several labels."""
        last = None
        for count, (_, id_) in enumerate(entries, 1):
            if count > self._scan_count_max:
                raise QueryTooWide(
                    f"the query looked at {self._scan_count_max} entries and is not done; narrow it by status, tag "
                    "or time, ask for an order that an index has, or raise scan_count_max"
                )
            if id_ != last:
                yield id_
            last = id_


def check_limit(limit: int) -> None:
    """Raises: InvalidQuery."""
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= LIMIT_MAX:
        raise InvalidQuery(f"limit is {limit!r:.80}; it must be a whole number from 1 to {LIMIT_MAX}")


def _is_within(plan: Plan[Row], row: Row) -> bool:
    created_ms = wall_ms(row.created_time)
    return (plan.created_from_ms is None or plan.created_from_ms <= created_ms) and (
        plan.created_before_ms is None or created_ms < plan.created_before_ms
    )


def _rank_of(found: tuple[bytes, object]) -> bytes:
    return found[0]


def _encode_cursor(identity: bytes, rank: bytes) -> str:
    return urlsafe_b64encode(_mark(identity, rank) + rank).decode().rstrip("=")


def _decode_cursor(identity: bytes, cursor: str) -> bytes:
    try:
        data = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (ValueError, TypeError):
        data = b""
    mark, rank = data[:_MARK_BYTES], data[_MARK_BYTES:]
    if not rank or mark != _mark(identity, rank):
        raise InvalidQuery(
            "this cursor is not of this query on this log: give it to the query that it came from, or begin without one"
        )
    return rank


def _mark(identity: bytes, rank: bytes) -> bytes:
    """Tells a cursor of this query from every other, and from one that was changed."""
    return blake3(len(identity).to_bytes(4, "big") + identity + rank).digest()[:_MARK_BYTES]
