"""A view is what a full read of its pair gives, byte for byte, whatever happens to the pair and in whatever batches."""

from collections import Counter
from random import Random

import pytest

from episteme.folds import FOLDS
from episteme.folds.view import SMALL_COUNT_MAX, ViewFold
from keycodec import family_of
from model import Assertion, BooleanValue, TextValue, event_hash
from stores import MemoryEngine, PairTally, Reader, SupersessionStore, TallyStore, ViewStore, state_digest, state_rows
from tests.folds.pair_histories import (
    PREDICATES,
    SUBJECTS,
    Folding,
    Said,
    agent,
    as_logged,
    assertion,
    check_views,
    history,
    vote,
)
from tests.support.events import NOW_MS

PAIR = (SUBJECTS[0], PREDICATES[0])
BOUNDS = (0, 1, 3, SMALL_COUNT_MAX)
each_bound = pytest.mark.parametrize("small_count_max", BOUNDS)


def folding(small_count_max: int) -> Folding:
    return Folding(MemoryEngine(), small_count_max)


def checked(one: Folding, *said: Said) -> Reader:
    """Fold a batch; what is there then, with its views checked."""
    one.add(*said)
    snapshot = one.store.snapshot()
    check_views(snapshot, one.end)
    return snapshot


def kept(reader: Reader) -> PairTally:
    found = TallyStore(reader).pair(*PAIR)
    assert found is not None
    return found


def groups_of(reader: Reader) -> list[tuple[object, int, int]]:
    """Value, support and votes of each group of the pair's view."""
    view = ViewStore(reader).get(*PAIR)
    assert view is not None
    return [(row.value.value, row.support, row.votes_micros) for row in view.resolution.groups]


def test_the_fold_in_use_is_the_last_and_keeps_small_pairs_in_one_row() -> None:
    assert isinstance(FOLDS[-1], ViewFold)
    one = Folding(MemoryEngine(), SMALL_COUNT_MAX)
    said = [Said(assertion(narrative=str(n)), [agent(n)]) for n in range(SMALL_COUNT_MAX)]
    reader = checked(one, *said)
    tags = Counter(family_of(key).tag for key, _ in state_rows(reader))
    assert (tags["PT"], tags["PG"], len(kept(reader).claims)) == (1, 0, SMALL_COUNT_MAX)


# Random histories


@each_bound
@pytest.mark.parametrize("ten", range(6))
def test_view_is_what_a_full_read_gives_after_every_batch(ten: int, small_count_max: int) -> None:
    for seed in range(10 * ten, 10 * ten + 10):
        events = as_logged(history(seed))
        one = folding(small_count_max)
        for _ in one.add_in_batches(events, Random(seed), 1 + seed % 9):
            with one.store.snapshot() as snapshot:
                check_views(snapshot, (seed, one.end))


@each_bound
def test_rows_are_the_same_wherever_batches_begin_and_end(small_count_max: int) -> None:
    for seed in range(100, 130):
        events = as_logged(history(seed))
        digests = set()
        for count_max in (1, 6, 40, len(events)):
            one = folding(small_count_max)
            for _ in one.add_in_batches(events, Random(seed), count_max):
                pass
            with one.store.snapshot() as snapshot:
                digests.add(state_digest(snapshot))
                check_views(snapshot, seed)
        assert len(digests) == 1, f"seed {seed}"


