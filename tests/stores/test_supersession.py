"""Supersessions: what was said, what counts, and the replacement of a replacement."""

from typing import Any

from msgspec import UNSET

from stores import MemoryEngine, Staging, SupersessionRow, SupersessionStore, SupersessionWriter
from tests.support.stores import ALL, hash_hex
from tests.support.values import SUPERSESSION_ROW, changed


def row(target: int, replacement: int | None, seq: int = 1) -> SupersessionRow:
    fields: dict[str, Any] = {"mode": "invalidate", "replacement": UNSET}
    if replacement is not None:
        fields = {"mode": "replace", "replacement": hash_hex(replacement)}
    return SupersessionRow(changed(SUPERSESSION_ROW.event, assertion=hash_hex(target), **fields), bytes(32), (), seq, 0)


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
