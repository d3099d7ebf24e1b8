"""The seam between state and engines: readers, snapshots, batches, and the KV protocols.

Rows are bytes under a key.  Posting lists are sets of fixed-size entries under
a key, read in byte order; adding to one costs the same whatever its length.
Lists are an optional capability: RowKV is a store without them, KV one with.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol, Self

from keycodec import KEY_BYTES_MAX, meta_key
from stores.errors import InvalidBatch

POSTING_BYTES: Final = 40  # u64 big endian position, then a 32-byte hash
SCAN_COUNT_MAX: Final = 100_000  # a page: bounds the memory of one call

_CURSOR_KEY: Final = meta_key("cursor")


class RowReader(Protocol):
    """Reads rows.  What it returns are copies and outlive it."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values in the order of the keys, which are all of families of one engine."""

    def scan(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> Iterator[tuple[bytes, bytes]]:
        """Rows under prefix in key order, at most count_max; after is an exclusive start, to resume a page."""


class PostingReader(Protocol):
    """Reads posting lists."""

    def postings(self, key: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """Entries in byte order, at most count_max; after is an exclusive start."""

    def posting_count(self, key: bytes) -> int:
        """How many entries the list has."""

    def posting_keys(self, prefix: bytes, *, after: bytes | None = None, count_max: int) -> list[bytes]:
        """The keys under prefix that have a list, in key order."""


class Reader(RowReader, PostingReader, Protocol):
    """Reads rows and posting lists."""


class RowSnapshot(RowReader, Protocol):
    """A reader of one moment.  Close it soon: an old moment keeps its pages from being used again.

    Every read raises StoreClosed once it was closed, by its holder or, after a bound of the store's, by the store.
    """

    @property
    def position(self) -> int:
        """How many events it has folded: the META cursor row; 0 in a new store."""

    def close(self) -> None:
        """Let the moment go.  A second call does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Snapshot(RowSnapshot, PostingReader, Protocol):
    """A reader of one moment of rows and lists."""


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


class RowKV(Protocol):
    """An engine of rows alone: a batch with postings is refused.  One thread commits; any thread takes snapshots."""

    def snapshot(self) -> RowSnapshot:
        """The state after the last commit.  Raises: StoreClosed; StoreFailed."""

    def commit(self, batch: Batch) -> None:
        """Make a batch durable, then visible; all of it or nothing.

        The pair, a fold of a log, shows it at once, and a power cut may take back its newest commits: those since the
        last sync, whole and in both engines.  No kill does.
        Raises: InvalidBatch, and nothing has happened; StoreFull, and nothing but resume may come next;
        StoreFailed, and the store is to be reopened before anything else, which the pair insists on and a single
        engine leaves to its caller (a runner stops); StoreClosed.
        """

    def checkpoint(self, folder: Path) -> None:
        """Copy the last commit into a folder, which must not exist yet; it is whole and durable when it appears.

        The copy opens like the original and shares no fate with it.  Commits go on meanwhile, apart from
        a short pause; a crash leaves nothing under the folder's name.
        Raises: FileExistsError; StoreFull; StoreFailed; StoreClosed.
        """

    def size_bytes(self) -> int:
        """Roughly what the store takes on disk."""

    def close(self) -> None:
        """Close it; snapshots that are still held refuse further reads.  A second call does nothing."""


class KV(RowKV, Protocol):
    """An engine of rows and posting lists, or a pair of engines."""

    def snapshot(self) -> Snapshot:
        """The state after the last commit.  Raises: StoreClosed; StoreFailed."""

    def resume(self) -> Batch | None:
        """Go on after StoreFull: finish the commit that met it, and give its batch, which is durable and visible then.

        None: no commit is half done; one that raised StoreFull in a single engine has left nothing.
        Raises: StoreFull while there is no room, and it may be tried again; StoreFailed; StoreClosed.
        """


def check_keys(batch: Batch) -> None:
    """Refuse keys that not every engine can keep, before anything is written.

    Raises: InvalidBatch for a key that is empty or longer than KEY_BYTES_MAX.
    """
    for keys in (batch.rows, batch.postings):
        if keys and (b"" in keys or len(max(keys, key=len)) > KEY_BYTES_MAX):
            bad = next(key for key in keys if not 1 <= len(key) <= KEY_BYTES_MAX)
            raise InvalidBatch(f"a key has {len(bad)} bytes; expected 1 to {KEY_BYTES_MAX}: {bad!r:.80}")


def position_of(reader: RowReader) -> int:
    """The META cursor row: how many events a state has folded."""
    data = reader.get(_CURSOR_KEY)
    return int.from_bytes(data or b"", "little")