def test_histories_hold_what_they_are_meant_to_try() -> None:
    """Guards the tests above against a generator that has become tame."""
    tags: Counter[str] = Counter()
    happened: Counter[str] = Counter()
    for seed in range(60):
        said = history(seed)
        one = folding(1)
        one.add(*said)
        tags.update(family_of(key).tag for key, _ in state_rows(one.store.snapshot()))
        first = {event_hash(event): seq for seq, (event, _) in reversed(list(enumerate(said)))}
        claims = [event for event, _ in said if isinstance(event, Assertion)]
        happened["repeated"] += len(said) - len(first)
        happened["hidden"] += sum(claim.lifecycle in ("deprecated", "rejected") for claim in claims)
        with one.store.snapshot() as reader:
            rows = SupersessionStore(reader).get_many([event_hash(claim) for claim in claims])
            happened["superseded"] += sum(row is not None and row.hides_at(None) for row in rows)
        for seq, (event, _) in enumerate(said):
            parent = getattr(event, "parent_hash", None)
            if isinstance(parent, str) and bytes.fromhex(parent) in first:
                happened["late parent" if first[bytes.fromhex(parent)] > seq else "parent"] += 1
            on = getattr(event, "assertion", None)
            if on is not None and first.get(bytes.fromhex(on), 0) > seq:
                happened["early vote"] += 1
    for tag in ("VE", "PT", "PG", "PO", "PS", "PU", "PB", "PA", "PE", "PF", "PX", "PR", "PL", "PW"):
        assert tags[tag] > 20, tags
    assert len(happened) == 6
    assert min(happened.values()) > 100, happened


def test_hot_pair_of_thousands_of_claims_is_exact() -> None:
    random = Random(7)
    one = folding(SMALL_COUNT_MAX)
    claims: list[Assertion] = []
    said = []
    for number in range(3000):
        follows = random.choice(claims) if claims and number % 9 == 0 else None
        claims.append(
            assertion(
                object=follows.object if follows else TextValue(str(random.randrange(7 if number % 2 else 400))),
                timestamp=NOW_MS + number - random.randrange(50),
                source_class=random.choice(["expert", "expert", "clinical"]),
                lifecycle=random.choice(["approved"] * 5 + ["deprecated"]),
                narrative=str(number),
                **({"parent_hash": event_hash(follows).hex()} if follows else {}),
            )
        )
        said.append(Said(claims[-1], [agent(random.randrange(100))]))
        if number % 5 == 0:
            said.append(vote(random.choice(claims), random.randrange(9), "0.5"))
    for _ in one.add_in_batches(as_logged(said), random, 1000):
        with one.store.snapshot() as snapshot:
            check_views(snapshot, one.end)


# From small to large


@pytest.mark.parametrize("size", [1, 2, 5])
def test_pair_that_outgrows_its_row_goes_on_as_it_was(size: int) -> None:
    one = folding(3)
    parent = assertion(lifecycle="proposed")
    said = [
        vote(parent, 8, "0.5"),
        Said(parent, [agent(1)]),
        Said(assertion(object=TextValue("no")), [agent(2), agent(3)]),
        Said(assertion(narrative="2"), [agent(2)]),
        Said(assertion(narrative="3", parent_hash="9" * 64), [agent(4)]),
        Said(parent, [agent(5)]),
        Said(assertion(parent_hash=event_hash(parent).hex(), timestamp=NOW_MS - 5), [agent(6)]),
        vote(parent, 8, "1", timestamp=NOW_MS + 1),
    ]
    one.add(said[0])  # of no pair yet
    batches = [said[start : start + size] for start in range(1, len(said), size)]
    is_large = [kept(checked(one, *batch)).totals is not None for batch in batches]
    assert is_large[-1]
    assert sorted(is_large) == is_large


def test_large_pair_keeps_no_claims_in_its_own_row() -> None:
    one = folding(1)
    checked(one, Said(assertion(), [agent(1)]))
    reader = checked(one, Said(assertion(narrative="2"), [agent(1)]))
    assert kept(reader).claims == []


# One thing at a time, in a pair of any size


@each_bound
def test_agent_that_comes_back_to_a_value_is_counted_there_with_its_best_claim(small_count_max: int) -> None:
    one = folding(small_count_max)
    yes, no = BooleanValue(True), BooleanValue(False)
    for number in range(12):
        claim = assertion(
            object=no if number % 2 else yes,
            timestamp=NOW_MS + number,
            source_class="clinical" if number == 2 else "anecdotal",
            narrative=str(number),
        )
        reader = checked(one, Said(claim, [agent(1)]))
        assert groups_of(reader)[0] == (number % 2 == 0, 1, 0)
    view = ViewStore(checked(one, Said(assertion(object=yes, timestamp=NOW_MS + 99), [agent(1)]))).get(*PAIR)
    assert view is not None
    assert view.winner is not None
    assert view.winner.event.timestamp == NOW_MS + 99, "of tier clinical, and later than the other"


