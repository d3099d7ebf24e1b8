"""A fold whose meaning changes has a new version: the state of one history is held against a golden file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cortex import apply_batch
from episteme.folds import FOLDS
from episteme.folds.view import SMALL_COUNT_MAX
from model import BooleanValue, Epoch, NumberValue, TextValue, event_hash
from stores import MemoryEngine, state_digest
from tests.folds.pair_histories import Folding, Said, agent, assertion, vote
from tests.support import meaning
from tests.support.events import NOW_MS
from tests.support.meaning import as_logged

GOLDEN: Final = Path(__file__).parents[1] / "golden" / "folds.json"


def history() -> Iterator[Said]:
    """A little of all that the folds know, made without chance."""
    values = (TextValue("round"), TextValue(" round"), NumberValue("1.0"), NumberValue("1"), BooleanValue(True))
    for number in range(60):  # more than a small pair holds
        claim = assertion(
            object=values[number % len(values)],
            confidence=f"0.{number % 9 + 1}",
            source_class=("expert", "community", "clinical")[number % 3],
            lifecycle=("approved", "proposed", "deprecated")[number % 7 % 3],
            timestamp=NOW_MS + number * 37 % 50,
            narrative=str(number),
        )
        yield Said(claim, [agent(number % 11), agent(number % 4 + 20)][: 1 + number % 2])
        if number % 3 == 0:
            yield vote(claim, number % 5, ("1", "-0.5", "0")[number % 9 // 3], timestamp=NOW_MS + number)
        if number % 5 == 0:
            moved = assertion(
                object=claim.object, parent_hash=event_hash(claim).hex(), lifecycle="approved", timestamp=NOW_MS + 90
            )
            yield Said(moved, [agent(number % 11)])
            yield Said(claim, [agent(30)])  # a co-signature
    yield Said(assertion(subject="moon"), [agent(1)])
    yield Said(Epoch(v=2, agent=agent(1).hex(), timestamp=NOW_MS, name="now", start=0), [agent(1)])


def governed_digest(seed: int) -> str:
    """What a history of all kinds of events comes to."""
    store, events = MemoryEngine(), as_logged(meaning.history(seed, 200))
    apply_batch(store, FOLDS, events, len(events))
    with store.snapshot() as reader:
        return state_digest(reader)


def test_equal_versions_give_an_equal_state_today_and_then() -> None:
    """If this fails, raise the version of each fold that has changed, then write down what both are now."""
    folding = Folding(MemoryEngine(), SMALL_COUNT_MAX)
    folding.add(*history())
    with folding.store.snapshot() as reader:
        digest = state_digest(reader)
    found = {
        "versions": {fold.name: fold.version for fold in FOLDS},
        "digest": digest,
        "governed": [governed_digest(seed) for seed in range(3)],
    }
    assert json.loads(GOLDEN.read_text()) == found
