"""Lineage: each assertion is listed where it belongs, once, at the position that put it there."""

import random

import pytest

from stores import LineageStore, Posting, state_digest
from tests.folds.governing import ANA, BEN, fold, folded, hash_of, taken_late
from tests.support.events import make_assertion, signed
from tests.support.meaning import as_logged
from tests.support.stores import ALL

ROOT = make_assertion()
CHILD = make_assertion(parent_hash=hash_of(ROOT), source_hash="5" * 64, epoch="6" * 64)


def test_assertion_is_listed_under_parent_source_epoch_and_signers() -> None:
    store = LineageStore(folded(signed(ROOT, ANA), signed(CHILD, ANA, BEN)))
    root, child = Posting(0, signed(ROOT).digest), Posting(1, signed(CHILD).digest)
    assert store.children(hash_of(ROOT), count_max=ALL) == [child]
    assert store.of_source("5" * 64, count_max=ALL) == [child]
    assert store.of_epoch("6" * 64, count_max=ALL) == [child]
    assert store.of_agent(ANA.agent_hex, count_max=ALL) == [root, child]
    assert store.of_agent(BEN.agent_hex, count_max=ALL) == [child]


@pytest.mark.parametrize("size", [1, 2, 9])
def test_signature_that_joins_is_listed_at_its_own_position_and_nothing_twice(size: int) -> None:
    steps = [signed(CHILD, ANA), signed(CHILD, ANA), signed(CHILD, BEN, ANA), signed(CHILD, ANA, BEN)]
    store = LineageStore(folded(*steps, size=size))
    digest = signed(CHILD).digest
    assert store.of_agent(ANA.agent_hex, count_max=ALL) == [Posting(0, digest)]
    assert store.of_agent(BEN.agent_hex, count_max=ALL) == [Posting(2, digest)]
    assert store.of_source("5" * 64, count_max=ALL) == [Posting(0, digest)]


def test_lists_of_a_long_log_are_in_its_order_and_do_not_depend_on_batches() -> None:
    generator = random.Random(1)
    claims = [make_assertion(narrative=str(number), source_hash="5" * 64) for number in range(300)]
    steps = [signed(generator.choice(claims), generator.choice([ANA, BEN])) for _ in range(700)]
    events = as_logged(steps)
    stores = [fold(events, size) for size in (1, 7, 256, 700)]
    with stores[0].snapshot() as reader:
        for key in (ANA, BEN):
            first: dict[bytes, int] = {}
            for seq, step in enumerate(steps):
                if step.signatures[0].agent == key.agent:
                    first.setdefault(step.digest, seq)
            found = LineageStore(reader).of_agent(key.agent_hex, count_max=ALL)
            assert found == [Posting(seq, digest) for digest, seq in first.items()]
    assert len({state_digest(store.snapshot()) for store in stores}) == 1


def test_assertion_that_is_taken_late_is_listed_at_its_place() -> None:
    steps = [signed(make_assertion(narrative=str(number)), ANA) for number in range(4)]
    found = LineageStore(taken_late(steps, 2, 0)).of_agent(ANA.agent_hex, count_max=ALL)
    assert found == [Posting(seq, step.digest) for seq, step in enumerate(steps)]
