"""Batches over all families that depend on the state before them, and what a store holds after each."""

import random
from collections.abc import Callable
from typing import Final

from keycodec import FAMILIES, Family, Kind, Scope, meta_key
from stores import KV, Batch, Reader
from stores.engines.hybrid import is_bookkeeping
from tests.support.stores import Model, entry

_SUBJECTS: Final = (b"Tesla", b"Tesla2", b"isbn:978", "Zürich".encode(), b"a")
_FOREIGN: Final = (b"plain", b"tasks:1", b"\xff\xfe", b"x\x00no family")  # keys of a fold of somebody else's
_COUNTERS: Final = (b"Tesla\x00VC:counter", b"Tesla\x00MV:counter", b"counter")  # RocksDB, LMDB, and neither's family
_SIZES: Final = (0, 1, 8, 300, 300, 2500)


def history_batch(seed: int, number: int, get: Callable[[bytes], bytes | None]) -> Batch:
    """The number-th batch of a history; get reads the state that it is made on."""
    chance, batch = random.Random(f"{seed}-{number}"), Batch()
    for key in _COUNTERS:
        batch.put(key, (int.from_bytes(get(key) or b"", "little") + 1).to_bytes(8, "little"))
        batch.add_posting(key, entry(number))
    for _ in range(chance.randrange(30)):
        key = _random_key(chance)
        if chance.random() < 0.25:
            batch.delete(key)
        else:
            batch.put(key, (get(key) or b"")[:4] + chance.randbytes(chance.choice(_SIZES)))
    for _ in range(chance.randrange(20)):
        batch.add_posting(_random_key(chance), entry(chance.randrange(500)))
    batch.put(meta_key("cursor"), (number + 1).to_bytes(8, "little"))
    return batch


def commit_next(store: KV, seed: int) -> int:
    """Commit the batch that follows what the store holds; give the position after it."""
    with store.snapshot() as snapshot:
        position = snapshot.position
        batch = history_batch(seed, position, snapshot.get)
    store.commit(batch)
    return position + 1


class History:
    """What a store holds after each number of commits."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._models = [Model()]

    def at(self, position: int) -> Model:
        """The state of the first position batches."""
        while len(self._models) <= position:
            model = self._models[-1].copy()
            model.apply(history_batch(self.seed, len(self._models) - 1, model.rows.get))
            self._models.append(model)
        return self._models[position]

    def check(self, reader: Reader, position: int) -> None:
        """The reader holds exactly the first position batches."""
        model = self.at(position)
        for key in _COUNTERS:
            assert int.from_bytes(reader.get(key) or b"", "little") == position, (key, position)
        assert dict(_rows(reader)) == model.rows
        keys = reader.posting_keys(b"", count_max=10**6)
        assert {key: set(reader.postings(key, count_max=10**6)) for key in keys} == model.lists


def _rows(reader: Reader) -> list[tuple[bytes, bytes]]:
    return [pair for pair in reader.scan(b"", count_max=10**6) if not is_bookkeeping(pair[0])]


def _random_key(chance: random.Random) -> bytes:
    if chance.random() < 0.1:
        return chance.choice(_FOREIGN)
    family = chance.choice(_ROW_FAMILIES)
    subject = chance.choice(_SUBJECTS) if family.scope is Scope.SUBJECT else b""
    return subject + b"\x00" + family.tag.encode() + b":x%d" % chance.randrange(4)


_ROW_FAMILIES: Final[tuple[Family, ...]] = tuple(family for family in FAMILIES if family.kind is not Kind.POSTINGS)
