"""Random histories, folded and recounted by hand: the two agree, whatever the batches and the engine."""

import random
from pathlib import Path

import pytest

from cortex import apply_batch, bind
from episteme.folds import FOLDS, LoggedEvent
from episteme.reading import compute_view
from keycodec import (
    block_of,
    family_of,
    live_vote_prefix,
    subject_prefix,
    vote_count_key,
    vote_prefix,
    vote_weight_key,
)
from stores import (
    AssertionStore,
    EventStore,
    HybridStore,
    IndexStore,
    LineageStore,
    MemoryEngine,
    MetaStore,
    Reader,
    ViewStore,
    VoteStore,
    state_digest,
    state_postings,
    state_rows,
)
from tests.folds.recount import Recount
from tests.support.histories import PREDICATES, SUBJECTS, fold, history, logged
from tests.support.stores import ALL, SMALL

SEEDS = range(30)


def check_assertions(reader: Reader, recount: Recount) -> None:
    store = AssertionStore(reader)
    for digest, row in recount.assertions.items():
        assert store.find(digest) == row
        assert store.subject_of(digest) == row.event.subject
    for digest, other in recount.others.items():
        assert EventStore(reader).get(digest) == other
        assert store.find(digest) is None


def check_lists(reader: Reader, recount: Recount) -> None:
    index = IndexStore(reader)
    assert list(index.subjects(count_max=ALL)) == recount.subjects
    for subject in SUBJECTS:
        assert index.of_subject(subject, count_max=ALL) == recount.postings(subject)
        predicates = [one for one in PREDICATES if (subject, one) in recount.pairs]
        assert index.predicates(subject, count_max=ALL) == predicates
        for predicate in PREDICATES:
            assert index.of_pair(subject, predicate, count_max=ALL) == recount.postings(subject, predicate)
            assert index.pair_count(subject, predicate) == len(recount.postings(subject, predicate))


def check_ballots(reader: Reader, recount: Recount) -> None:
    store = VoteStore(reader)
    for (subject, assertion, digest), row in recount.votes.items():
        assert store.get(subject, assertion, digest.hex()) == row
    for (subject, assertion, agent), live in recount.live.items():
        found = store.live(subject, assertion, agent)
        assert found is not None
        assert (found.timestamp, found.seq, found.digest) == (live.timestamp, live.seq, live.digest)
        assert found.weight_micros == live.weight * 1_000_000
    for subject, assertion in recount.ballots:
        ballot = (subject, assertion)
        assert store.tally(subject, assertion) == recount.tally(ballot)
        assert reader.get(vote_count_key(subject, assertion)) == recount.count_bytes(ballot)
        assert reader.get(vote_weight_key(subject, assertion)) == recount.weight_bytes(ballot)
        agents = {agent for *of, agent in recount.live if tuple(of) == ballot}
        assert len(list(reader.scan(live_vote_prefix(subject, assertion), count_max=ALL))) == len(agents)
        votes = {digest for *of, digest in recount.votes if tuple(of) == ballot}
        assert len(list(reader.scan(vote_prefix(subject, assertion), count_max=ALL))) == len(votes)


def check_views(reader: Reader, recount: Recount) -> None:
    for subject in SUBJECTS:
        for predicate in PREDICATES:
            view = ViewStore(reader).get(subject, predicate)
            if (subject, predicate) not in recount.pairs:
                assert view is None
                continue
            last = recount.touched[subject, predicate]
            assert view == compute_view(reader, subject, predicate, last.seq, last.time)


def check_lineage(reader: Reader, recount: Recount) -> None:
    lineage = LineageStore(reader)
    for parent, expected in recount.children.items():
        assert lineage.children(parent, count_max=ALL) == expected
    for agent, expected in recount.signed.items():
        assert lineage.of_agent(agent, count_max=ALL) == expected


def check_nothing_else(reader: Reader, recount: Recount) -> None:
    expected = (
        2 * len(recount.assertions)  # H and HASH_SUBJECT
        + len(recount.subjects)
        + 2 * len(recount.pairs)  # MV and PT
        + len(recount.early)
        + bool(recount.early)  # EARLY
        + len(recount.others)
        + len(recount.votes)
        + len(recount.live)
        + 3 * len(recount.ballots)  # VC, VW and VT
        + len(recount.doubtful)  # VOTED
        + sum(len({block_of(one.seq) for one in lists}) for lists in recount.children.values())  # CHILD
        + sum(len({block_of(one.seq) for one in lists}) for lists in recount.signed.values())  # AA
    )
    rows = [key for key, _ in state_rows(reader) if not key.startswith(b"\x00META")]
    # What rules of escalation count is held against a reference of its own, in test_escalation.
    assert len([key for key in rows if not family_of(key).tag.startswith("ESC")]) == expected
    assert len(list(state_postings(reader))) == 2 * len(recount.assertions)
    known = {*recount.subjects, *recount.early, *(subject for subject, _ in recount.ballots)}
    by_subject = [len(list(reader.scan(subject_prefix(one), count_max=ALL))) for one in known]
    assert sum(by_subject) == len([key for key in rows if not key.startswith(b"\x00")])


