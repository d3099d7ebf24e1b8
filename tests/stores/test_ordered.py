"""Ordered sets of rows, against plain sorted dicts: reads from the front between changes, and what is staged."""

from collections.abc import Iterator
from random import Random

import pytest

from keycodec import live_vote_prefix
from stores import MemoryEngine, OrderedRows, Staging
from tests.support.counted_reads import CountingReader
from tests.support.stores import hash_hex

PREFIXES = tuple(live_vote_prefix("Zürich", hash_hex(number)) for number in range(3))


def suffix(number: int) -> bytes:
    return hash_hex(number).encode()


def in_order(rows: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return sorted(rows.items())


def stored(engine: MemoryEngine, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    for key, value in engine.snapshot().scan(prefix, count_max=10_000):
        yield key[len(prefix) :], value


@pytest.mark.parametrize("seed", range(40))
def test_sets_are_what_sorted_dicts_are_over_many_batches(seed: int) -> None:
    random = Random(seed)
    engine = MemoryEngine()
    model: dict[bytes, dict[bytes, bytes]] = {prefix: {} for prefix in PREFIXES}
    for _ in range(6):
        staging = Staging(engine.snapshot())
        rows = OrderedRows(staging)
        for _ in range(random.choice([5, 60])):
            prefix = random.choice(PREFIXES)
            one, name = model[prefix], suffix(random.randrange(60))
            if random.random() < 0.3:
                count = random.choice([1, 2, 5, 100])
                assert rows.first(prefix, count) == in_order(one)[:count]
            elif name in one:
                assert rows.get(prefix, name) == one[name]
                rows.delete(prefix, name)
                del one[name]
            else:
                assert rows.get(prefix, name) is None
                one[name] = random.randbytes(2)
                rows.put(prefix, name, one[name])
        rows.stage()
        engine.commit(staging.batch)
        for prefix in PREFIXES:
            assert list(stored(engine, prefix)) == in_order(model[prefix])


def test_row_that_comes_and_goes_in_a_batch_is_not_written() -> None:
    staging = Staging(MemoryEngine().snapshot())
    rows = OrderedRows(staging)
    for read_between in (False, True):
        rows.put(PREFIXES[0], suffix(1))
        if read_between:
            assert rows.first(PREFIXES[0], 1) == [(suffix(1), b"")]
        rows.delete(PREFIXES[0], suffix(1))
    rows.stage()
    assert staging.batch.rows == {}


def test_row_that_goes_comes_back_and_goes_is_deleted() -> None:
    engine = MemoryEngine()
    staging = Staging(engine.snapshot())
    staging.put(PREFIXES[0] + suffix(1), b"old")
    engine.commit(staging.batch)
    staging = Staging(engine.snapshot())
    rows = OrderedRows(staging)
    rows.delete(PREFIXES[0], suffix(1))
    rows.put(PREFIXES[0], suffix(1), b"new")
    assert rows.get(PREFIXES[0], suffix(1)) == b"new"
    rows.delete(PREFIXES[0], suffix(1))
    rows.stage()
    assert staging.batch.rows == {PREFIXES[0] + suffix(1): None}


def test_front_that_is_taken_row_by_row_reads_each_row_once() -> None:
    engine = MemoryEngine()
    staging = Staging(engine.snapshot())
    for number in range(1000):
        staging.put(PREFIXES[0] + suffix(number), b"")
    engine.commit(staging.batch)
    reader = CountingReader(engine.snapshot())
    rows = OrderedRows(Staging(reader))
    for number in range(900):
        assert rows.first(PREFIXES[0], 1) == [(suffix(number), b"")]
        rows.delete(PREFIXES[0], suffix(number))
    assert reader.rows <= 1020