@each_bound
def test_claims_that_are_hidden_one_by_one_give_the_agent_back_what_it_said_before(small_count_max: int) -> None:
    one = folding(small_count_max)
    claims = [
        assertion(object=TextValue(str(number % 3)), timestamp=NOW_MS + number, narrative=str(number))
        for number in range(15)
    ]
    checked(one, *(Said(claim, [agent(1)]) for claim in claims))
    for claim in reversed(claims):
        assert groups_of(one.store.snapshot())[0][0] == claim.object.value
        gone = assertion(
            object=claim.object, lifecycle="deprecated", parent_hash=event_hash(claim).hex(), timestamp=claim.timestamp
        )
        checked(one, Said(gone, [agent(2)]))
    assert groups_of(one.store.snapshot()) == []


@each_bound
def test_claim_that_is_hidden_comes_back_when_it_is_moved_on(small_count_max: int) -> None:
    one = folding(small_count_max)
    stages = [assertion(object=TextValue("yes"))]
    for number, lifecycle in enumerate(["deprecated", "approved", "rejected", "approved"], 1):
        parent = event_hash(stages[-1]).hex()
        stages.append(
            assertion(object=TextValue("yes"), lifecycle=lifecycle, parent_hash=parent, timestamp=NOW_MS + number)
        )
    shown = [groups_of(checked(one, Said(stage, [agent(number)]))) for number, stage in enumerate(stages)]
    assert shown == [[("yes", 1, 0)], [], [("yes", 3, 0)], [], [("yes", 5, 0)]]


@each_bound
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1), (1, 3, 0, 2)])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_chain_is_the_same_in_whatever_order_its_stages_come(
    order: tuple[int, ...], size: int, small_count_max: int
) -> None:
    one = folding(small_count_max)
    stages = [assertion(lifecycle="proposed")]
    for number in range(1, 4):
        parent = event_hash(stages[-1]).hex()
        stages.append(assertion(lifecycle="approved", parent_hash=parent, timestamp=NOW_MS - number))
    said = [Said(stages[number], [agent(number)]) for number in order]
    for start in range(0, 4, size):
        reader = checked(one, *said[start : start + size])
    view = ViewStore(reader).get(*PAIR)
    assert view is not None
    assert (view.resolution.candidates_count, view.resolution.groups[0].support) == (1, 4)
    assert view.resolution.winner == event_hash(stages[-1])


@each_bound
def test_votes_count_before_and_after_their_claim_and_when_they_are_taken_back(small_count_max: int) -> None:
    one = folding(small_count_max)
    claim = assertion()
    one.add(vote(claim, 1, "0.5"))
    assert groups_of(checked(one, Said(claim, [agent(1)])))[0][2] == 500_000
    assert groups_of(checked(one, vote(claim, 2, "-1")))[0][2] == -500_000
    assert groups_of(checked(one, vote(claim, 2, "0", timestamp=NOW_MS + 1)))[0][2] == 500_000
    assert groups_of(checked(one, vote(claim, 3, "1", subject=SUBJECTS[1])))[0][2] == 500_000
    other = assertion(narrative="other")
    both = checked(one, vote(other, 3, "1"), Said(other, [agent(2)]), vote(claim, 1, "1", timestamp=NOW_MS + 1))
    assert groups_of(both)[0][2] == 2_000_000


@each_bound
def test_votes_follow_the_stage_that_stands(small_count_max: int) -> None:
    one = folding(small_count_max)
    first = assertion(lifecycle="proposed")
    second = assertion(parent_hash=event_hash(first).hex(), timestamp=NOW_MS + 1)
    checked(one, Said(first, [agent(1)]), vote(first, 1, "1"))
    assert groups_of(checked(one, Said(second, [agent(1)])))[0][2] == 0
    assert groups_of(checked(one, vote(second, 1, "0.5"), vote(first, 2, "1")))[0][2] == 500_000