def check_all(reader: Reader, events: list[LoggedEvent]) -> None:
    recount = Recount(events)
    assert MetaStore(reader).cursor() == len(events)
    for check in (check_assertions, check_lists, check_ballots, check_views, check_lineage, check_nothing_else):
        check(reader, recount)


def random_cuts(generator: random.Random, count: int) -> list[int]:
    return generator.sample(range(count), generator.randrange(1, 12))


@pytest.mark.parametrize("seed", SEEDS)
def test_state_after_every_batch_is_what_a_recount_gives(tmp_path: Path, seed: int) -> None:
    log_id, events = logged(tmp_path, history(seed))
    engine, done = MemoryEngine(), 0
    bind(engine, log_id, {one.name: one.version for one in FOLDS})
    for cut in [*sorted(random_cuts(random.Random(seed), len(events))), len(events)]:
        apply_batch(engine, FOLDS, events[done:cut], cut)
        done = cut
        with engine.snapshot() as snapshot:
            check_all(snapshot, events[:done])


@pytest.mark.parametrize("seed", range(3))
def test_state_on_disk_is_what_a_recount_gives(tmp_path: Path, seed: int) -> None:
    log_id, events = logged(tmp_path / "log", history(seed, 200))
    store = HybridStore.open(tmp_path / "state", SMALL)
    fold(store, log_id, events, range(0, len(events), 23))
    store.close()
    store = HybridStore.open(tmp_path / "state", SMALL)
    with store.snapshot() as snapshot:
        check_all(snapshot, events)
    store.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_state_does_not_depend_on_where_batches_begin_and_end(tmp_path: Path, seed: int) -> None:
    log_id, events = logged(tmp_path, history(seed))
    generator = random.Random(seed)
    ways = [range(len(events)), [], range(0, len(events), 2), range(0, len(events), 7)]
    digests = set()
    for cuts in [*ways, *(random_cuts(generator, len(events)) for _ in range(4))]:
        engine = MemoryEngine()
        fold(engine, log_id, events, cuts)
        digests.add(state_digest(engine.snapshot()))
    assert len(digests) == 1


@pytest.mark.parametrize("seed", range(4))
def test_every_engine_keeps_the_same_state(tmp_path: Path, seed: int) -> None:
    log_id, events = logged(tmp_path / "log", history(seed))
    memory = MemoryEngine()
    fold(memory, log_id, events, [10, 11, 50])
    for name, cuts in (("once", []), ("often", range(0, len(events), 3))):
        store = HybridStore.open(tmp_path / name, SMALL)
        fold(store, log_id, events, cuts)
        with store.snapshot() as snapshot:
            assert state_digest(snapshot) == state_digest(memory.snapshot())
        store.close()


def test_histories_hold_what_they_are_meant_to_try(tmp_path: Path) -> None:
    """Guards the tests above against a generator that has become tame."""
    before, wrong, duplicates, cosigned, retracted, replaced, moved = 0, 0, 0, 0, 0, 0, 0
    for seed in SEEDS:
        _, events = logged(tmp_path / str(seed), history(seed))
        recount = Recount(events)
        duplicates += len(events) - len({event.digest for event in events})
        cosigned += sum(len({one.seq for one in row.signatures}) > 1 for row in recount.assertions.values())
        retracted += sum(live.weight == 0 for live in recount.live.values())
        replaced += len(recount.votes) - len(recount.live)
        parents = [row.event.parent_hash for row in recount.assertions.values()]
        moved += sum(isinstance(parent, str) and bytes.fromhex(parent) in recount.assertions for parent in parents)
        for row in recount.votes.values():
            target = recount.assertions.get(bytes.fromhex(row.event.assertion))
            before += target is not None and target.seq > row.seq
            wrong += target is not None and target.event.subject != row.event.subject
    assert min(before, wrong, duplicates, cosigned, retracted, replaced, moved) > 20
