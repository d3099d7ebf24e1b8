"""Real keys, random batches, and plain dicts that say what a store should hold."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, cast

from keycodec import (
    assertion_key,
    assertion_prefix,
    event_key,
    event_prefix,
    hash_subject_key,
    hash_subject_prefix,
    known_subject_key,
    known_subject_prefix,
    meta_key,
    pair_postings_key,
    pair_postings_prefix,
    prefix_end,
    subject_postings_key,
    subject_prefix,
    view_key,
    view_prefix,
    vote_count_key,
    vote_count_prefix,
)
from stores import KV, Batch, HybridStore, MemoryEngine, Reader, RowKV, StoreOptions, state_postings, state_rows
from stores.engines.lmdb import LmdbEngine
from stores.engines.rocks import RocksEngine
from stores.kv import POSTING_BYTES

SMALL: Final = StoreOptions(memory_bytes=1024 * 1024, map_bytes=1024 * 1024, sync_commits_max=4)
ALL: Final = 100_000  # a page that no test fills

SUBJECTS: Final = ("Semaglutide", "Semaglutide2", "Zürich", "isbn:978", "a")
PREDICATES: Final = ("causes", "causes:often", "größe")


def hash_hex(number: int) -> str:
    """The hash of nothing in particular; the order of numbers is the order of the digits."""
    return f"{number:064x}"


def entry(number: int) -> bytes:
    """A posting whose byte order is the order of numbers."""
    return number.to_bytes(POSTING_BYTES, "big")


ROW_KEYS: Final = tuple(
    sorted(
        {
            *(assertion_key(subject, hash_hex(number)) for subject in SUBJECTS for number in range(4)),
            *(vote_count_key(subject, hash_hex(number)) for subject in SUBJECTS for number in range(2)),
            *(view_key(subject, predicate) for subject in SUBJECTS for predicate in PREDICATES),
            *(known_subject_key(subject) for subject in SUBJECTS),
            *(hash_subject_key(hash_hex(number)) for number in range(4)),
            *(event_key(hash_hex(number)) for number in range(4)),
            meta_key("cursor"),
            meta_key("log"),
        }
    )
)
LIST_KEYS: Final = tuple(
    sorted(
        {
            *(subject_postings_key(subject) for subject in SUBJECTS),
            *(pair_postings_key(subject, predicate) for subject in SUBJECTS for predicate in PREDICATES),
        }
    )
)
ROW_PREFIXES: Final = (
    *(subject_prefix(subject) for subject in SUBJECTS),
    *(assertion_prefix(subject) for subject in SUBJECTS),
    *(view_prefix(subject) for subject in SUBJECTS),
    *(vote_count_prefix(subject) for subject in SUBJECTS),
    b"Sema",
    event_prefix(),
    hash_subject_prefix(),
    known_subject_prefix(),
    known_subject_prefix("Sema"),
)
LIST_PREFIXES: Final = (b"", b"Sema", *(pair_postings_prefix(s) for s in SUBJECTS), *(map(subject_prefix, SUBJECTS)))


class Model:
    """What a store holds, kept in the plainest way."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.lists: dict[bytes, set[bytes]] = {}

    def copy(self) -> "Model":
        other = Model()
        other.rows = dict(self.rows)
        other.lists = {key: set(entries) for key, entries in self.lists.items()}
        return other

    def apply(self, batch: Batch) -> None:
        for key, value in batch.rows.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        for key, entries in batch.postings.items():
            self.lists.setdefault(key, set()).update(entries)

    def scan(self, prefix: bytes, after: bytes | None, count_max: int) -> list[tuple[bytes, bytes]]:
        return [(key, self.rows[key]) for key in _page(self.rows, prefix, after, count_max)]

    def postings(self, key: bytes, after: bytes | None, count_max: int) -> list[bytes]:
        return _page(self.lists.get(key, ()), b"", after, count_max)

    def posting_keys(self, prefix: bytes, after: bytes | None, count_max: int) -> list[bytes]:
        return _page(self.lists, prefix, after, count_max)


def _page(items: object, prefix: bytes, after: bytes | None, count_max: int) -> list[bytes]:
    found = sorted(item for item in cast("set[bytes]", items) if item.startswith(prefix))
    return [item for item in found if after is None or item > after][:count_max]


