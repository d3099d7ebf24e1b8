"""All of governance over random histories: as of any position it is what the log said by then.

Readers at a position are held against a store into which no more was folded; batches, engines and, where the
rules name no order, the order of arrival make no difference.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import UNSET

from cortex.applying import Applier
from episteme.folds import decode_frame
from model import Alias, DatabaseRules, Epoch, KeyRevocation, SignedEvent, Supersession, TrustPack
from stores import (
    AliasStore,
    EpochStore,
    HybridStore,
    LineageStore,
    MemoryEngine,
    PredicateStore,
    Reader,
    RevocationStore,
    RulingsStore,
    SourceStore,
    Staging,
    SupersessionStore,
    TrustPackStore,
    pack_id,
    state_digest,
)
from tests.folds.governing import GOVERNING, fold, taken_late
from tests.support.meaning import (
    KEYS,
    OPERATORS,
    PREDICATES,
    SOURCES,
    SUBJECTS,
    Step,
    as_frames,
    as_logged,
    events_of,
    history,
    rules_of,
)
from tests.support.stores import ALL, SMALL

FAVOURS: Final = (
    "epoch",
    "supersession",
    "source",
    "alias",
    "predicate",
    "key_revocation",
    "trust_pack",
    "rules",
    None,
)
SEEDS: Final = [(seed, (*FAVOURS, None)[seed % 9]) for seed in range(90)]
each_history = pytest.mark.parametrize(("seed", "favour"), SEEDS)
PACKS: Final = tuple(pack_id(key.agent, "friends") for key in KEYS)


def held(reader: Reader, steps: list[Step], at: int | None) -> dict[str, Any]:
    """All that governance says as of a position, by the readers that answers use."""
    hashes = _hashes(steps)
    aliases, lineage = AliasStore(reader), LineageStore(reader)
    superseded = {one: SupersessionStore(reader).get(one) for one in hashes}
    sources = {one: SourceStore(reader).get(one) for one in SOURCES}
    revoked = {key.agent_hex: RevocationStore(reader).get(key.agent_hex) for key in KEYS}
    epochs = {one: EpochStore(reader).get(one) for one in hashes}
    limit = 2**63 if at is None else at
    return {
        "epochs": {one: row for one, row in epochs.items() if row is not None and row.seq <= limit},
        "hidden epochs": {
            one: EpochStore(reader).superseded(one) for one in hashes if EpochStore(reader).is_superseded(one, at)
        },
        "epoch chains": {one: EpochStore(reader).chain(one, at=at, count_max=9) for one in hashes},
        "superseded": {
            one: (row.digest, row.since) for one, row in superseded.items() if row is not None and row.hides_at(at)
        },
        "replacements": {one: SupersessionStore(reader).chain(one, at=at, count_max=9) for one in hashes},
        "replaced": {one: lineage.replaced_by(one, at=at, count_max=ALL) for one in hashes},
        "sources": {one: row and row.status_at(limit) for one, row in sources.items()},
        "aliases": {one: aliases.as_of(one, at) for one in SUBJECTS},
        "classes": {one: (aliases.same(one, at), aliases.canonical(one, at)) for one in SUBJECTS},
        "alias positions": {one: [p for p in aliases.positions(one, count_max=ALL) if p <= limit] for one in SUBJECTS},
        "rules of predicates": {one: PredicateStore(reader).as_of(one, at) for one in PREDICATES},
        "packs": {one: TrustPackStore(reader).as_of(one, at) for one in PACKS},
        "revoked": {one: row for one, row in revoked.items() if row is not None and row.seq <= limit},
        "children": {one: lineage.children(one, at=at, count_max=ALL) for one in hashes},
        "of sources": {one: lineage.of_source(one, at=at, count_max=ALL) for one in SOURCES},
        "of epochs": {one: lineage.of_epoch(one, at=at, count_max=ALL) for one in hashes},
        "of agents": {key.agent_hex: lineage.of_agent(key.agent_hex, at=at, count_max=ALL) for key in KEYS},
    }


@each_history
def test_what_holds_as_of_a_position_is_what_the_log_said_by_then(seed: int, favour: str | None) -> None:
    steps = history(seed, 70, favour)
    events = as_logged(steps)
    generator = random.Random(seed)
    with fold(events, 16).snapshot() as reader:
        for at in sorted(generator.sample(range(len(events)), 8)):
            with fold(events[: at + 1], 16).snapshot() as then:
                expected, found = held(then, steps, None), held(reader, steps, at)
                for name, value in expected.items():
                    assert found[name] == value, (name, at)


@each_history
def test_state_does_not_depend_on_where_batches_begin_and_end(seed: int, favour: str | None) -> None:
    events = as_logged(history(seed, 70, favour))
    digests = {state_digest(fold(events, size).snapshot()) for size in (1, 2, 7, len(events))}
    assert len(digests) == 1


@each_history
def test_event_that_is_taken_by_itself_within_a_batch_means_the_same(seed: int, favour: str | None) -> None:
    """As after a batch in which some event could not be taken."""
    frames = as_frames(history(seed, 70, favour))
    applier = Applier(GOVERNING, decode_frame)
    digests = set()
    for is_careful in (True, False):
        store = MemoryEngine()
        for start in range(0, len(frames), 16):
            state = Staging(store.snapshot())
            batch = frames[start : start + 16]
            if is_careful:
                assert not any(applier.apply_one(frame, state) for frame in batch)
            else:
                applier.apply_all(batch, state)
            store.commit(state.batch)
        digests.add(state_digest(store.snapshot()))
    assert len(digests) == 1


@pytest.mark.parametrize(("seed", "favour"), SEEDS[:3])
def test_state_on_disk_is_the_one_in_memory(tmp_path: Path, seed: int, favour: str | None) -> None:
    events = as_logged(history(seed, 150, favour))
    store = HybridStore.open(tmp_path / "state", SMALL)
    fold(events, 20, store)
    with store.snapshot() as reader, fold(events, 20).snapshot() as in_memory:
        assert state_digest(reader) == state_digest(in_memory)
        assert held(reader, history(seed, 150, favour), 80) == held(in_memory, history(seed, 150, favour), 80)
    store.close()


@each_history
def test_where_the_rules_name_no_order_the_order_of_arrival_makes_no_difference(seed: int, favour: str | None) -> None:
    """Of what is the same whoever came first: with operators that stay the same, and keys that are not revoked."""
    steps = [step for step in events_of(history(seed, 70, favour)) if not isinstance(step.event, KeyRevocation)]
    generator = random.Random(seed)
    found = []
    for order in (steps, *(generator.sample(steps, len(steps)) for _ in range(2))):
        with fold(as_logged([rules_of(*OPERATORS), *order]), 16).snapshot() as reader:
            found.append(_whatever_came_first(reader, steps))
    assert found[0] == found[1] == found[2]


def _hashes(steps: Sequence[Step]) -> list[str]:
    """Of all events that are said or named."""
    named = {step.hash_hex for step in events_of(steps)}
    for step in events_of(steps):
        if isinstance(step.event, Epoch) and step.event.supersedes is not UNSET:
            named.add(step.event.supersedes)
    return sorted(named)


def _whatever_came_first(reader: Reader, steps: Sequence[SignedEvent]) -> dict[str, Any]:
    hashes = _hashes(steps)
    lineage = LineageStore(reader)
    packs = {one: TrustPackStore(reader).get(one) for one in PACKS}
    return {
        "epochs": [one for one in hashes if EpochStore(reader).get(one) is not None],
        "hidden epochs": [one for one in hashes if EpochStore(reader).is_superseded(one)],
        "superseded": [one for one in hashes if SupersessionStore(reader).get(one) is not None],
        "known sources": [one for one in SOURCES if SourceStore(reader).get(one) is not None],
        "aliased": [one for one in SUBJECTS if AliasStore(reader).get(one) is not None],
        "ruled predicates": [one for one in PREDICATES if PredicateStore(reader).get(one) is not None],
        "packs": {one: row and row.version for one, row in packs.items()},
        "of agents": [sorted(_digests(lineage.of_agent(key.agent_hex, count_max=ALL))) for key in KEYS],
        "children": [sorted(_digests(lineage.children(one, count_max=ALL))) for one in hashes],
        "of epochs": [sorted(_digests(lineage.of_epoch(one, count_max=ALL))) for one in hashes],
    }


def _digests(postings: list[Any]) -> list[bytes]:
    return [posting.digest for posting in postings]


@each_history
def test_events_that_are_taken_late_in_any_order_do_no_harm(seed: int, favour: str | None) -> None:
    steps = history(seed, 70, favour)
    generator = random.Random(seed)
    late = generator.sample(range(len(steps)), 12)
    reader = taken_late(steps, *late)
    for at in (0, 30, len(steps), None):
        held(reader, steps, at)
    for subject in SUBJECTS:
        positions = AliasStore(reader).positions(subject, count_max=ALL)
        assert positions == sorted(set(positions))
    for source in SOURCES:
        record = SourceStore(reader).get(source)
        seqs = [status.seq for status in record.statuses] if record else []
        assert seqs == sorted(seqs)
    tainted = [record for _, record in SourceStore(reader).sources(count_max=ALL) if record.is_tainted]
    assert SourceStore(reader).tainted_count() == len(tainted)


@each_history
def test_last_change_of_each_kind_is_the_last_position_from_which_something_of_it_holds(
    seed: int, favour: str | None
) -> None:
    steps = history(seed, 70, favour)
    events = as_logged(steps)
    with fold(events, 16).snapshot() as reader:
        rulings = RulingsStore(reader).get()
        told = held(reader, steps, None)
        aliases = [seq for one in told["alias positions"].values() for seq in one]
        assert rulings.alias == max(aliases, default=-1)
        assert rulings.epoch == max((row.seq for row in told["hidden epochs"].values()), default=-1)
        assert rulings.revocation == max((row.seq for row in told["revoked"].values()), default=-1)
        assert rulings.supersession == max((since for _, since in told["superseded"].values()), default=-1)
        rules = [row.seq for row in told["rules of predicates"].values() if row is not None]
        assert rulings.predicate == max(rules, default=-1)
        tainting = [
            status.seq
            for _, record in SourceStore(reader).sources(count_max=ALL)
            for place, status in enumerate(record.statuses)
            if place or status.status != "active"
        ]
        assert rulings.source == max(tainting, default=-1)


def test_histories_hold_what_they_are_meant_to_try() -> None:
    """Guards the tests above against a generator that has become tame."""
    seen: dict[str, int] = {}

    def count(name: str, number: int) -> None:
        seen[name] = seen.get(name, 0) + number

    for seed, favour in SEEDS:
        steps = history(seed, 70, favour)
        with fold(as_logged(steps), 16).snapshot() as reader:
            told = held(reader, steps, None)
        count("hidden epochs", len(told["hidden epochs"]))
        count("superseded", len(told["superseded"]))
        count("replaced", sum(map(bool, told["replaced"].values())))
        count("revoked", len(told["revoked"]))
        count("aliases that changed", sum(len(one) > 1 for one in told["alias positions"].values()))
        count("packs", sum(row is not None for row in told["packs"].values()))
        for kind in (Epoch, Supersession, Alias, TrustPack, KeyRevocation):
            count(kind.__name__, sum(isinstance(event.event, kind) for event in events_of(steps)))
        count("rules", sum(isinstance(step, DatabaseRules) for step in steps))
        count("waiting", sum(_waits(step, steps) for step in steps))
    assert min(seen.values()) > 10, seen


def _waits(step: Step, steps: list[Step]) -> bool:
    """Whether a supersession comes before its target."""
    if not isinstance(step, SignedEvent) or not isinstance(step.event, Supersession):
        return False
    places = [place for place, one in enumerate(steps) if isinstance(one, SignedEvent) and one.digest == _target(step)]
    return bool(places) and steps.index(step) < places[0]


def _target(step: SignedEvent) -> bytes:
    assert isinstance(step.event, Supersession)
    return bytes.fromhex(step.event.assertion)
