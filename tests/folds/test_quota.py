"""Quotas as the log has them: what was spent, by whom and when, and what an operator lets an agent spend."""

import random
from collections import defaultdict

import pytest

from episteme.folds import LoggedEvent, decode_frame
from model import FRAME_KIND_EVENT, QuotaLimit, Receipt, SignedEvent, SigningKey, encode_record
from stores import WINDOWS_KEPT, QuotaStore, QuotaUse, window_of
from tests.support.events import NOW_MS, make_assertion, signed
from tests.support.folding import folded, folded_events, rows_of
from tests.support.meaning import KEYS, as_logged, history, log_time, rules_of
from tests.support.stores import ALL
from wal import Frame

OPERATOR, ANN, BOB, CY = KEYS[0], *KEYS[3:6]
HOUR_MS = 3_600_000


def logged(seq: int, event: SignedEvent, facts: Receipt, time_ms: int = NOW_MS) -> LoggedEvent:
    return decode_frame(Frame(seq, time_ms << 16, FRAME_KIND_EVENT, 0, encode_record(event, facts)))


def claim(number: int, *keys: SigningKey) -> SignedEvent:
    return signed(make_assertion(subject=f"claim {number}"), *keys)


def limit(tokens: int, key: SigningKey = OPERATOR, timestamp: int = NOW_MS) -> SignedEvent:
    event = QuotaLimit(v=2, agent=key.agent_hex, timestamp=timestamp, for_agent=ANN.agent_hex, tokens=tokens)
    return signed(event, key)


# What was spent.


def test_tokens_of_an_event_are_counted_to_each_who_said_something_new_by_it() -> None:
    events = [
        logged(0, claim(1, ANN), Receipt(tokens=11)),
        logged(1, claim(2, ANN, BOB), Receipt(tokens=12)),
        logged(2, claim(1, ANN, BOB, CY), Receipt(tokens=13, known=(0,))),
    ]
    store, window = QuotaStore(folded_events(events)), window_of(NOW_MS << 16)
    assert [store.used(key.agent_hex, window) for key in (ANN, BOB, CY)] == [
        QuotaUse(23, 1, NOW_MS << 16),
        QuotaUse(25, 2, NOW_MS << 16),
        QuotaUse(13, 2, NOW_MS << 16),
    ]


def test_event_that_cost_nothing_leaves_no_trace() -> None:
    events = [logged(0, claim(1, ANN), Receipt()), logged(1, claim(1, BOB), Receipt("http"))]
    assert not [key for key in rows_of(folded_events(events)) if key.startswith(b"\x00QUOTA:")]


def test_hours_are_those_of_the_log_and_the_last_day_of_them_is_kept() -> None:
    hours = [0, 1, 2, 20, 23, 24, 25, 60]
    events = [
        logged(seq, claim(seq, ANN), Receipt(tokens=1), NOW_MS + hour * HOUR_MS) for seq, hour in enumerate(hours)
    ]
    first = window_of(NOW_MS << 16)
    for count in range(1, len(hours) + 1):
        kept = [hour for hour in hours[:count] if hour > hours[count - 1] - WINDOWS_KEPT]
        for cuts in (range(count), ()):
            store = QuotaStore(folded_events(events[:count], cuts))
            assert [window - first for window, _ in store.windows(ANN.agent_hex, count_max=ALL)] == kept


@pytest.mark.parametrize("seed", range(6))
def test_use_after_a_random_history_is_the_sum_of_what_its_events_cost(seed: int) -> None:
    events = as_logged(history(seed, 150))
    spent: dict[tuple[bytes, int], int] = defaultdict(int)
    for event in events:
        for place, one in enumerate(event.signatures):
            if event.tokens and place not in event.known:
                spent[one.agent, window_of(event.time)] += event.tokens
    store = QuotaStore(folded_events(events, random.Random(seed).sample(range(150), 5)))
    for key in KEYS:
        mine = {window: tokens for (agent, window), tokens in spent.items() if agent == key.agent}
        newest = max(mine, default=0)
        found = {window: use.tokens for window, use in store.windows(key.agent_hex, count_max=ALL)}
        assert found == {window: tokens for window, tokens in mine.items() if window > newest - WINDOWS_KEPT}


# What may be spent.


def test_latest_limit_by_an_operator_counts() -> None:
    rules = rules_of(OPERATOR)
    for steps, tokens in (
        ([limit(5)], 5),
        ([limit(5), limit(0)], 0),
        ([limit(5, timestamp=NOW_MS), limit(7, timestamp=1)], 7),
        ([limit(5), limit(1_000_000, ANN)], 5),
    ):
        row = QuotaStore(folded([rules, *steps])).limit(ANN.agent_hex)
        assert row is not None
        assert row.event.tokens == tokens
    assert QuotaStore(folded([rules, limit(1_000_000, ANN)])).limit(ANN.agent_hex) is None
    assert QuotaStore(folded([rules, limit(5)])).limit(BOB.agent_hex) is None


def test_limit_counts_from_where_an_operator_joins_and_is_not_set_again_by_another_signature() -> None:
    by_bob = limit(5, BOB)
    joined, later = signed(by_bob.event, BOB, OPERATOR), signed(by_bob.event, BOB, CY)
    row = QuotaStore(folded([rules_of(OPERATOR), by_bob, limit(9), joined])).limit(ANN.agent_hex)
    assert row is not None
    assert (row.event.tokens, row.seq, row.time) == (5, 3, log_time(3))
    last = QuotaStore(folded([rules_of(OPERATOR), joined, limit(9), later])).limit(ANN.agent_hex)
    assert last is not None
    assert last.event.tokens == 9


def test_limit_that_is_folded_late_after_its_successor_is_passed_over() -> None:
    events = as_logged([rules_of(OPERATOR), limit(5), limit(9)])
    row = QuotaStore(folded_events([events[0], events[2], events[1]])).limit(ANN.agent_hex)
    assert row is not None
    assert row.event.tokens == 9
