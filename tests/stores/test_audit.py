"""Audits: found by id, by who asked and when, and by what the answer rests on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores import NOBODY_HEX, AuditPlace, AuditStore, AuditWriter, MemoryEngine, Staging
from tests.support.counted_reads import CountingReader
from tests.support.events import KEY_A, KEY_B
from tests.support.stores import ALL
from tests.support.values import AUDIT, BARE_AUDIT, DIGEST, OTHER, changed

AGENT = KEY_A.agent_hex
times = st.one_of(st.integers(0, 5), st.sampled_from([2**16, 2**40, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1))


def made_up(number: int) -> str:
    return f"{number:032x}"


def asked_at(*moments: int) -> AuditStore:
    """One query of KEY_A at each log time, and one of KEY_B beside each."""
    state = Staging(MemoryEngine().snapshot())
    for number, time in enumerate(moments):
        AuditWriter(state).put(made_up(2 * number), changed(AUDIT, time=time))
        AuditWriter(state).put(made_up(2 * number + 1), changed(AUDIT, time=time, agent=KEY_B.agent))
    return AuditStore(state)


@given(st.lists(times, max_size=12), st.integers(1, 14))
def test_newest_first_is_oldest_first_turned_round_whatever_the_times(moments: list[int], count_max: int) -> None:
    store = asked_at(*moments)
    oldest = store.oldest_of_agent(AGENT, count_max=ALL)
    assert oldest == sorted((time, made_up(2 * number)) for number, time in enumerate(moments))
    assert store.newest_of_agent(AGENT, count_max=count_max) == oldest[::-1][:count_max]
    for place in oldest:
        before = [one for one in oldest[::-1] if one < place]
        assert store.newest_of_agent(AGENT, before=place, count_max=count_max) == before[:count_max]


def test_page_behind_many_newer_queries_reads_no_more_than_the_newest_page() -> None:
    engine, count = MemoryEngine(), 2000
    state = Staging(engine.snapshot())
    for number in range(count):
        AuditWriter(state).put(made_up(number), changed(AUDIT, time=number))
    engine.commit(state.batch)
    newest, deep = CountingReader(engine.snapshot()), CountingReader(engine.snapshot())
    assert len(AuditStore(newest).newest_of_agent(AGENT, count_max=5)) == 5
    found = AuditStore(deep).newest_of_agent(AGENT, before=AuditPlace(10, made_up(10)), count_max=5)
    assert [place.time for place in found] == [9, 8, 7, 6, 5]
    assert deep.rows <= newest.rows + 64 * 5 < count


def test_queries_are_listed_from_a_log_time_on() -> None:
    store = asked_at(5, 6, 6, 7)
    assert [place.time for place in store.oldest_of_agent(AGENT, from_time=6, count_max=ALL)] == [6, 6, 7]
    assert [place.time for place in store.oldest_of_agent(AGENT, from_time=8, count_max=ALL)] == []
    after = AuditPlace(6, made_up(2))
    assert store.oldest_of_agent(AGENT, from_time=6, after=after, count_max=1) == [(6, made_up(4))]
    assert store.oldest_of_agent(AGENT, from_time=7, after=after, count_max=ALL) == [(7, made_up(6))]


def test_who_is_not_known_is_listed_as_nobody() -> None:
    state = Staging(MemoryEngine().snapshot())
    AuditWriter(state).put(made_up(1), BARE_AUDIT)
    store = AuditStore(state)
    assert store.oldest_of_agent(NOBODY_HEX, count_max=ALL) == [(BARE_AUDIT.time, made_up(1))]
    assert store.newest_of_agent(AGENT, count_max=ALL) == []


@pytest.mark.parametrize("digest", [DIGEST, OTHER])
def test_an_answer_is_found_by_each_assertion_that_it_rests_on(digest: bytes) -> None:
    state = Staging(MemoryEngine().snapshot())
    AuditWriter(state).put(made_up(1), AUDIT)
    AuditWriter(state).put(made_up(2), BARE_AUDIT)
    assert AuditStore(state).of_assertion(digest.hex(), count_max=ALL) == [(AUDIT.time, made_up(1))]
    assert AuditStore(state).of_assertion("0" * 64, count_max=ALL) == []
