"""Sources: a status holds from its position on."""

import pytest

from stores import MemoryEngine, SourceRecord, SourceState, SourceStatus, SourceStore, SourceWriter, Staging
from tests.support.stores import hash_hex
from tests.support.values import BARE_SOURCE_RECORD, SOURCE_RECORD


def status(state: SourceState, seq: int) -> SourceStatus:
    return SourceStatus(state, bytes(32), bytes(32), seq, 0)


RECORD = SourceRecord("x", None, None, 0, (status("active", 3), status("retracted", 7), status("active", 2**40)))


@pytest.mark.parametrize(
    ("seq", "expected"),
    [(0, None), (2, None), (3, "active"), (6, "active"), (7, "retracted"), (2**40 - 1, "retracted"), (2**40, "active")],
)
def test_status_as_of_a_position_is_the_last_one_set_by_then(seq: int, expected: SourceState | None) -> None:
    found = RECORD.status_at(seq)
    assert (found and found.status) == expected


def test_source_without_a_status_has_none_at_any_position() -> None:
    assert BARE_SOURCE_RECORD.status_at(2**63) is None


def test_several_sources_come_in_the_order_asked() -> None:
    state = Staging(MemoryEngine().snapshot())
    SourceWriter(state).put(hash_hex(1), SOURCE_RECORD)
    SourceWriter(state).put(hash_hex(2), RECORD)
    asked = [hash_hex(number) for number in (2, 3, 1)]
    assert SourceStore(state).get_many(asked) == [RECORD, None, SOURCE_RECORD]


def test_tainted_sources_are_counted_as_they_are_now() -> None:
    state = Staging(MemoryEngine().snapshot())
    writer = SourceWriter(state)
    counts = []
    changes: list[tuple[int, SourceState]] = [
        (1, "suspect"),
        (2, "active"),
        (1, "retracted"),
        (2, "retracted"),
        (1, "active"),
    ]
    for number, now in changes:
        writer.put(hash_hex(number), SourceRecord("x", None, None, 0, (status("suspect", 1), status(now, 2))))
        counts.append(SourceStore(state).tainted_count())
    writer.put(hash_hex(3), BARE_SOURCE_RECORD)
    assert [*counts, SourceStore(state).tainted_count()] == [1, 1, 1, 2, 1, 1]
