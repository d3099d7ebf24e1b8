"""The seam between state and engines: readers, snapshots, batches, and the KV protocol.

Rows are bytes under a key.  Posting lists are sets of fixed-size entries under
a key, read in byte order; adding to one costs the same whatever its length.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol, Self

POSTING_BYTES: Final = 40  # u64 big endian position, then a 32-byte hash
SCAN_COUNT_MAX: Final = 100_000  # a page: bounds the memory of one call


class Reader(Protocol):
    """Reads rows and posting lists.  What it returns are copies and outlive it."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values in the order of the keys, which are all of one family."""

    def scan(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> Iterator[tuple[bytes, bytes]]:
        """Rows under prefix in key order, at most count_max; after is an exclusive start, to resume a page."""

    def postings(self, key: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """Entries in byte order, at most count_max; after is an exclusive start."""

    def posting_count(self, key: bytes) -> int:
        """How many entries the list has."""

    def posting_keys(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """The keys under prefix that have a list, in key order."""


class Snapshot(Reader, Protocol):
    """A reader of one moment.  Close it soon: an old moment keeps its pages from being used again."""

    def close(self) -> None:
        """Let the moment go.  A second call does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Batch:
    """Writes that become visible and durable together."""

    __slots__ = ("postings", "rows")

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes | None] = {}  # None: the row is deleted
        self.postings: dict[bytes, set[bytes]] = {}  # entries to add

    def put(self, key: bytes, value: bytes) -> None:
        """Set a row."""
        self.rows[key] = value

    def delete(self, key: bytes) -> None:
        """Remove a row, if it is there."""
        self.rows[key] = None

    def add_posting(self, key: bytes, entry: bytes) -> None:
        """Add an entry of POSTING_BYTES to a list; adding it again changes nothing."""
        assert len(entry) == POSTING_BYTES, len(entry)
        self.postings.setdefault(key, set()).add(entry)


class KV(Protocol):
    """An engine, or a pair of them.  One thread commits; any thread takes snapshots."""

    def snapshot(self) -> Snapshot:
        """The state after the last commit.  Raises: StoreClosed; StoreFailed."""

    def commit(self, batch: Batch) -> None:
        """Make a batch durable, then visible; all of it or nothing.  Raises: StoreFailed; StoreClosed."""

    def size_bytes(self) -> int:
        """Roughly what the store takes on disk."""

    def close(self) -> None:
        """Close it.  A second call does nothing."""
