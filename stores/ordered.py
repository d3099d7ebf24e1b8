"""Ordered sets of rows that a batch changes often: read from the front, written once.

A set is the rows under a prefix, told apart by their suffixes.  What a batch
does to a set is kept here and staged at its end, so a row that comes and goes
within a batch is never written, and the front of a set is read from the store
a page at a time, however often it changes.
"""

from bisect import bisect_left, insort
from typing import Final

from stores.kv import Reader
from stores.staging import Staging

_PAGE_MIN: Final = 4  # most often one row is asked for, and the batch has deleted the ones before it
_PAGE_MAX: Final = 1024

_Changes = dict[bytes, bytes | None]  # by suffix; None: the row is deleted


class _Front:
    """A set that is read: the changed rows in order, and as many unchanged ones as have been asked for."""

    __slots__ = ("_after", "_is_whole", "_page", "_prefix", "added", "kept", "values")

    def __init__(self, prefix: bytes, changes: _Changes) -> None:
        self.added = sorted(suffix for suffix, value in changes.items() if value is not None)
        self.kept: list[bytes] = []
        self.values: dict[bytes, bytes] = {}  # of the kept
        self._prefix = prefix
        self._after: bytes | None = None
        self._page = _PAGE_MIN
        self._is_whole = False

    def first(self, reader: Reader, changes: _Changes, count: int) -> list[bytes]:
        while len(self.kept) < count and not self._is_whole:
            self._read_on(reader, changes, count - len(self.kept))
        return sorted(self.added[:count] + self.kept[:count])[:count]

    def add(self, suffix: bytes) -> None:
        insort(self.added, suffix)

    def drop_added(self, suffix: bytes) -> None:
        del self.added[bisect_left(self.added, suffix)]

    def drop_kept(self, suffix: bytes) -> None:
        if self.values.pop(suffix, None) is not None:
            del self.kept[bisect_left(self.kept, suffix)]

    def _read_on(self, reader: Reader, changes: _Changes, missing: int) -> None:
        size = max(self._page, missing)
        page = list(reader.scan(self._prefix, after=self._after, count_max=size))
        self._page = min(2 * self._page, _PAGE_MAX)
        self._is_whole = len(page) < size
        start = len(self._prefix)
        for key, value in page:
            suffix = key[start:]
            if suffix not in changes:
                self.kept.append(suffix)
                self.values[suffix] = value
        if page:
            self._after = page[-1][0]


class OrderedRows:
    """The sets that one batch touches.  A row is put only where there is none, and deleted only where there is one."""

    def __init__(self, staging: Staging) -> None:
        """staging: holds no changes of these sets yet."""
        self._staging = staging
        self._changes: dict[bytes, _Changes] = {}  # by prefix
        self._fronts: dict[bytes, _Front] = {}  # of the sets that are read
        self._stored: set[bytes] = set()  # keys that are changed here and are in the store

    def put(self, prefix: bytes, suffix: bytes, value: bytes = b"") -> None:
        """Add a row."""
        changes = self._changes.get(prefix)
        if changes is None:
            self._changes[prefix] = {suffix: value}
        else:
            changes[suffix] = value
        if prefix in self._fronts:
            self._fronts[prefix].add(suffix)

    def delete(self, prefix: bytes, suffix: bytes) -> None:
        """Remove a row."""
        changes = self._changes.setdefault(prefix, {})
        front = self._fronts.get(prefix)
        key = prefix + suffix
        if suffix not in changes:
            self._stored.add(key)
            if front is not None:
                front.drop_kept(suffix)
        elif front is not None:
            front.drop_added(suffix)
        if key in self._stored:
            changes[suffix] = None
        else:
            del changes[suffix]

    def first(self, prefix: bytes, count: int) -> list[tuple[bytes, bytes]]:
        """The first rows of a set in order, at most count: suffix and value."""
        changes = self._changes.setdefault(prefix, {})
        front = self._fronts.get(prefix)
        if front is None:
            front = self._fronts[prefix] = _Front(prefix, changes)
        found = []
        for suffix in front.first(self._staging, changes, count):
            value = changes.get(suffix)
            found.append((suffix, front.values[suffix] if value is None else value))
        return found

    def get(self, prefix: bytes, suffix: bytes) -> bytes | None:
        """One row."""
        changes = self._changes.get(prefix)
        if changes is not None and suffix in changes:
            return changes[suffix]
        return self._staging.get(prefix + suffix)

    def stage(self) -> None:
        """Write what has changed; the sets must not be used any more."""
        put, delete = self._staging.put, self._staging.delete
        for prefix, changes in self._changes.items():
            for suffix, value in changes.items():
                if value is None:
                    delete(prefix + suffix)
                else:
                    put(prefix + suffix, value)
