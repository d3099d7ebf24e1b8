"""Which assertions a subject and a pair have, and which subjects there are: families S, SP, SUBJECTS."""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from keycodec import (
    AssertionKeys,
    known_subject_key,
    known_subject_prefix,
    pair_postings_key,
    pair_postings_prefix,
    parse,
    subject_postings_key,
)
from stores.kv import Reader
from stores.staging import Staging

_SEQ_BYTES: Final = 8
_POSTING: Final = struct.Struct(">Q32s")  # big endian, so that byte order is log order


class Posting(NamedTuple):
    """An assertion in a list: its position in the log and its hash."""

    seq: int
    digest: bytes


def pack_posting(seq: int, digest: bytes) -> bytes:
    """An entry of a list: byte order is log order."""
    return _POSTING.pack(seq, digest)


def unpack_postings(data: bytes) -> list[Posting]:
    """Entries that follow each other; data: as many bytes as whole entries have."""
    return [Posting(*fields) for fields in _POSTING.iter_unpack(data)]


class IndexStore:
    """Reads posting lists and known subjects.  after is an exclusive start, to resume a page."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def of_pair(self, subject: str, predicate: str, *, after: Posting | None = None, count_max: int) -> list[Posting]:
        """The pair's assertions in log order, at most count_max."""
        return self._postings(pair_postings_key(subject, predicate), after, count_max)

    def columns_of_pair(self, subject: str, predicate: str, *, count_max: int) -> tuple[list[int], list[bytes]]:
        """As of_pair, positions and hashes apart, without an object for each, for who reads many."""
        entries = self._reader.postings(pair_postings_key(subject, predicate), after=None, count_max=count_max)
        return [int.from_bytes(entry[:_SEQ_BYTES]) for entry in entries], [entry[_SEQ_BYTES:] for entry in entries]

    def of_subject(self, subject: str, *, after: Posting | None = None, count_max: int) -> list[Posting]:
        """The subject's assertions in log order, at most count_max."""
        return self._postings(subject_postings_key(subject), after, count_max)

    def pair_count(self, subject: str, predicate: str) -> int:
        """How many assertions the pair has."""
        return self._reader.posting_count(pair_postings_key(subject, predicate))

    def predicates(self, subject: str, *, after: str | None = None, count_max: int) -> list[str]:
        """The predicates that the subject has claims about, in byte order, at most count_max."""
        start = None if after is None else pair_postings_key(subject, after)
        keys = self._reader.posting_keys(pair_postings_prefix(subject), after=start, count_max=count_max)
        return [parse(key).text("predicate") for key in keys]

    def subjects(self, start: str = "", *, after: str | None = None, count_max: int) -> Iterator[str]:
        """Known subjects that begin with start, in byte order, at most count_max."""
        last = None if after is None else known_subject_key(after)
        for key, _ in self._reader.scan(known_subject_prefix(start), after=last, count_max=count_max):
            yield parse(key).text("subject")

    def _postings(self, key: bytes, after: Posting | None, count_max: int) -> list[Posting]:
        start = None if after is None else _POSTING.pack(*after)
        entries = self._reader.postings(key, after=start, count_max=count_max)
        return [Posting(*_POSTING.unpack(entry)) for entry in entries]


class IndexWriter(IndexStore):
    """Stages postings."""

    def __init__(self, staging: Staging) -> None:
        super().__init__(staging)
        self._staging = staging

    def add(self, subject: str, predicate: str, posting: Posting) -> None:
        """List an assertion under its subject and its pair."""
        entry = _POSTING.pack(*posting)
        self._staging.add_posting(subject_postings_key(subject), entry)
        self._staging.add_posting(pair_postings_key(subject, predicate), entry)
        self._staging.put(known_subject_key(subject), b"")

    def add_keys(self, keys: AssertionKeys, seq: int, digest: bytes) -> None:
        """As add, for an assertion whose keys are at hand."""
        entry = _POSTING.pack(seq, digest)
        self._staging.add_posting(keys.subject_postings, entry)
        self._staging.add_posting(keys.pair_postings, entry)
        self._staging.put(keys.known_subject, b"")

    def adds(self, subject: str, entry: bytes) -> bool:
        """Whether this batch has listed an assertion under its subject, at the position that the entry says."""
        return entry in self._staging.batch.postings.get(subject_postings_key(subject), ())
