"""TallyKeys builds from raw bytes what the checked builders do, and its suffixes sort as what they stand for."""

from hypothesis import given
from hypothesis import strategies as st

import keycodec
from keycodec import TallyKeys
from tests.keycodec.cases import PART_STRATEGIES

ids = st.binary(min_size=16, max_size=16)
hashes = st.binary(min_size=32, max_size=32)
ties = st.binary(min_size=41, max_size=41)
numbers = st.integers(0, 2**64 - 1)
subjects = PART_STRATEGIES["subject"]


@given(subjects, ids, ids, hashes, hashes, ties, numbers, numbers)
def test_keys_of_raw_bytes_are_those_of_the_checked_builders(
    subject: str, pair: bytes, value: bytes, agent: bytes, digest: bytes, tie: bytes, one: int, other: int
) -> None:
    keys = TallyKeys(subject, pair)
    head = (subject, pair.hex())
    rank, recency = 2**64 - 1 - one, f"{2**64 - 1 - one:016x}{2**64 - 1 - other:016x}"
    built = {
        keys.group(value): keycodec.tally_group_key(*head, value.hex()),
        keys.order + keys.of_order(one, tie): keycodec.tally_order_key(*head, rank, tie.hex()),
        keys.support(value) + keys.of_support(tie, agent): keycodec.tally_support_key(
            *head, value.hex(), tie.hex(), agent.hex()
        ),
        keys.unit(value) + keys.of_seq(one): keycodec.tally_unit_key(*head, value.hex(), one),
        keys.best(value) + keys.of_bytes(tie): keycodec.tally_best_key(*head, value.hex(), tie.hex()),
        keys.agent(agent): keycodec.tally_agent_key(*head, agent.hex()),
        keys.earlier(agent) + keys.of_recency(one, other): keycodec.tally_earlier_key(*head, agent.hex(), recency),
        keys.former(agent, value): keycodec.tally_former_key(*head, agent.hex(), value.hex()),
        keys.worse(agent, value) + keys.of_bytes(tie): keycodec.tally_worse_key(
            *head, agent.hex(), value.hex(), tie.hex()
        ),
        keys.chain(digest): keycodec.tally_chain_key(*head, digest.hex()),
        keys.link(digest): keycodec.tally_link_key(*head, digest.hex()),
        keys.waiting(agent) + keys.of_bytes(digest): keycodec.tally_waiting_key(*head, agent.hex(), digest.hex()),
    }
    assert list(built) == list(built.values())
    assert len(built) == 12


@given(st.tuples(numbers, ties), st.tuples(numbers, ties))
def test_more_support_comes_first_then_the_better_tie(one: tuple[int, bytes], other: tuple[int, bytes]) -> None:
    expected = (-one[0], one[1]) < (-other[0], other[1])
    assert (TallyKeys.of_order(*one) < TallyKeys.of_order(*other)) is expected


@given(st.tuples(numbers, numbers), st.tuples(numbers, numbers))
def test_later_claims_come_first_and_others_in_log_order(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (TallyKeys.of_recency(*one) < TallyKeys.of_recency(*other)) is (one > other)
    assert (TallyKeys.of_seq(one[0]) < TallyKeys.of_seq(other[0])) is (one[0] < other[0])


@given(ties, hashes, numbers)
def test_suffixes_give_back_what_they_were_made_of(tie: bytes, agent: bytes, seq: int) -> None:
    assert TallyKeys.tie_in(TallyKeys.of_support(tie, agent)) == tie
    assert TallyKeys.tie_in(TallyKeys.of_bytes(tie)) == tie
    assert TallyKeys.digest_in(TallyKeys.of_bytes(agent)) == agent
    assert TallyKeys.seq_in(TallyKeys.of_seq(seq)) == seq
