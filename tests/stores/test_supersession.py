"""Supersessions: what was said, what counts, and the replacement of a replacement."""

from typing import Any

from msgspec import UNSET

from stores import (
    ANY_OPERATOR,
    MemoryEngine,
    Staging,
    SupersessionRow,
    SupersessionStore,
    SupersessionWriter,
    Waiting,
)
from tests.support.events import KEY_A
from tests.support.stores import ALL, hash_hex
from tests.support.values import SUPERSESSION_ROW, changed


def row(target: int, replacement: int | None, seq: int = 1) -> SupersessionRow:
    fields: dict[str, Any] = {"mode": "invalidate", "replacement": UNSET}
    if replacement is not None:
        fields = {"mode": "replace", "replacement": hash_hex(replacement)}
    event = changed(SUPERSESSION_ROW.event, assertion=hash_hex(target), **fields)
    return SupersessionRow(event, bytes(32), (), seq, 0, seq)


def staged(*rows: SupersessionRow) -> Staging:
    state = Staging(MemoryEngine().snapshot())
    for one in rows:
        SupersessionWriter(state).put(one)
    return state


def chain(state: Staging, start: int, count_max: int = ALL) -> list[int]:
    return [int(hash_hex, 16) for hash_hex in SupersessionStore(state).chain(hash_hex(start), count_max=count_max)]


def test_what_was_said_is_kept_beside_what_counts() -> None:
    state = staged()
    writer = SupersessionWriter(state)
    first, second = row(1, 2, seq=5), row(1, None, seq=9)
    writer.put_said(second)
    writer.put_said(first)
    assert SupersessionStore(state).get(hash_hex(1)) is None
    writer.put(first)
    assert SupersessionStore(state).get(hash_hex(1)) == first
    assert list(SupersessionStore(state).said(hash_hex(1), count_max=ALL)) == [first, second]
    assert list(SupersessionStore(state).said(hash_hex(2), count_max=ALL)) == []


def test_what_hides_several_comes_in_the_order_asked() -> None:
    one, two = row(1, None), row(2, 3)
    digests = [bytes.fromhex(hash_hex(number)) for number in (2, 9, 1, 2)]
    assert SupersessionStore(staged(one, two)).get_many(digests) == [two, None, one, two]
    assert SupersessionStore(staged()).get_many([]) == []


def test_replacements_are_followed_to_the_last_with_a_bound_and_no_loop() -> None:
    state = staged(row(1, 2), row(2, 3), row(3, None), row(7, 8), row(8, 7))
    assert chain(state, 1) == [1, 2, 3]
    assert chain(state, 1, count_max=2) == [1, 2]
    assert chain(state, 9) == [9]
    assert chain(state, 8) == [8, 7]


def test_replacements_are_followed_as_of_a_position() -> None:
    store = SupersessionStore(staged(row(1, 2, seq=5), row(2, 3, seq=9)))
    chains = {at: store.chain(hash_hex(1), at=at, count_max=ALL) for at in (4, 5, 8, 9, None)}
    assert {at: len(one) for at, one in chains.items()} == {4: 1, 5: 2, 8: 2, 9: 3, None: 3}


def test_supersession_hides_from_its_position_on_or_never() -> None:
    counting, idle = row(1, None, seq=7), changed(row(1, None, seq=7), since=-1)
    assert [counting.hides_at(at) for at in (6, 7, None)] == [False, True, True]
    assert [idle.hides_at(at) for at in (6, 7, None)] == [False, False, False]


def test_what_waits_is_found_by_subject_assertion_and_agent() -> None:
    state = staged()
    writer = SupersessionWriter(state)
    assert not writer.any_waits()
    writer.put_waiting("Tesla", hash_hex(1), KEY_A.agent, Waiting(5, 3))
    assert writer.any_waits()
    assert writer.waiting("Tesla", hash_hex(1), [ANY_OPERATOR, KEY_A.agent]) == [None, Waiting(5, 3)]
    assert writer.waiting("Tesla:", hash_hex(1), [KEY_A.agent]) == [None]
    assert writer.waiting("Tesla", hash_hex(2), [KEY_A.agent]) == [None]
