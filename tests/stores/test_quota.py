"""Tokens by the hour of the log's clock."""

import pytest

from stores import NOTHING_USED, MemoryEngine, QuotaStore, QuotaUse, QuotaWriter, Staging, window_end_ms, window_of
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


def test_use_is_kept_by_agent_and_hour_until_it_is_forgotten() -> None:
    state = Staging(MemoryEngine().snapshot())
    writer = QuotaWriter(state)
    for window in (3, 1, 2):
        writer.put(AGENT, window, QuotaUse(window * 10, window, 0))
    writer.put(hash_hex(2), 2, QuotaUse(99, 9, 0))
    writer.put(AGENT, 2, QuotaUse(25, 4, 1))
    store = QuotaStore(state)
    assert [store.used(AGENT, window).tokens for window in (0, 1, 2, 3)] == [0, 10, 25, 30]
    assert store.used(AGENT, 0) == NOTHING_USED
    writer.remove(AGENT, 1)
    assert [window for window, _ in store.windows(AGENT, count_max=ALL)] == [2, 3]
    assert store.used(hash_hex(2), 2).tokens == 99


def test_an_agent_without_a_limit_has_none() -> None:
    assert QuotaStore(Staging(MemoryEngine().snapshot())).limit(AGENT) is None
