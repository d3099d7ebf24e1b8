"""What a fold sees: the state as it will be, read through the writes collected so far."""

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge

from keycodec import UnknownKey, family_prefix
from stores.kv import Batch, Reader


class Staging:
    """A reader over a snapshot and a batch on top of it; never commits.  For one thread."""

    def __init__(self, base: Reader) -> None:
        self._base = base
        self._staged: dict[bytes, set[bytes]] = {}  # row keys by family prefix, so that a scan finds its own
        self.batch = Batch()

    def put(self, key: bytes, value: bytes) -> None:
        """Set a row."""
        if key not in self.batch.rows:
            self._staged.setdefault(family_prefix(key), set()).add(key)
        self.batch.put(key, value)

    def delete(self, key: bytes) -> None:
        """Remove a row."""
        if key not in self.batch.rows:
            self._staged.setdefault(family_prefix(key), set()).add(key)
        self.batch.delete(key)

    def add_posting(self, key: bytes, entry: bytes) -> None:
        """Add an entry to a posting list."""
        self.batch.add_posting(key, entry)

    def get(self, key: bytes) -> bytes | None:
        """As Reader.get."""
        rows = self.batch.rows
        return rows[key] if key in rows else self._base.get(key)

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
        rows = self.batch.rows
        staged = sorted(key for key in self._staged_near(prefix) if _is_in(key, prefix, after))
        # Rows that the batch deletes are read from below and left out, so ask for that many more.
        below = self._base.scan(prefix, after=after, count_max=count_max + len(staged))
        kept = ((key, value) for key, value in below if key not in rows)
        on_top = ((key, value) for key in staged if (value := rows[key]) is not None)
        for _, pair in zip(range(count_max), merge(kept, on_top), strict=False):
            yield pair

    def _staged_near(self, prefix: bytes) -> Iterable[bytes]:
        """Staged row keys that may lie under prefix."""
        try:
            return self._staged.get(family_prefix(prefix), ())
        except UnknownKey:  # wider than one family
            return self.batch.rows

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


def _is_in(key: bytes, prefix: bytes, after: bytes | None) -> bool:
    return key.startswith(prefix) and (after is None or key > after)
