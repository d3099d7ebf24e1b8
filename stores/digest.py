"""A digest of a whole state: equal states have equal digests, whichever engines keep them."""

from collections.abc import Iterator

from blake3 import blake3

from stores.engines.hybrid import BOOKKEEPING_KEYS
from stores.kv import SCAN_COUNT_MAX, Reader


def state_rows(reader: Reader) -> Iterator[tuple[bytes, bytes]]:
    """All rows of a state in key order, but for the engines' own bookkeeping."""
    after: bytes | None = None
    while True:
        page = list(reader.scan(b"", after=after, count_max=SCAN_COUNT_MAX))
        yield from (pair for pair in page if pair[0] not in BOOKKEEPING_KEYS)
        if len(page) < SCAN_COUNT_MAX:
            return
        after = page[-1][0]


def state_postings(reader: Reader) -> Iterator[tuple[bytes, bytes]]:
    """All entries of all posting lists, in key and entry order."""
    after: bytes | None = None
    while True:
        keys = reader.posting_keys(b"", after=after, count_max=SCAN_COUNT_MAX)
        for key in keys:
            yield from ((key, entry) for entry in _entries(reader, key))
        if len(keys) < SCAN_COUNT_MAX:
            return
        after = keys[-1]


def state_digest(reader: Reader) -> str:
    """BLAKE3 over every row and posting, each part with its length: 64 hex digits."""
    digest = blake3()
    for part in (state_rows(reader), state_postings(reader)):
        for key, value in part:
            digest.update(b"%d:%d:" % (len(key), len(value)) + key + value)
        digest.update(b"end;")
    return digest.hexdigest()


def _entries(reader: Reader, key: bytes) -> Iterator[bytes]:
    after: bytes | None = None
    while True:
        page = reader.postings(key, after=after, count_max=SCAN_COUNT_MAX)
        yield from page
        if len(page) < SCAN_COUNT_MAX:
            return
        after = page[-1]
