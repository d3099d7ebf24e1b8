"""Audits: found by id, by who asked and when, and by the pair that they are about."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stores import (
    AuditHead,
    AuditRow,
    AuditStore,
    AuditWriter,
    Contribution,
    MemoryEngine,
    RawAudit,
    Staging,
    UnsupportedValue,
    asked_ms,
)
from tests.support.counted_reads import CountingReader
from tests.support.events import KEY_A, KEY_B
from tests.support.stores import ALL
from tests.support.values import AUDIT, BARE_AUDIT, DIGEST, OTHER, SUBJECT, changed

AGENT = KEY_A.agent_hex
MS_MAX = 2**48 - 1
moments = st.one_of(st.integers(0, 5), st.sampled_from([2**16, 2**40, MS_MAX]), st.integers(0, MS_MAX))


def asked_at(ms: int, number: int = 0) -> str:
    return f"{ms:012x}{number:020x}"


def by(agent: bytes | None, **fields: object) -> AuditRow:
    return AuditRow(0, changed(AUDIT.audit, agent=agent, **fields))


def store_of(*times_ms: int) -> AuditStore:
    """One query of KEY_A at each moment, and one of KEY_B about other pairs beside each."""
    state = Staging(MemoryEngine().snapshot())
    for number, ms in enumerate(times_ms):
        AuditWriter(state).put(asked_at(ms, 2 * number), by(KEY_A.agent))
        AuditWriter(state).put(asked_at(ms, 2 * number + 1), by(KEY_B.agent, predicates=("p:q", "q")))
    return AuditStore(state)


@settings(max_examples=30)
@given(st.lists(moments, max_size=7), st.integers(1, 9))
def test_newest_first_is_oldest_first_turned_round_whatever_the_times(times_ms: list[int], count_max: int) -> None:
    store = store_of(*times_ms)
    for own, step in ((store.of_agent(AGENT), 2), (store.of_pair(SUBJECT, "p"), 2), (store.everybodys(), 1)):
        oldest = own.oldest(count_max=ALL)
        assert oldest == sorted(
            asked_at(ms, n) for i, ms in enumerate(times_ms) for n in (2 * i, 2 * i + 1)[: 3 - step]
        )
        assert own.newest(count_max=count_max) == oldest[::-1][:count_max]
        for one in oldest:
            before = [other for other in oldest[::-1] if other < one]
            assert own.newest(before=one, count_max=count_max) == before[:count_max]
            earlier = [other for other in oldest[::-1] if asked_ms(other) < asked_ms(one)]
            assert own.newest(to_ms=asked_ms(one), before=oldest[-1], count_max=count_max) == earlier[:count_max]


def test_page_behind_many_newer_queries_reads_no_more_than_the_newest_page() -> None:
    engine, count = MemoryEngine(), 2000
    state = Staging(engine.snapshot())
    for number in range(count):
        AuditWriter(state).put(asked_at(number), by(KEY_A.agent))
    engine.commit(state.batch)
    newest, deep = CountingReader(engine.snapshot()), CountingReader(engine.snapshot())
    assert len(AuditStore(newest).of_agent(AGENT).newest(count_max=5)) == 5
    found = AuditStore(deep).of_agent(AGENT).newest(before=asked_at(10), count_max=5)
    assert found == [asked_at(ms) for ms in (9, 8, 7, 6, 5)]
    assert deep.rows <= newest.rows + 64 * 5 < count


@pytest.mark.parametrize("name", ["of_agent", "everybodys"])
def test_queries_are_listed_from_a_moment_on(name: str) -> None:
    store = store_of(5, 6, 6, 7)
    own = store.of_agent(AGENT) if name == "of_agent" else store.everybodys()
    assert {asked_ms(one) for one in own.oldest(from_ms=6, count_max=ALL)} == {6, 7}
    assert own.oldest(from_ms=8, count_max=ALL) == []
    assert own.oldest(from_ms=6, after=asked_at(6, 3), count_max=1) == [asked_at(6, 4)]
    assert asked_ms(own.oldest(from_ms=7, after=asked_at(6, 2), count_max=1)[0]) == 7


def test_who_is_not_known_is_listed_among_all_alone() -> None:
    state = Staging(MemoryEngine().snapshot())
    AuditWriter(state).put(asked_at(1), BARE_AUDIT)
    AuditWriter(state).put(asked_at(2), AUDIT)
    store = AuditStore(state)
    assert store.everybodys().oldest(count_max=ALL) == [asked_at(1), asked_at(2)]
    assert store.of_agent(AGENT).newest(count_max=ALL) == [asked_at(2)]
    assert {key[:6] for key in state.batch.rows} == {b"\x00AUD:0", b"\x00AUDA:", b"Semagl"}


def test_an_audit_is_listed_under_each_predicate_that_the_answer_has_read() -> None:
    store = store_of(1, 2)
    assert [asked_ms(one) for one in store.of_pair(SUBJECT, "q").oldest(count_max=ALL)] == [1, 2]
    assert [asked_ms(one) for one in store.of_pair(SUBJECT, "p:q").oldest(count_max=ALL)] == [1, 2]
    assert store.of_pair("other", "q").oldest(count_max=ALL) == []


def test_a_question_about_a_pair_has_a_predicate_and_one_about_a_context_has_none() -> None:
    assert AUDIT.audit.predicate == "p"
    assert by(None, predicates=("must_use", "forbidden")).audit.predicate is None
    assert BARE_AUDIT.audit.predicate is None


def test_contributions_are_given_hash_by_hash() -> None:
    assert AUDIT.audit.contributions == [
        Contribution(DIGEST, 0.625),
        Contribution(OTHER[::-1], 0.625),
        Contribution(OTHER, 0.375),
    ]
    assert BARE_AUDIT.audit.contributions == []


def test_an_audit_put_as_bytes_is_the_same_rows() -> None:
    typed, raw = (Staging(MemoryEngine().snapshot()) for _ in range(2))
    encoded = msgspec.msgpack.encode(AUDIT.audit)
    AuditWriter(typed).put(asked_at(1), AUDIT)
    head = msgspec.msgpack.decode(encoded, type=AuditHead)
    AuditWriter(raw).put_raw(asked_at(1), head, RawAudit(AUDIT.seq, msgspec.Raw(encoded)))
    assert raw.batch.rows == typed.batch.rows


def test_an_audit_that_is_removed_leaves_nothing_and_no_other_loses_a_line() -> None:
    engine = MemoryEngine()
    one, both = Staging(engine.snapshot()), Staging(engine.snapshot())
    AuditWriter(one).put(asked_at(2), AUDIT)
    for query_id in (asked_at(1), asked_at(2)):
        AuditWriter(both).put(query_id, AUDIT)
    found = AuditStore(both).heads([asked_at(1), asked_at(3)])
    assert found[1] is None
    assert found[0] is not None
    assert found[0][0] == AUDIT.seq
    AuditWriter(both).remove(asked_at(1), found[0][1])
    assert {key: value for key, value in both.batch.rows.items() if value is not None} == one.batch.rows


def test_an_audit_that_is_not_as_it_was_written_is_refused_when_it_is_read() -> None:
    state = Staging(MemoryEngine().snapshot())
    head = AuditHead(None, SUBJECT, ("p",))
    AuditWriter(state).put_raw(asked_at(1), head, RawAudit(0, msgspec.Raw(msgspec.msgpack.encode([None, "s"]))))
    with pytest.raises(UnsupportedValue):
        AuditStore(state).get(asked_at(1))
    with pytest.raises(UnsupportedValue):
        AuditStore(state).heads([asked_at(1)])
