"""Ballots as bytes and as totals."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycodec import vote_count_key, vote_weight_key
from stores import NO_VOTES, MemoryEngine, Staging, Tally, VoteStore, VoteWriter
from tests.support.stores import hash_hex

HASH = hash_hex(1)
micros = st.integers(-1_000_000, 1_000_000)


def staged(**tallies: Tally) -> Staging:
    state = Staging(MemoryEngine().snapshot())
    for name, tally in tallies.items():
        VoteWriter(state).put_tally("Tesla", hash_hex(int(name[1:])), tally)
    return state


@pytest.mark.parametrize(
    ("tally", "count_hex", "weight_hex"),
    [
        (Tally(0, 0, 0), "0000000000000000", "00000000"),
        (Tally(1, 1_000_000, 1_000_000), "0100000000000000", "0000803f"),
        (Tally(258, -500_000, 0), "0201000000000000", "000000bf"),
        (Tally(2**40, 100_000, 100_000), "0000000000010000", "cdcccc3d"),
        (Tally(3, -1, 0), "0300000000000000", "bd3786b5"),
    ],
)
def test_count_is_u64_and_weight_is_f32_both_little_endian(tally: Tally, count_hex: str, weight_hex: str) -> None:
    state = staged(h1=tally)
    assert state.get(vote_count_key("Tesla", HASH)) == bytes.fromhex(count_hex)
    assert state.get(vote_weight_key("Tesla", HASH)) == bytes.fromhex(weight_hex)


@given(st.integers(0, 2**63), st.integers(-(10**15), 10**15))
def test_count_and_weight_are_those_of_the_exact_sums(count: int, sum_micros: int) -> None:
    state = staged(h1=Tally(count, sum_micros, 0))
    store = VoteStore(state)
    assert (store.count("Tesla", HASH), store.tally("Tesla", HASH).sum_micros) == (count, sum_micros)
    assert store.weight("Tesla", HASH) == struct.unpack("<f", struct.pack("<f", sum_micros / 1_000_000))[0]


@given(st.lists(micros, max_size=30), st.randoms(use_true_random=False))
def test_totals_do_not_depend_on_the_order_of_votes_coming_and_going(weights: list[int], generator: object) -> None:
    shuffled = weights.copy()
    generator.shuffle(shuffled)  # type: ignore[attr-defined]
    tally = NO_VOTES
    for weight in weights:
        tally = tally.plus(weight)
    live = [weight for weight in weights if weight]
    assert tally == Tally(len(live), sum(live), sum(weight for weight in live if weight > 0))
    for weight in shuffled:
        tally = tally.minus(weight)
    assert tally == NO_VOTES


def test_assertion_without_votes_has_zero_everywhere() -> None:
    store = VoteStore(staged())
    assert (store.count("Tesla", HASH), store.weight("Tesla", HASH)) == (0, 0.0)
    assert store.tally("Tesla", HASH) == NO_VOTES
    assert store.live("Tesla", HASH, hash_hex(9)) is None


@pytest.mark.parametrize("asked_count", [0, 1, 4, 5, 6, 40])
@pytest.mark.parametrize("voted", [[], [2], [3, 39], list(range(0, 40, 3)), list(range(40)), list(range(30, 200))])
def test_totals_of_many_are_the_totals_of_each(asked_count: int, voted: list[int]) -> None:
    state = staged(**{f"h{number}": Tally(1, number, number) for number in voted})
    for neighbour in ("Tesl", "Teslb", "Tesla:"):
        VoteWriter(state).put_tally(neighbour, hash_hex(1), Tally(9, 9, 9))
    asked = [number * 7 % 41 for number in range(asked_count)]
    store = VoteStore(state)
    found = store.tallies("Tesla", [bytes.fromhex(hash_hex(number)) for number in asked])
    assert found == [store.tally("Tesla", hash_hex(number)) for number in asked]
    assert found == [Tally(1, number, number) if number in voted else NO_VOTES for number in asked]