def random_batch(generator: random.Random, *, lists: bool, row_count: int = 12) -> Batch:
    """Puts, deletes and postings over the key pool, some of them more than once."""
    batch = Batch()
    for _ in range(generator.randrange(row_count)):
        key = generator.choice(ROW_KEYS)
        if generator.random() < 0.3:
            batch.delete(key)
        else:
            batch.put(key, generator.randbytes(generator.choice([0, 1, 8, 300])))
    for _ in range(generator.randrange(8) if lists else 0):
        batch.add_posting(generator.choice(LIST_KEYS), entry(generator.randrange(40)))
    return batch


def check_all(reader: Reader, model: Model, *, lists: bool) -> None:
    """Everything that is there is what should be, and nothing else."""
    assert list(state_rows(reader)) == sorted(model.rows.items())
    if lists:
        found = list(state_postings(reader))
        assert found == [(key, one) for key in sorted(model.lists) for one in sorted(model.lists[key])]


def check_reads(reader: Reader, model: Model, generator: random.Random, *, lists: bool) -> None:
    """A few reads of every sort, with random bounds."""
    keys = [generator.choice(ROW_KEYS) for _ in range(5)]
    same_family = [assertion_key(SUBJECTS[0], hash_hex(generator.randrange(6))) for _ in range(4)]
    assert [reader.get(key) for key in keys] == [model.rows.get(key) for key in keys]
    assert reader.get_many(same_family) == [model.rows.get(key) for key in same_family]
    for prefix in generator.sample(ROW_PREFIXES, 5):
        after, count_max = _bounds(generator, ROW_KEYS, prefix)
        found = list(reader.scan(prefix, after=after, count_max=count_max))
        assert found == model.scan(prefix, after, count_max), (prefix, after, count_max)
    if lists:
        _check_list_reads(reader, model, generator)


def _check_list_reads(reader: Reader, model: Model, generator: random.Random) -> None:
    for key in generator.sample(LIST_KEYS, 5):
        after = generator.choice([None, entry(generator.randrange(42))])
        count_max = generator.choice([1, 2, 5, ALL])
        assert reader.postings(key, after=after, count_max=count_max) == model.postings(key, after, count_max)
        assert reader.posting_count(key) == len(model.lists.get(key, ()))
    prefix = generator.choice(LIST_PREFIXES)
    after, count_max = _bounds(generator, LIST_KEYS, prefix)
    found = reader.posting_keys(prefix, after=after, count_max=count_max)
    assert found == model.posting_keys(prefix, after, count_max), (prefix, after, count_max)


def _bounds(generator: random.Random, keys: tuple[bytes, ...], prefix: bytes) -> tuple[bytes | None, int]:
    near = [key for key in keys if key.startswith(prefix)] or list(keys)
    wild = [generator.choice(keys), prefix, prefix_end(prefix)]
    return generator.choice([None, generator.choice(near), generator.choice(wild)]), generator.choice([1, 2, 7, ALL])


class Engine(NamedTuple):
    """One implementation of KV, and what of the protocol it offers."""

    name: str
    open: Callable[[Path], KV]
    open_copy: Callable[[Path], KV]
    lists: bool  # RocksDB keeps no posting lists
    durable: bool


def _open_rocks(folder: Path) -> KV:
    engine: RowKV = RocksEngine(folder, memory_bytes=SMALL.memory_bytes)
    return cast("KV", engine)  # where lists is False, tests ask for none


def _open_lmdb(folder: Path) -> KV:
    return LmdbEngine(folder, map_bytes=64 * 1024 * 1024)


def _open_hybrid(folder: Path) -> KV:
    return HybridStore.open(folder, SMALL)


ENGINES: Final = (
    Engine("memory", lambda _: MemoryEngine(), MemoryEngine.open, lists=True, durable=False),
    Engine("lmdb", _open_lmdb, _open_lmdb, lists=True, durable=True),
    Engine("hybrid", _open_hybrid, _open_hybrid, lists=True, durable=True),
    Engine("rocks", _open_rocks, _open_rocks, lists=False, durable=True),
)