@each_bound
def test_event_that_is_logged_again_changes_nothing_but_the_place(small_count_max: int) -> None:
    one = folding(small_count_max)
    said = [Said(assertion(), [agent(1), agent(2)]), Said(assertion(narrative="2"), [agent(2)])]
    before = ViewStore(checked(one, *said)).get(*PAIR)
    tally = kept(one.store.snapshot())
    after = ViewStore(checked(one, *reversed(said))).get(*PAIR)
    assert before is not None
    assert after is not None
    assert (after.resolution, after.winner, after.seq) == (before.resolution, before.winner, 3)
    now = kept(one.store.snapshot())
    if now.totals is not None and tally.totals is not None:
        assert (tally.totals.checked_seq, now.totals.checked_seq) == (1, 3)
        tally.totals.checked_seq = 3
    assert now == tally


@each_bound
def test_event_that_is_folded_behind_later_ones_counts_once(small_count_max: int) -> None:
    """As a dead letter that is tried again: its signature joins beside one of a later position."""
    one = folding(small_count_max)
    earlier = assertion(object=TextValue("no"), timestamp=NOW_MS - 5)
    claim = assertion(object=TextValue("yes"))
    gone = assertion(object=TextValue("yes"), lifecycle="rejected", parent_hash=event_hash(claim).hex())
    said = [Said(earlier, [agent(2)]), Said(claim, [agent(1)]), Said(claim, [agent(2)]), Said(gone, [agent(3)])]
    events = as_logged(said)
    for seq in (0, 2, 1, 3):
        one.add_logged([events[seq]])
        with one.store.snapshot() as snapshot:
            check_views(snapshot, seq)
    assert groups_of(one.store.snapshot()) == [("no", 1, 0)]


@each_bound
def test_groups_and_hashes_are_cut_where_a_full_read_cuts_them(small_count_max: int) -> None:
    one = folding(small_count_max)
    many = [
        Said(assertion(object=TextValue(str(n % 130)), narrative=str(n), timestamp=NOW_MS + n % 7), [agent(n)])
        for n in range(300)
    ]
    reader = checked(one, *many)
    view = ViewStore(reader).get(*PAIR)
    assert view is not None
    assert (view.groups_count, len(view.resolution.groups)) == (130, 100)
    leader = [
        Said(assertion(object=TextValue("7"), narrative=str(n), timestamp=NOW_MS + n), [agent(n)])
        for n in range(300, 420)
    ]
    row = ViewStore(checked(one, *leader)).get(*PAIR)
    assert row is not None
    assert [len(group.hashes) for group in row.resolution.groups[:2]] == [100, 0]
    assert row.resolution.groups[0].hashes_count > 120


def test_a_claim_of_many_signers_leaves_its_view_small() -> None:
    one = folding(3)
    crowd = [Said(assertion(), [agent(n) for n in range(start, start + 16)]) for start in range(0, 160, 16)]
    view = ViewStore(checked(one, *crowd)).get(*PAIR)
    assert view is not None
    assert view.winner is not None
    assert (view.resolution.groups[0].support, len(view.winner.signatures)) == (160, 16)


def test_claims_of_many_signers_do_not_stay_in_one_row() -> None:
    other = assertion(object=TextValue("other"))
    crowds = [[agent(n) for n in range(start, start + 16)] for start in range(0, 304, 16)]
    one, whole = folding(SMALL_COUNT_MAX), folding(SMALL_COUNT_MAX)
    for crowd in crowds:
        reader = checked(one, Said(assertion(), crowd), Said(other, crowd[:1]))
    assert kept(reader).totals is not None
    assert len(kept(reader).claims) == 0
    whole.add(*(said for crowd in crowds for said in (Said(assertion(), crowd), Said(other, crowd[:1]))))
    with whole.store.snapshot() as at_once, one.store.snapshot() as in_turn:
        assert state_digest(at_once) == state_digest(in_turn)
