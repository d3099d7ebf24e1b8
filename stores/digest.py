"""A digest of a whole state: equal states have equal digests, whichever engines keep them."""

from collections.abc import Iterator
from typing import Final

from blake3 import blake3

from keycodec import dead_letter_prefix
from stores.deadletter import DEAD_LETTER_COUNT_KEY
from stores.engines.hybrid import is_bookkeeping
from stores.kv import SCAN_COUNT_MAX, Reader
from stores.meta import LAST_KEY

_NO_FOLDS_OWN: Final = frozenset((DEAD_LETTER_COUNT_KEY, LAST_KEY))


def state_rows(reader: Reader) -> Iterator[tuple[bytes, bytes]]:
    """All rows of a state in key order, but for the engines' own bookkeeping."""
    after: bytes | None = None
    while True:
        page = list(reader.scan(b"", after=after, count_max=SCAN_COUNT_MAX))
        yield from (pair for pair in page if not is_bookkeeping(pair[0]))
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
    """BLAKE3 over every row and posting, each part with its length: 64 hex digits.

    Dead letters are left out: they tell of tries, in words that differ between versions of Python.  So is
    what ties a state to its log's last frame.
    """
    digest = blake3()
    for part in (_folded_rows(reader), state_postings(reader)):
        for key, value in part:
            digest.update(b"%d:%d:" % (len(key), len(value)) + key + value)
        digest.update(b"end;")
    return digest.hexdigest()


def _folded_rows(reader: Reader) -> Iterator[tuple[bytes, bytes]]:
    letters = dead_letter_prefix()
    for key, value in state_rows(reader):
        if not key.startswith(letters) and key not in _NO_FOLDS_OWN:
            yield key, value


def _entries(reader: Reader, key: bytes) -> Iterator[bytes]:
    after: bytes | None = None
    while True:
        page = reader.postings(key, after=after, count_max=SCAN_COUNT_MAX)
        yield from page
        if len(page) < SCAN_COUNT_MAX:
            return
        after = page[-1]
