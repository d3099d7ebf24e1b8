"""What a fold sees: the state as it will be, read through the writes collected so far."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from heapq import merge
from typing import Final

from keycodec import UnknownKey, family_prefix, prefix_end
from stores.kv import POSTING_BYTES, Batch, Reader

_INSERTED_SINGLY: Final = 8  # so many keys or more are sorted in together


class Staging:
    """A reader over a snapshot and a batch on top of it; never commits.  For one thread."""

    def __init__(self, base: Reader) -> None:
        self._base = base
        self.batch = Batch()
        self._rows = self.batch.rows
        self._lists = self.batch.postings
        # Row keys by family prefix, so that a scan finds its own.  Most batches are never scanned, so keys
        # are sorted in when a scan comes.
        self._staged: dict[bytes, list[bytes]] = {}
        self._unsorted: list[bytes] = []
        self._remembered: dict[bytes, bytes | None] = {}  # what the base has, which does not change under us

    def put(self, key: bytes, value: bytes) -> None:
        """Set a row."""
        if key not in self._rows:
            self._unsorted.append(key)
        self._rows[key] = value

    def delete(self, key: bytes) -> None:
        """Remove a row."""
        if key not in self._rows:
            self._unsorted.append(key)
        self._rows[key] = None

    def add_posting(self, key: bytes, entry: bytes) -> None:
        """As Batch.add_posting."""
        assert len(entry) == POSTING_BYTES, len(entry)
        entries = self._lists.get(key)
        if entries is None:
            self._lists[key] = {entry}
        else:
            entries.add(entry)

    def get(self, key: bytes) -> bytes | None:
        """As Reader.get."""
        rows = self._rows
        return rows[key] if key in rows else self._base.get(key)

    def get_often(self, key: bytes) -> bytes | None:
        """As get, for one of the few rows that nearly every event asks for: the base is read once for each."""
        rows = self._rows
        if key in rows:
            return rows[key]
        known = self._remembered
        if key not in known:
            known[key] = self._base.get(key)
        return known[key]

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As Reader.get_many."""
        rows = self.batch.rows
        missing = [key for key in keys if key not in rows]
        if not missing:
            return [rows[key] for key in keys]
        found = iter(self._base.get_many(missing))
        return [rows[key] if key in rows else next(found) for key in keys]

    def scan(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> Iterator[tuple[bytes, bytes]]:
        """As Reader.scan."""
        rows = self._rows
        staged = self._staged_under(prefix, after)
        if not staged:
            yield from self._base.scan(prefix, after=after, count_max=count_max)
            return
        on_top = ((key, value) for key in staged if (value := rows[key]) is not None)
        for _, pair in zip(range(count_max), merge(self._below(prefix, after, count_max), on_top), strict=False):
            yield pair

    def _below(self, prefix: bytes, after: bytes | None, count: int) -> Iterator[tuple[bytes, bytes]]:
        """Rows of the base that the batch does not touch, read on as long as they are asked for."""
        while count > 0:
            page = list(self._base.scan(prefix, after=after, count_max=count))
            yield from (pair for pair in page if pair[0] not in self._rows)
            if len(page) < count:
                return
            after = page[-1][0]

    def _staged_under(self, prefix: bytes, after: bytes | None) -> list[bytes]:
        """Staged row keys under prefix, past after, in key order."""
        self._sort_in()
        bucket = _bucket(prefix)
        keys = self._staged.get(bucket, []) if bucket else sorted(self._rows)  # none: wider than one family
        start = (
            bisect_left(keys, prefix) if after is None else max(bisect_right(keys, after), bisect_left(keys, prefix))
        )
        end = prefix_end(prefix)
        return keys[start : len(keys) if end is None else bisect_left(keys, end)]

    def _sort_in(self) -> None:
        """Put the keys that came since the last scan in their places."""
        fresh: dict[bytes, list[bytes]] = {}
        for key in self._unsorted:
            try:  # as _bucket
                bucket = family_prefix(key)
            except UnknownKey:
                bucket = b""
            keys = fresh.get(bucket)
            if keys is None:
                fresh[bucket] = [key]
            else:
                keys.append(key)
        self._unsorted.clear()
        for bucket, keys in fresh.items():
            staged = self._staged.setdefault(bucket, [])
            if len(keys) < _INSERTED_SINGLY:
                for key in keys:
                    insort(staged, key)
            else:
                staged.extend(keys)
                staged.sort()

    def postings(self, key: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """As Reader.postings."""
        entries = self._base.postings(key, after=after, count_max=count_max)
        added = self.batch.postings.get(key)
        if not added:
            return entries
        new = {entry for entry in added if after is None or entry > after}
        return sorted(new.union(entries))[:count_max]

    def posting_count(self, key: bytes) -> int:
        """As Reader.posting_count."""
        added = self.batch.postings.get(key)
        if not added:
            return self._base.posting_count(key)
        return len(added.union(self._base.postings(key, count_max=2**31)))

    def posting_keys(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """As Reader.posting_keys."""
        keys = set(self._base.posting_keys(prefix, after=after, count_max=count_max))
        keys.update(key for key in self.batch.postings if _is_in(key, prefix, after))
        return sorted(keys)[:count_max]


def _bucket(key: bytes) -> bytes:
    """The part of a key up to its tag's colon; empty for a key that is not of that form."""
    try:
        return family_prefix(key)
    except UnknownKey:
        return b""


def _is_in(key: bytes, prefix: bytes, after: bytes | None) -> bool:
    return key.startswith(prefix) and (after is None or key > after)
