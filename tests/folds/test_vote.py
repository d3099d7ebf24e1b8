"""One live vote for each agent and assertion: the latest by timestamp, then by position; weight 0 takes it back."""

import random
import struct
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from keycodec import vote_count_key, vote_weight_key
from model import SignedEvent, SigningKey
from stores import NO_VOTES, MemoryEngine, Reader, Tally, ViewStore, VoteStore
from tests.support.events import KEY_A, KEY_B, NOW_MS, make_assertion, signed
from tests.support.histories import fold, logged, vote_of
from tests.support.stores import ALL

CLAIM = signed(make_assertion(), KEY_A)
SUBJECT, HASH = "Semaglutide", CLAIM.hash_hex


def folded(folder: Path, events: Sequence[SignedEvent]) -> Reader:
    log_id, read_back = logged(folder, events)
    engine = MemoryEngine()
    fold(engine, log_id, read_back)
    return engine.snapshot()


def tally_of(folder: Path, *votes: SignedEvent) -> Tally:
    return VoteStore(folded(folder, [CLAIM, *votes])).tally(SUBJECT, HASH)


def vote(weight: str, timestamp: int = 0, key: SigningKey = KEY_B) -> SignedEvent:
    return vote_of(key, CLAIM, weight, NOW_MS + timestamp)


def test_pitfall_29_agent_that_votes_a_hundred_times_counts_once(tmp_path: Path) -> None:
    reader = folded(tmp_path, [CLAIM, *(vote(f"0.{number:02}", number) for number in range(1, 100)), vote("0.25", 100)])
    store = VoteStore(reader)
    assert (store.count(SUBJECT, HASH), store.weight(SUBJECT, HASH)) == (1, 0.25)
    assert store.tally(SUBJECT, HASH) == Tally(1, 250_000, 250_000)
    assert len(list(store.votes(SUBJECT, HASH, count_max=ALL))) == 100, "every vote is kept"


def test_same_vote_sent_a_hundred_times_counts_once(tmp_path: Path) -> None:
    assert tally_of(tmp_path, *[vote("0.25")] * 100) == Tally(1, 250_000, 250_000)


def test_vote_with_an_older_timestamp_that_arrives_later_does_not_replace(tmp_path: Path) -> None:
    assert tally_of(tmp_path, vote("0.5", 9), vote("-1", 8)) == Tally(1, 500_000, 500_000)


def test_of_equal_timestamps_the_later_position_wins(tmp_path: Path) -> None:
    assert tally_of(tmp_path / "1", vote("0.5"), vote("-1")) == Tally(1, -1_000_000, 0)
    assert tally_of(tmp_path / "2", vote("-1"), vote("0.5")) == Tally(1, 500_000, 500_000)


def test_duplicate_of_a_replaced_vote_does_not_bring_it_back(tmp_path: Path) -> None:
    """Its position is its first one, whoever sends it again."""
    assert tally_of(tmp_path, vote("0.5"), vote("-1"), vote("0.5")) == Tally(1, -1_000_000, 0)


@pytest.mark.parametrize("nothing", ["0", "-0", "0.0", "-0.000000"])
def test_weight_of_zero_takes_the_vote_back(tmp_path: Path, nothing: str) -> None:
    reader = folded(tmp_path, [CLAIM, vote("0.5", 1), vote("1", 1, KEY_A), vote(nothing, 2)])
    assert VoteStore(reader).tally(SUBJECT, HASH) == Tally(1, 1_000_000, 1_000_000)
    live = VoteStore(reader).live(SUBJECT, HASH, KEY_B.agent_hex)
    assert live is not None
    assert live.weight_micros == 0


def test_vote_taken_back_can_be_cast_again_and_an_older_one_stays_out(tmp_path: Path) -> None:
    assert tally_of(tmp_path / "1", vote("0", 5), vote("1", 4)) == NO_VOTES
    assert tally_of(tmp_path / "2", vote("1", 4), vote("0", 5), vote("-0.5", 6)) == Tally(1, -500_000, 0)


