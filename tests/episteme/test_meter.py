"""The meter: what a request costs, who can pay, and what is left."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.errors import QuotaExceeded
from episteme.gate.meter import Charge, Meter, QuotaOptions, Standing, query_tokens, write_tokens
from model import Event, QuotaLimit
from stores import (
    MemoryEngine,
    QuotaLimitRow,
    QuotaUse,
    QuotaWriter,
    Staging,
    TrustRank,
    TrustRankWriter,
    window_of,
)
from tests.support.clocks import Clock
from tests.support.events import FULL_EVENTS, KEY_A, KEY_B, NOW_MS

ANN, BOB = KEY_A.agent, KEY_B.agent
HOUR_MS = 3_600_000


def new_state() -> Staging:
    return Staging(MemoryEngine().snapshot())


def new_meter(tokens_per_hour: int = 100, clock: Clock | None = None, **options: Any) -> Meter:
    return Meter(QuotaOptions(enabled=True, tokens_per_hour=tokens_per_hour, **options), clock or Clock())


def trusted(state: Staging, agent: bytes, micros: int, time_ms: int = NOW_MS) -> Staging:
    TrustRankWriter(state).put(agent.hex(), TrustRank(micros, 1, 0, 1, time_ms << 16))
    return state


def limited(state: Staging, agent: bytes, tokens: int) -> Staging:
    event = QuotaLimit(v=2, agent=KEY_A.agent_hex, timestamp=0, for_agent=agent.hex(), tokens=tokens)
    QuotaWriter(state).put_limit(QuotaLimitRow(event, bytes(32), 0, 0))
    return state


def spend(state: Staging, agent: bytes, tokens: int, time_ms: int = NOW_MS) -> None:
    """As the fold counts it."""
    QuotaWriter(state).add(agent.hex(), window_of(time_ms << 16), QuotaUse(tokens, 1, time_ms << 16))


# What things cost.


@pytest.mark.parametrize(
    ("event", "tokens"),
    [(FULL_EVENTS[0], 10), (FULL_EVENTS[1], 1), *((event, 1) for event in FULL_EVENTS[2:])],
    ids=lambda value: str(value)[:16],
)
def test_assertion_costs_ten_a_vote_one_and_any_other_event_one(event: Event, tokens: int) -> None:
    assert write_tokens(event, 0) == tokens


def test_each_started_kibibyte_of_body_costs_one() -> None:
    sizes = [1, 1023, 1024, 1025, 2048, 7 * 1024 * 1024]
    assert [write_tokens(FULL_EVENTS[1], size) - 1 for size in sizes] == [1, 1, 1, 2, 2, 7168]


def test_query_costs_five_and_one_for_each_lens() -> None:
    assert [query_tokens(count) for count in (1, 2, 9)] == [6, 7, 14]


# Who can pay.


def test_agent_pays_until_its_tokens_are_spent_and_is_told_when_it_has_some_again() -> None:
    clock = Clock()
    clock.now_ms += 90_500
    meter, state = new_meter(100, clock), new_state()
    for count in range(1, 10):
        assert isinstance(meter.charge([ANN], 11, state), Charge)
        assert meter.standing([ANN], state) == Standing(100, 100 - 11 * count, 3510)
    refused = meter.charge([ANN], 11, state)
    assert isinstance(refused, QuotaExceeded)
    assert (refused.limit, refused.remaining, refused.retry_after_s) == (100, 1, 3510)
    assert isinstance(meter.charge([ANN], 1, state), Charge), "what is left can be spent"
    assert isinstance(meter.charge([BOB], 100, state), Charge), "others have their own"


def test_next_hour_begins_anew() -> None:
    clock = Clock()
    meter, state = new_meter(100, clock), new_state()
    assert isinstance(meter.charge([ANN], 100, state), Charge)
    clock.now_ms += HOUR_MS - 1
    refused = meter.charge([ANN], 1, state)
    assert isinstance(refused, QuotaExceeded)
    assert refused.retry_after_s == 1
    clock.now_ms += 1
    assert isinstance(meter.charge([ANN], 100, state), Charge)


def test_clock_that_goes_back_gives_nobody_the_hour_before() -> None:
    clock = Clock()
    meter, state = new_meter(100, clock), new_state()
    assert isinstance(meter.charge([ANN], 100, state), Charge)
    clock.now_ms -= 5 * HOUR_MS
    assert meter.standing([ANN], state) == Standing(100, 0, 3600)
    assert isinstance(meter.charge([ANN], 1, state), QuotaExceeded)


def test_use_begins_with_what_the_log_says_of_the_hour() -> None:
    state = new_state()
    spend(state, ANN, 70)
    spend(state, ANN, 1000, NOW_MS - HOUR_MS)
    meter = new_meter(100)
    assert meter.standing([ANN], state).remaining == 30
    assert isinstance(meter.charge([ANN], 31, state), QuotaExceeded)
    assert isinstance(meter.charge([ANN], 30, state), Charge)
    spend(state, ANN, 30)
    assert meter.standing([ANN], state).remaining == 0, "folded in the meantime, and counted once"


def test_all_who_sign_pay_in_full_or_nobody_does() -> None:
    meter, state = new_meter(100), new_state()
    assert isinstance(meter.charge([BOB], 95, state), Charge)
    for order in ([ANN, BOB], [BOB, ANN]):
        refused = meter.charge(order, 11, state)
        assert isinstance(refused, QuotaExceeded)
        assert BOB.hex() in refused.detail
    assert meter.standing([ANN], state).remaining == 100
    assert isinstance(meter.charge([ANN, BOB], 5, state), Charge)
    assert meter.standing([ANN], state).remaining == 95
    assert meter.standing([ANN, BOB], state) == Standing(100, 0, 3600), "of several the one with the least left"


def test_charge_that_is_given_back_was_never_made() -> None:
    clock = Clock()
    meter, state = new_meter(100, clock), new_state()
    charge = meter.charge([ANN, BOB], 60, state)
    assert isinstance(charge, Charge)
    meter.give_back(charge)
    assert meter.standing([ANN, BOB], state).remaining == 100
    again = meter.charge([ANN], 60, state)
    assert isinstance(again, Charge)
    clock.now_ms += HOUR_MS
    assert isinstance(meter.charge([ANN], 70, state), Charge)
    meter.give_back(again)
    assert meter.standing([ANN], state).remaining == 30, "it was of another hour"


def test_reader_pays_for_queries_from_the_same_purse() -> None:
    meter, state = new_meter(20), new_state()
    assert isinstance(meter.charge_query(ANN, 3, state), Charge)
    assert isinstance(meter.charge([ANN], 11, state), Charge)
    refused = meter.charge_query(ANN, 1, state)
    assert isinstance(refused, QuotaExceeded)
    assert refused.remaining == 1


# How much.


@pytest.mark.parametrize(
    ("micros", "limit"),
    [
        (0, 1000),
        (299_999, 1000),
        (300_000, 5000),
        (499_999, 5000),
        (500_000, 10_000),
        (699_999, 10_000),
        (700_000, 20_000),
        (899_999, 20_000),
        (900_000, 100_000),
        (1_000_000, 100_000),
    ],
)
def test_trust_makes_it_more_or_less(micros: int, limit: int) -> None:
    state = trusted(new_state(), ANN, micros)
    assert new_meter(10_000).standing([ANN], state).limit == limit
    assert new_meter(10_000).standing([BOB], state).limit == 10_000


def test_trust_is_what_it_has_drifted_to_by_now() -> None:
    clock = Clock()
    state = trusted(new_state(), ANN, 1_000_000)
    meter = new_meter(10_000, clock)
    limits = []
    for _ in range(4):
        limits.append(meter.standing([ANN], Staging(state)).limit)
        clock.now_ms += 30 * 86_400_000
    assert limits == [100_000, 20_000, 10_000, 10_000]


def test_limit_of_an_agent_goes_before_the_usual_one_and_is_multiplied_too() -> None:
    state = limited(trusted(new_state(), ANN, 950_000), ANN, 7)
    meter = new_meter(10_000)
    assert meter.standing([ANN], state).limit == 70
    none = Staging(limited(state, BOB, 0))
    assert meter.standing([BOB], none).limit == 0
    assert isinstance(meter.charge([BOB], 1, none), QuotaExceeded)


def test_limit_that_changes_holds_at_once_for_what_was_spent_before_too() -> None:
    meter, state = new_meter(100), new_state()
    assert isinstance(meter.charge([ANN], 60, state), Charge)
    assert meter.standing([ANN], Staging(limited(state, ANN, 50))) == Standing(50, 0, 3600)
    assert meter.standing([ANN], Staging(limited(state, ANN, 500))).remaining == 440


# Bounds and threads.


def test_no_more_agents_are_kept_than_the_bound_and_whom_it_drops_is_read_again() -> None:
    state = new_state()
    meter = new_meter(100, agents_max=20)
    agents = [bytes([number]) * 32 for number in range(50)]
    for agent in agents:
        assert isinstance(meter.charge([agent], 60, state), Charge)
        spend(state, agent, 60)
    for agent in agents:
        assert meter.standing([agent], state).remaining == 40
    assert meter.agents_count == 20


def test_agent_that_was_seen_lately_is_not_the_one_that_is_dropped() -> None:
    meter, state = new_meter(100, agents_max=20), new_state()
    for number in range(50):
        assert isinstance(meter.charge_query(ANN, 1, state), Charge) is (number < 16)
        meter.standing([bytes([number]) * 32], state)
    assert meter.standing([ANN], state).remaining == 4, "what its queries cost is nowhere else"


def test_event_of_sixteen_signers_is_charged_whatever_the_bound() -> None:
    meter, state = new_meter(100, agents_max=1), new_state()
    agents = [bytes([number]) * 32 for number in range(16)]
    assert isinstance(meter.charge(agents, 60, state), Charge)
    assert isinstance(meter.charge(agents, 60, state), QuotaExceeded)


def test_threads_together_spend_no_more_than_there_is() -> None:
    meter, state = new_meter(1000), new_state()
    together = threading.Barrier(8)
    given: list[Charge] = []

    def spend(number: int) -> None:
        together.wait()
        for turn in range(100):
            charge = meter.charge([ANN, BOB] if number % 2 else [BOB, ANN], 3, state)
            if isinstance(charge, Charge):
                if turn % 5 == 0:
                    meter.give_back(charge)
                else:
                    given.append(charge)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(spend, range(8)))
    assert meter.standing([ANN], state).remaining == meter.standing([BOB], state).remaining == 1000 - 3 * len(given)
    assert 300 <= len(given) <= 333, "all that could be spent, but for what was given back at the very end"


@given(st.lists(st.tuples(st.sampled_from([(ANN,), (BOB,), (ANN, BOB)]), st.integers(1, 60), st.integers(0, 2))))
def test_meter_counts_as_a_plain_book_does(steps: list[tuple[tuple[bytes, ...], int, int]]) -> None:
    clock, state = Clock(), new_state()
    meter = new_meter(100, clock)
    book = {ANN: 0, BOB: 0}
    for agents, tokens, hours in steps:
        if hours == 2:
            clock.now_ms += HOUR_MS
            book = {ANN: 0, BOB: 0}
        charge = meter.charge(agents, tokens, state)
        can_pay = all(book[agent] + tokens <= 100 for agent in agents)
        assert isinstance(charge, Charge) is can_pay
        if can_pay and hours:
            meter.give_back(charge)  # type: ignore[arg-type]
        elif can_pay:
            book |= {agent: book[agent] + tokens for agent in agents}
        for agent, used in book.items():
            assert meter.standing([agent], state).remaining == 100 - used
