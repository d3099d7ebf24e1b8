"""Tokens by the hour of the log's clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores import (
    NOTHING_USED,
    WINDOWS_KEPT,
    MemoryEngine,
    QuotaStore,
    QuotaUse,
    QuotaWriter,
    Staging,
    window_end_ms,
    window_of,
)
from tests.support.stores import ALL, hash_hex

AGENT = hash_hex(1)
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("time_ms", "window"),
    [(0, 0), (HOUR_MS - 1, 0), (HOUR_MS, 1), (1_767_225_600_000, 490_896), (2**48 - 1, 78_187_493)],
)
def test_the_hour_of_a_log_time_does_not_depend_on_its_counter(time_ms: int, window: int) -> None:
    for counter in (0, 1, 65_535):
        assert window_of(time_ms << 16 | counter) == window
    assert window_end_ms(window) - HOUR_MS <= time_ms < window_end_ms(window)


def test_use_is_kept_by_agent_and_hour() -> None:
    state = Staging(MemoryEngine().snapshot())
    writer = QuotaWriter(state)
    for window in (3, 1, 2):
        writer.put(AGENT, window, QuotaUse(window * 10, window, 0))
    writer.put(hash_hex(2), 2, QuotaUse(99, 9, 0))
    writer.put(AGENT, 2, QuotaUse(25, 4, 1))
    store = QuotaStore(state)
    assert [store.used(AGENT, window).tokens for window in (0, 1, 2, 3)] == [0, 10, 25, 30]
    assert store.used(AGENT, 0) == NOTHING_USED
    assert [window for window, _ in store.windows(AGENT, count_max=ALL)] == [1, 2, 3]
    assert store.used(hash_hex(2), 2).tokens == 99


def hour(number: int) -> int:
    """A log time in the hour of this number."""
    return number * HOUR_MS << 16


def test_what_is_spent_in_an_hour_adds_up_under_its_last_event() -> None:
    writer = QuotaWriter(Staging(MemoryEngine().snapshot()))
    for seq, tokens in ((4, 10), (6, 1), (5, 2)):
        writer.add(AGENT, 7, QuotaUse(tokens, seq, hour(7) + seq))
    assert writer.used(AGENT, 7) == QuotaUse(13, 6, hour(7) + 6)


@given(st.lists(st.integers(100, 180), max_size=60))
def test_hours_of_the_last_day_are_kept_whatever_order_they_came_in(hours: list[int]) -> None:
    writer = QuotaWriter(Staging(MemoryEngine().snapshot()))
    kept: dict[int, int] = {}
    for seq, one in enumerate(hours):
        writer.add(AGENT, one, QuotaUse(5, seq, hour(one)))
        kept[one] = kept.get(one, 0) + 5
        kept = {known: tokens for known, tokens in kept.items() if known > max(kept) - WINDOWS_KEPT}
        assert {window: use.tokens for window, use in writer.windows(AGENT, count_max=ALL)} == kept
    assert len(kept) <= WINDOWS_KEPT == 24


def test_an_agent_without_a_limit_has_none() -> None:
    assert QuotaStore(Staging(MemoryEngine().snapshot())).limit(AGENT) is None