def test_count_and_weight_of_votes_taken_back_are_zero_bytes(tmp_path: Path) -> None:
    reader = folded(tmp_path, [CLAIM, vote("-0.1", 1), vote("0", 2)])
    assert reader.get(vote_count_key(SUBJECT, HASH)) == bytes(8)
    assert reader.get(vote_weight_key(SUBJECT, HASH)) == bytes(4)


def test_vote_before_its_assertion_counts_as_soon_as_it_is_there(tmp_path: Path) -> None:
    early = folded(tmp_path / "early", [vote("0.5"), CLAIM])
    late = folded(tmp_path / "late", [CLAIM, vote("0.5")])
    for reader in (early, late):
        assert VoteStore(reader).tally(SUBJECT, HASH) == Tally(1, 500_000, 500_000)
        view = ViewStore(reader).get(SUBJECT, "causes_muscle_loss")
        assert view is not None
        assert view.resolution.groups[0].votes_micros == 500_000


def test_vote_that_names_another_subject_has_no_effect_on_the_assertion(tmp_path: Path) -> None:
    wrong = vote_of(KEY_B, CLAIM, "1", NOW_MS, subject="Ozempic")
    reader = folded(tmp_path, [wrong, CLAIM, wrong])
    assert VoteStore(reader).tally(SUBJECT, HASH) == NO_VOTES
    assert reader.get(vote_count_key(SUBJECT, HASH)) is None
    view = ViewStore(reader).get(SUBJECT, "causes_muscle_loss")
    assert view is not None
    assert (view.resolution.groups[0].votes_micros, view.seq) == (0, 1)
    assert VoteStore(reader).get("Ozempic", HASH, wrong.hash_hex) is not None, "it is kept, to be listed"


def test_right_vote_beside_a_wrong_one_of_the_same_agent_counts(tmp_path: Path) -> None:
    wrong = vote_of(KEY_B, CLAIM, "-1", NOW_MS + 9, subject="Ozempic")
    assert tally_of(tmp_path, vote("0.5"), wrong) == Tally(1, 500_000, 500_000)


@pytest.mark.parametrize("seed", range(4))
def test_pitfall_29_weight_does_not_drift_with_the_order_of_arrival(tmp_path: Path, seed: int) -> None:
    """In single precision 0.1 ten thousand times is not 1000: sums are exact, and rounded once."""
    generator = random.Random(seed)
    keys = [SigningKey(number.to_bytes(32, "big")) for number in range(1, 120)]
    weights = ["0.1", "-0.1", "0.000001", "0.333333", "-1", "1", "0.7"]
    cast = [vote(generator.choice(weights), timestamp, key) for key in keys for timestamp in (1, 2, 3)]
    last = [one.event.weight for one in cast[2::3]]  # type: ignore[union-attr]
    exact = sum(map(Decimal, last), Decimal(0))
    tallies, stored = set(), set()
    for way in range(3):
        arrived = cast.copy()
        generator.shuffle(arrived)
        reader = folded(tmp_path / str(way), [CLAIM, *arrived])
        stored.add((reader.get(vote_count_key(SUBJECT, HASH)), reader.get(vote_weight_key(SUBJECT, HASH))))
        tallies.add(VoteStore(reader).tally(SUBJECT, HASH))
    assert stored == {(len(keys).to_bytes(8, "little"), struct.pack("<f", exact))}
    positive = sum((Decimal(weight) for weight in last if not weight.startswith("-")), Decimal(0))
    assert tallies == {Tally(len(keys), int(exact * 1_000_000), int(positive * 1_000_000))}


def test_tally_of_every_order_of_a_few_votes_is_the_same(tmp_path: Path) -> None:
    cast = [vote("1", 1), vote("0", 3), vote("-0.5", 2), vote("0.3", 1, KEY_A), vote("0.2", 2, KEY_A)]
    expected = Tally(1, 200_000, 200_000)
    for number in range(10):
        arrived = cast.copy()
        random.Random(number).shuffle(arrived)
        assert tally_of(tmp_path / str(number), *arrived) == expected
