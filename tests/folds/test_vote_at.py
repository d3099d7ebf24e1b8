"""Votes as of a position, and ballots: held against a recount of nothing but the events until then."""

import random
from pathlib import Path

import pytest

from episteme.folds import LoggedEvent
from episteme.folds.vote import VoteFold
from model import KeyRevocation, SignedEvent
from stores import (
    NO_VOTES,
    MemoryEngine,
    Reader,
    RevocationRow,
    RevocationWriter,
    Staging,
    Tally,
    VoteStore,
)
from tests.folds.recount import Recount
from tests.support.counted_reads import CountingReader
from tests.support.events import KEY_A, KEY_B, NOW_MS, make_assertion, signed
from tests.support.histories import SUBJECTS, fold, history, logged, vote_of
from tests.support.stores import ALL

CLAIM = signed(make_assertion(), KEY_A)
SUBJECT, HASH = "Semaglutide", CLAIM.hash_hex


def folded(folder: Path, events: list[SignedEvent], cuts: range = range(0)) -> tuple[Reader, list[LoggedEvent]]:
    log_id, read_back = logged(folder, events)
    engine = MemoryEngine()
    fold(engine, log_id, read_back, cuts)
    return engine.snapshot(), read_back


@pytest.mark.parametrize("seed", range(12))
def test_totals_as_of_every_position_are_what_a_recount_of_the_events_until_then_gives(
    tmp_path: Path, seed: int
) -> None:
    reader, events = folded(tmp_path, history(seed, 120))
    whole = Recount(events)
    digests = [*whole.assertions, *(bytes.fromhex(assertion) for _, assertion in whole.ballots)]
    random.Random(seed).shuffle(digests)
    for at in range(-1, len(events) + 1):
        then = Recount(events[: at + 1])
        for subject in SUBJECTS:
            expected = [then.tally((subject, digest.hex())) for digest in digests]
            for asked in (digests, digests[:3]):
                assert VoteStore(reader).tallies_at(subject, asked, at) == expected[: len(asked)]


@pytest.mark.parametrize("seed", range(12))
def test_ballot_lists_every_vote_on_an_assertion_once_with_what_it_does(tmp_path: Path, seed: int) -> None:
    reader, events = folded(tmp_path, history(seed, 120), range(0, 120, 7))
    whole, store = Recount(events), VoteStore(reader)
    for digest, row in whole.assertions.items():
        subject, claim = row.event.subject, digest.hex()
        ballot = store.ballot(subject, claim, count_max=ALL)
        cast = {vote: one for (_, assertion, vote), one in whole.votes.items() if assertion == claim}
        assert [(one.digest, one.row) for one in ballot] == sorted(cast.items())
        for one in ballot:
            live = whole.live[one.row.event.subject, claim, one.row.event.agent]
            if one.row.event.subject != subject:
                assert (one.effect, one.replaced_by) == ("other-subject", None)
            elif live.digest == one.digest:
                assert (one.effect, one.replaced_by) == ("counts" if live.weight else "withdraws", None)
            else:
                assert (one.effect, one.replaced_by) == ("replaced", live.digest)
        assert sum(one.effect == "counts" for one in ballot) == store.tally(subject, claim).count


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_pages_of_a_ballot_are_the_whole_of_it(tmp_path: Path, count: int) -> None:
    votes = [vote_of(KEY_B, CLAIM, "0.5", NOW_MS + number) for number in range(9)]
    votes += [vote_of(KEY_B, CLAIM, "1", NOW_MS + number, subject=f"other {number % 3}") for number in range(9)]
    reader, _ = folded(tmp_path, [*votes[:3], CLAIM, *votes[3:]])
    store = VoteStore(reader)
    whole, pages, after = store.ballot(SUBJECT, HASH, count_max=ALL), [], None
    while page := store.ballot(SUBJECT, HASH, after=after, count_max=count):
        assert len(page) <= count
        pages += page
        after = page[-1].digest.hex()
    assert pages == whole
    assert len(whole) == len(votes)


def test_totals_as_of_a_position_cost_no_more_than_those_of_now_where_nobody_has_voted(tmp_path: Path) -> None:
    claims = [signed(make_assertion(narrative=str(number))) for number in range(50)]
    reader, _ = folded(tmp_path, [*claims, vote_of(KEY_B, CLAIM, "1", NOW_MS, subject="Ozempic")])
    digests = [claim.digest for claim in claims]
    for asked in (digests, digests[:4]):
        now, then = CountingReader(reader), CountingReader(reader)
        assert VoteStore(now).tallies(SUBJECT, asked) == [NO_VOTES] * len(asked)
        assert VoteStore(then).tallies_at(SUBJECT, asked, 3) == [NO_VOTES] * len(asked)
        assert then.rows == now.rows


# Revoked keys.


def staged(votes: list[SignedEvent], revoked_at: int, folder: Path) -> Staging:
    """The votes of KEY_B on the claim, folded where its key is revoked from a position on."""
    _, events = folded(folder, [CLAIM, *votes])
    state = Staging(MemoryEngine().snapshot())
    revocation = KeyRevocation(v=2, agent=KEY_B.agent_hex, timestamp=0, revoked=KEY_B.agent_hex, reason="lost")
    RevocationWriter(state).put(RevocationRow(revocation, bytes(32), revoked_at, 0))
    for event in events:
        VoteFold().apply(event, state)
    return state


def test_vote_cast_before_the_key_was_revoked_stays_cast_and_one_from_then_on_has_no_effect(tmp_path: Path) -> None:
    before, after = vote_of(KEY_B, CLAIM, "0.5", NOW_MS), vote_of(KEY_B, CLAIM, "-1", NOW_MS + 1)
    state = staged([before, after], 2, tmp_path)
    store = VoteStore(state)
    assert store.tally(SUBJECT, HASH) == Tally(1, 500_000, 500_000)
    for at, expected in enumerate([NO_VOTES, Tally(1, 500_000, 500_000), Tally(1, 500_000, 500_000)]):
        assert store.tallies_at(SUBJECT, [CLAIM.digest], at) == [expected]


def test_ballot_names_a_revoked_key_as_the_reason(tmp_path: Path) -> None:
    before, after = vote_of(KEY_B, CLAIM, "0.5", NOW_MS), vote_of(KEY_B, CLAIM, "-1", NOW_MS + 1)
    some = VoteStore(staged([before, after], 2, tmp_path / "some"))
    effects = {one.digest: (one.effect, one.replaced_by) for one in some.ballot("Semaglutide", HASH, count_max=ALL)}
    assert effects == {before.digest: ("counts", None), after.digest: ("revoked-key", None)}
    none = VoteStore(staged([before, after], 1, tmp_path / "none")).ballot(SUBJECT, HASH, count_max=ALL)
    assert {one.effect for one in none} == {"revoked-key"}
