"""Trust ranks: the newest one, and the one as of any position."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores import NOT_JUDGED, MemoryEngine, Staging, TrustRank, TrustRankStore, TrustRankWriter
from tests.support.stores import ALL, hash_hex

AGENT = hash_hex(1)


def new_state() -> Staging:
    return Staging(MemoryEngine().snapshot())


def rank(seq: int, score_micros: int = 500_000) -> TrustRank:
    return TrustRank(score_micros, 1, 0, seq, seq * 10)


def test_agent_whom_nothing_has_judged_stands_at_a_half() -> None:
    assert TrustRankStore(new_state()).get(AGENT) == NOT_JUDGED
    assert NOT_JUDGED.score_micros == 500_000
    assert TrustRankStore(new_state()).as_of(AGENT, 2**40) == NOT_JUDGED


@given(st.lists(st.integers(0, 40), unique=True, max_size=8).map(sorted), st.integers(0, 41))
def test_rank_as_of_a_position_is_what_the_newest_one_was_then(seqs: list[int], asked: int) -> None:
    state, neighbour = new_state(), hash_hex(2)
    for seq in seqs:
        TrustRankWriter(state).put(AGENT, rank(seq, seq))
        TrustRankWriter(state).put(neighbour, rank(seq, 7))
    expected = [rank(seq, seq) for seq in seqs if seq <= asked]
    assert TrustRankStore(state).as_of(AGENT, asked) == (expected[-1] if expected else NOT_JUDGED)
    assert TrustRankStore(state).get(AGENT) == (rank(seqs[-1], seqs[-1]) if seqs else NOT_JUDGED)


def test_several_judgements_by_one_event_are_one_change() -> None:
    state = new_state()
    writer = TrustRankWriter(state)
    writer.put(AGENT, rank(3, 550_000))
    for score_micros in (600_000, 500_000, 400_000):
        writer.put(AGENT, rank(8, score_micros))
    changes = list(writer.changes(AGENT, count_max=ALL))
    assert [(change.before, change.after) for change in changes] == [
        (NOT_JUDGED, rank(3, 550_000)),
        (rank(3, 550_000), rank(8, 400_000)),
    ]
    assert writer.as_of(AGENT, 7) == rank(3, 550_000)


def test_a_change_from_before_the_newest_is_a_broken_promise() -> None:
    writer = TrustRankWriter(new_state())
    writer.put(AGENT, rank(3))
    with pytest.raises(AssertionError):
        writer.put(AGENT, rank(2))
