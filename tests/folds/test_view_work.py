"""What one event costs the view of a pair does not grow with what the pair, or the agent, holds: counted, not timed."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from episteme.folds.view import ViewFold
from model import Assertion, TextValue, event_hash
from stores import MemoryEngine, Staging
from tests.folds.pair_histories import Folding, Said, agent, as_logged, assertion, check_views, supersession, vote
from tests.support.counted_reads import CountingReader
from tests.support.events import NOW_MS

FEW, MANY = 330, 1650
ROWS_READ_MAX = 300  # a view lists 100 values, each with a row in the order and its tallies
ROWS_LISTED_MAX = 130  # of few values, it lists 100 hashes
ROWS_WRITTEN_MAX = 24


class Work(NamedTuple):
    """What a fold has asked of the store, and what it has staged."""

    rows_read: int
    bytes_read: int
    rows_written: int
    bytes_written: int


def work_of(one: Folding, *said: Said) -> Work:
    """Fold a batch; what it cost the view, whose pair is exact afterwards."""
    events = as_logged(said, one.end)
    with one.store.snapshot() as snapshot:
        state = Staging(snapshot)
        for event in events:
            for fold in one.folds:
                fold.apply(event, state)
        reader = CountingReader(state)
        view = Staging(reader)
        fold = one.folds[-1]
        assert isinstance(fold, ViewFold)
        fold.finish(events, view)
    one.add_logged(events)
    with one.store.snapshot() as snapshot:
        check_views(snapshot, one.end)
    rows = view.batch.rows
    return Work(reader.rows, reader.value_bytes, len(rows), sum(len(value or b"") for value in rows.values()))


def claim(number: int, value: str, **fields: object) -> Assertion:
    return assertion(object=TextValue(value), timestamp=NOW_MS + number, narrative=str(number), **fields)


def of_one_agent(count: int) -> list[Said]:
    """It goes to and fro between two values."""
    return [Said(claim(number, str(number % 2)), [agent(1)]) for number in range(count)]


def of_many_values(count: int) -> list[Said]:
    """One agent, every value new."""
    return [Said(claim(number, str(number)), [agent(1)]) for number in range(count)]


def of_many_agents(count: int) -> list[Said]:
    """Each agent once, three values."""
    return [Said(claim(number, str(number % 3)), [agent(number)]) for number in range(count)]


def on_claim(said: Said, **fields: object) -> Assertion:
    """A move of a claim."""
    assert isinstance(said.event, Assertion)
    parent = said.event
    return assertion(object=parent.object, parent_hash=event_hash(parent).hex(), **fields)


def next_claim(said: list[Said]) -> Said:
    return Said(claim(len(said), "1"), [agent(1)])


def back_dated_claim(said: list[Said]) -> Said:
    return Said(claim(-1, "1"), [agent(1)])


def new_value(said: list[Said]) -> Said:
    return Said(claim(len(said), "new"), [agent(2)])


def co_signature(said: list[Said]) -> Said:
    return Said(said[3].event, [agent(5000)])


def repetition(said: list[Said]) -> Said:
    return said[3]


def a_vote(said: list[Said]) -> Said:
    assert isinstance(said[3].event, Assertion)
    return vote(said[3].event, 7, "1")


def a_supersession(said: list[Said]) -> Said:
    assert isinstance(said[3].event, Assertion)
    return supersession(said[3].event, said[3].agents[0])


def move_of_the_first(said: list[Said]) -> Said:
    return Said(on_claim(said[0], timestamp=NOW_MS), [agent(1)])


def end_of_the_first(said: list[Said]) -> Said:
    return Said(on_claim(said[0], lifecycle="deprecated"), [agent(1)])


def end_of_the_last(said: list[Said]) -> Said:
    return Said(on_claim(said[-1], lifecycle="deprecated"), [agent(1)])


@pytest.mark.parametrize(
    "event",
    [
        next_claim,
        back_dated_claim,
        new_value,
        co_signature,
        repetition,
        a_vote,
        a_supersession,
        move_of_the_first,
        end_of_the_first,
        end_of_the_last,
    ],
)
@pytest.mark.parametrize("history", [of_one_agent, of_many_values, of_many_agents])
def test_event_costs_the_same_in_a_pair_of_many_claims(
    history: Callable[[int], list[Said]], event: Callable[[list[Said]], Said]
) -> None:
    found = []
    for count in (FEW, MANY):
        said = history(count)
        one = Folding(MemoryEngine(), 32)
        one.add(*said)
        found.append(work_of(one, event(said)))
    few, many = found
    assert many.rows_read <= min(ROWS_READ_MAX, 1.2 * few.rows_read + 5)
    assert many.rows_written <= min(ROWS_WRITTEN_MAX, few.rows_written + 2)
    assert many.bytes_read <= 1.2 * few.bytes_read + 2000
    assert many.bytes_written <= 1.2 * few.bytes_written + 500


@pytest.mark.parametrize("history", [of_one_agent, of_many_values, of_many_agents])
def test_batch_of_many_claims_writes_a_few_rows_for_each(history: Callable[[int], list[Said]]) -> None:
    one = Folding(MemoryEngine(), 32)
    said = history(2000)
    one.add(*said[:1000])
    work = work_of(one, *said[1000:])
    assert work.rows_written <= 5 * 1000
    assert work.rows_read <= 8 * 1000


def test_claims_that_are_hidden_from_the_front_on_cost_the_same_each() -> None:
    """Of one agent and one value, the best first: what stands next is always behind all that are gone."""
    count = 800
    one = Folding(MemoryEngine(), 32)
    said = [Said(claim(number, "same"), [agent(1)]) for number in range(count)]
    one.add(*said)
    ends = [Said(on_claim(claimed, lifecycle="rejected"), [agent(1)]) for claimed in reversed(said)]
    whole = work_of(one, *ends[: count // 2])
    assert whole.rows_read <= 16 * len(ends) // 2
    assert whole.rows_written <= 8 * len(ends) // 2
    assert work_of(one, ends[count // 2]).rows_read <= ROWS_LISTED_MAX


def test_values_that_lose_their_only_agent_one_by_one_cost_the_same_each() -> None:
    count = 800
    one = Folding(MemoryEngine(), 32)
    one.add(*(Said(claim(number, str(number)), [agent(number)]) for number in range(count)))
    leave = [Said(claim(count + number, "all"), [agent(number)]) for number in range(count)]
    whole = work_of(one, *leave[: count // 2])
    assert whole.rows_read <= 8 * len(leave) // 2 + ROWS_READ_MAX
    assert whole.rows_written <= 8 * len(leave) // 2


def test_chain_costs_its_length_once_a_batch() -> None:
    one = Folding(MemoryEngine(), 32)
    one.add(*of_many_agents(100))
    stages = [claim(500, "chained")]
    for number in range(501, 901):
        stages.append(claim(number, "chained", parent_hash=event_hash(stages[-1]).hex()))
    said = [Said(stage, [agent(1)]) for stage in stages]
    one.add(*said[:200])
    work = work_of(one, *said[200:400])
    assert work.rows_read <= 8 * 200
    assert work.bytes_written <= 400 * 1000
    one_more = work_of(one, said[400])
    assert one_more.rows_read <= ROWS_LISTED_MAX
    assert one_more.rows_written <= ROWS_WRITTEN_MAX


def test_children_wait_for_their_parent_without_being_read_again() -> None:
    one = Folding(MemoryEngine(), 32)
    parent = claim(0, "late")
    hex_digest = event_hash(parent).hex()
    one.add(*(Said(claim(n, "late", parent_hash=hex_digest), [agent(n)]) for n in range(1, 400)))
    work = work_of(one, Said(claim(1000, "other"), [agent(1)]))
    assert work.rows_read <= ROWS_LISTED_MAX
    work_of(one, Said(parent, [agent(1)]))
