"""Random batches, held snapshots and reopenings, on every engine, against plain dicts."""

import random
from pathlib import Path

import pytest

from stores import KV, Snapshot
from tests.support.stores import ENGINES, Engine, Model, check_all, check_reads, random_batch


@pytest.mark.parametrize("engine", ENGINES, ids=[engine.name for engine in ENGINES])
@pytest.mark.parametrize("seed", range(6))
def test_random_operations_give_what_a_plain_dict_gives(engine: Engine, tmp_path: Path, seed: int) -> None:
    generator = random.Random(seed)
    store, model = engine.open(tmp_path / "store"), Model()
    held: list[tuple[Snapshot, Model]] = []
    try:
        for step in range(120):
            try:
                _step(store, model, held, generator, engine)
                if engine.durable and generator.random() < 0.05:
                    _let_go(held)
                    store.close()
                    store = engine.open(tmp_path / "store")
            except Exception as error:
                error.add_note(f"{engine.name}, seed {seed}, step {step}")
                raise
    finally:
        _let_go(held)
        store.close()


def _step(
    store: KV, model: Model, held: list[tuple[Snapshot, Model]], generator: random.Random, engine: Engine
) -> None:
    batch = random_batch(generator, lists=engine.lists)
    store.commit(batch)
    model.apply(batch)
    if len(held) < 4:
        held.append((store.snapshot(), model.copy()))
    if len(held) == 4 and generator.random() < 0.5:
        held.pop(generator.randrange(4))[0].close()
    snapshot, then = generator.choice(held)
    check_reads(snapshot, then, generator, lists=engine.lists)
    with store.snapshot() as newest:
        check_reads(newest, model, generator, lists=engine.lists)
        check_all(newest, model, lists=engine.lists)


def _let_go(held: list[tuple[Snapshot, Model]]) -> None:
    for snapshot, _ in held:
        snapshot.close()
    held.clear()
