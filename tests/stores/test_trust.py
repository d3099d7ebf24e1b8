"""Trust ranks: the newest one, and the one as of any position."""

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


def test_change_by_an_event_that_comes_late_joins_the_newest_change() -> None:
    writer = TrustRankWriter(new_state())
    writer.put(AGENT, rank(3, 550_000))
    writer.put(AGENT, rank(8, 600_000))
    writer.put(AGENT, rank(5, 500_000))
    assert writer.get(AGENT) == rank(8, 500_000)
    assert [(change.before.seq, change.after) for change in writer.changes(AGENT, count_max=ALL)] == [
        (0, rank(3, 550_000)),
        (3, rank(8, 500_000)),
    ]
    assert [writer.as_of(AGENT, seq) for seq in (2, 3, 7, 8)] == [
        NOT_JUDGED,
        rank(3, 550_000),
        rank(3, 550_000),
        rank(8, 500_000),
    ]


def test_ranks_of_many_are_the_ranks_of_each() -> None:
    writer = TrustRankWriter(new_state())
    agents = [bytes.fromhex(hash_hex(number)) for number in range(6)]
    for number, agent in enumerate(agents[:4]):
        for seq in range(number, 20, 5):
            writer.put(agent.hex(), rank(seq, seq))
    asked = [agents[5], *agents, agents[2]]
    for at in (None, *range(22)):
        expected = [writer.get(one.hex()) if at is None else writer.as_of(one.hex(), at) for one in asked]
        assert writer.as_of_many(asked, at) == expected
