"""Each lens: winner, confidence, conflict, status, margin, and how ties are broken."""

import math
from decimal import Decimal

import pytest

from episteme.errors import UnknownLens
from episteme.lenses import DEFAULT_LENS, LENSES, Candidate, lens_named
from tests.lenses.claims import GROUPING, WINNING, claim, resolve, shares_of, values_of
from tests.support.events import NOW_MS

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

each_lens = pytest.mark.parametrize("lens", sorted(LENSES))
each_grouping_lens = pytest.mark.parametrize("lens", GROUPING)
each_winning_lens = pytest.mark.parametrize("lens", WINNING)


# What all lenses share


def test_there_are_nine_lenses_and_consensus_is_the_default() -> None:
    assert list(LENSES) == [
        "recency",
        "consensus",
        "confidence",
        "votes",
        "trust",
        "authority",
        "skeptic",
        "layered",
        "constraints",
    ]
    assert DEFAULT_LENS == "consensus"
    assert all(lens_named(name).name == name for name in LENSES)


def test_an_unknown_lens_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UnknownLens, match="authority, confidence, consensus, constraints"):
        lens_named("Consensus")


@each_lens
def test_no_claims_have_no_winner_and_zeros(lens: str) -> None:
    nothing = resolve(lens, [])
    assert (nothing.lens, nothing.lens_version) == (lens, LENSES[lens].version)
    assert (nothing.status, nothing.winner, nothing.margin) == ("none", None, None)
    assert (nothing.confidence, nothing.conflict, nothing.candidates_count, nothing.groups) == (0.0, 0.0, 0, ())


@each_grouping_lens
def test_one_value_is_unanimous_without_conflict_or_margin(lens: str) -> None:
    found = resolve(lens, [claim("yes", "ana", confidence="0.25"), claim("yes", "ben", seq=1, at=NOW_MS + 1)])
    assert (found.status, found.conflict, found.margin, shares_of(found)) == ("unanimous", 0.0, None, [1.0])


@each_winning_lens
def test_the_winner_is_the_claim_that_represents_the_first_group(lens: str) -> None:
    yes = claim("yes", "ana", "ben", at=NOW_MS + HOUR_MS, confidence="1", votes=["1"])
    no = claim("no", "cho", confidence="0.5", seq=1)
    found = resolve(lens, [no, yes])
    assert found.winner == yes.digest
    assert values_of(found) == ["yes", "no"]


@each_grouping_lens
def test_a_group_tells_what_stands_behind_it(lens: str) -> None:
    first = claim("yes", "ana", seq=4, tier="community", votes=["1", "-0.25"])
    second = claim("yes", "ben", "cho", seq=2, tier="observational", votes=["-1"])
    found = resolve(lens, [first, second])
    (row,) = found.groups
    assert (row.support, row.best_tier, row.votes_micros) == (3, 2, -250_000)
    assert (row.hashes, row.hashes_count, found.candidates_count) == ((second.digest, first.digest), 2, 2)


@each_winning_lens
def test_a_group_shows_the_spelling_of_its_best_claim(lens: str) -> None:
    better = claim(Decimal("96.70"), "ana", tier="regulatory")
    found = resolve(lens, [claim(Decimal("96.7"), "ben", seq=1), better])
    assert (found.winner, values_of(found)) == (better.digest, ["96.70"])


def tie(lens: str, *claims: Candidate) -> tuple[bytes | None, bool]:
    """The winner, and whether the order of the claims matters."""
    forwards, backwards = resolve(lens, claims), resolve(lens, claims[::-1])
    return forwards.winner, forwards == backwards


@pytest.mark.parametrize("lens", [name for name in WINNING if name not in ("authority", "layered")])
def test_a_higher_score_beats_a_lower_tier(lens: str) -> None:
    strong = claim("yes", "ana", "ben", tier="anecdotal", at=NOW_MS + 1, confidence="0.9", votes=["0.9"])
    weak = claim("no", "cho", tier="regulatory", confidence="0.8", votes=["0.8"], seq=1)
    assert tie(lens, strong, weak) == (strong.digest, True)


@pytest.mark.parametrize("lens", [name for name in WINNING if name != "recency"])
def test_equal_scores_go_to_the_lower_tier_even_if_older(lens: str) -> None:
    low = claim("yes", "ana", tier="clinical", at=NOW_MS, votes=["1"])
    high = claim("no", "ben", tier="observational", at=NOW_MS + DAY_MS, votes=["1"], seq=1)
    assert tie(lens, low, high) == (low.digest, True)


def test_equal_timestamps_go_to_the_lower_tier_under_recency() -> None:
    low, high = claim("yes", "ana", tier="clinical"), claim("no", "ben", tier="observational", seq=1)
    assert tie("recency", low, high) == (low.digest, True)


@each_winning_lens
def test_equal_tiers_go_to_the_later_timestamp(lens: str) -> None:
    sooner, later = claim("yes", "ana", seq=1), claim("no", "ben", at=NOW_MS + 1)
    assert tie(lens, sooner, later) == (later.digest, True)


@each_winning_lens
def test_equal_timestamps_go_to_the_smaller_hash(lens: str) -> None:
    claims = [claim(value, value, seq=seq) for seq, value in enumerate(["a", "b", "c", "d"])]
    found = resolve(lens, claims)
    assert found.winner == min(one.digest for one in claims)
    assert [row.hashes[0] for row in found.groups] == sorted(one.digest for one in claims)


@each_winning_lens
def test_within_a_group_the_same_ties_choose_its_best_claim(lens: str) -> None:
    by_tier = [claim("yes", "ana", tier="expert"), claim("yes", "ben", tier="clinical", seq=1)]
    assert resolve(lens, by_tier).winner == by_tier[1].digest
    by_time = [claim("yes", "ana", at=NOW_MS + 1), claim("yes", "ben", seq=1)]
    assert resolve(lens, by_time).winner == by_time[0].digest
    by_hash = [claim("yes", "ana", confidence="1.0"), claim("yes", "ben", confidence="1.00", seq=1)]
    assert resolve(lens, by_hash).winner == min(one.digest for one in by_hash)


@pytest.mark.parametrize("count", [2, 3, 4, 7, 10])
def test_equal_groups_have_conflict_one(count: int) -> None:
    assert resolve("consensus", [claim(str(n), f"a{n}", seq=n) for n in range(count)]).conflict == 1.0


@pytest.mark.parametrize("count", [11, 13, 30, 300, 3000])
def test_many_equal_groups_have_conflict_one_too(count: int) -> None:
    """Their shares do not round evenly, which the conflict must not see."""
    assert resolve("consensus", [claim(str(n), f"a{n}", seq=n) for n in range(count)]).conflict == 1.0


def test_conflict_is_the_entropy_of_the_shares() -> None:
    claims = [claim("yes", "ana", "ben", "cho"), claim("no", "dan", seq=1)]
    entropy = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert resolve("consensus", claims).conflict == round(entropy, 6) == 0.811278


def test_three_groups_are_measured_against_the_log_of_three() -> None:
    claims = [claim("a", "ana", "ben"), claim("b", "cho", seq=1), claim("c", "dan", seq=2)]
    assert resolve("consensus", claims).conflict == round(1.5 / math.log2(3), 6)


# Consensus


def test_consensus_goes_to_the_value_with_most_agents_and_is_sure_by_their_share() -> None:
    claims = [claim("yes", "ana", "ben"), claim("no", "cho", seq=1), claim("no", "dan", "eve", seq=2)]
    found = resolve("consensus", claims)
    assert (values_of(found), shares_of(found)) == (["no", "yes"], [0.6, 0.4])
    assert (found.confidence, found.margin, found.status) == (0.6, 0.2, "contested")


def test_consensus_represents_a_value_by_a_claim_whose_agent_still_stands_for_it() -> None:
    left = claim("yes", "ana", tier="regulatory")
    stays = claim("yes", "ben", "cho", tier="anecdotal", seq=1)
    found = resolve("consensus", [left, stays, claim("no", "ana", seq=2, at=NOW_MS + 1)])
    assert found.winner == stays.digest


def test_a_value_that_all_have_left_is_still_listed_without_support() -> None:
    claims = [claim("old", "ana"), claim("new", "ana", seq=1, at=NOW_MS + 1)]
    found = resolve("consensus", claims)
    assert [(row.value.value, row.support, row.share) for row in found.groups] == [("new", 1, 1.0), ("old", 0, 0.0)]
    assert (found.conflict, found.confidence, found.margin, found.status) == (0.0, 1.0, 1.0, "agreed")


@pytest.mark.parametrize(
    ("agents", "others", "status"),
    [(4, 1, "agreed"), (3, 1, "contested"), (12, 1, "agreed"), (79, 21, "contested"), (80, 20, "agreed")],
)
def test_a_share_of_four_fifths_is_agreed(agents: int, others: int, status: str) -> None:
    claims = [claim("yes", *map(str, range(agents))), claim("no", *map(str, range(agents, agents + others)), seq=1)]
    assert resolve("consensus", claims).status == status


def test_a_conflict_below_two_fifths_is_agreed_with_a_smaller_share() -> None:
    # Many values that all but two have left: no one of the two has four fifths, yet little is in dispute.
    claims = [claim(f"left {n}", "ana" if n % 2 else "ben", seq=n) for n in range(100)]
    claims += [claim(word, who, seq=200, at=NOW_MS + 1) for word, who in (("yes", "ana"), ("no", "ben"))]
    found = resolve("consensus", claims)
    assert found.groups[0].share == 0.5
    assert (found.conflict, found.status) == (round(math.log(2) / math.log(102), 6), "agreed")


# Recency


@pytest.mark.parametrize(
    ("gap_ms", "confidence"),
    [
        (0, 0.5),
        (MINUTE_MS, 0.5),
        (MINUTE_MS + 1, 0.6),
        (HOUR_MS, 0.6),
        (HOUR_MS + 1, 0.8),
        (DAY_MS, 0.8),
        (DAY_MS + 1, 0.95),
        (365 * DAY_MS, 0.95),
    ],
)
def test_recency_is_sure_by_its_lead_over_the_latest_other_value(gap_ms: int, confidence: float) -> None:
    claims = [claim("old", "ana"), claim("new", "ben", at=NOW_MS + gap_ms, seq=1)]
    found = resolve("recency", claims)
    assert (found.confidence, found.margin) == (confidence, gap_ms)


def test_recency_is_certain_of_the_only_value() -> None:
    claims = [claim("yes", "ana"), claim("yes", "ben", seq=1, at=NOW_MS + 1)]
    found = resolve("recency", claims)
    assert (found.confidence, found.winner) == (1.0, claims[1].digest)


def test_recency_looks_past_claims_of_its_own_value_for_the_gap() -> None:
    claims = [claim("new", "ana", seq=n, at=NOW_MS + 2 * DAY_MS + n) for n in range(3)]
    found = resolve("recency", [*claims, claim("old", "ben", seq=9)])
    assert (found.confidence, found.margin, found.winner) == (0.95, 2 * DAY_MS + 2, claims[2].digest)


def test_recency_shares_are_of_support_so_the_winner_may_have_the_smaller() -> None:
    claims = [claim("old", "ana", "ben", "cho"), claim("new", "dan", seq=1, at=NOW_MS + 1)]
    found = resolve("recency", claims)
    assert (values_of(found), shares_of(found)) == (["new", "old"], [0.25, 0.75])
    assert (found.conflict, found.status) == (0.811278, "contested")


# Confidence


def test_confidence_goes_to_the_most_confident_claim_and_takes_its_own() -> None:
    claims = [claim("yes", "ana", "ben", confidence="0.6"), claim("no", "cho", confidence="0.9", seq=1)]
    found = resolve("confidence", claims)
    assert (found.winner, found.confidence, found.margin) == (claims[1].digest, 0.9, 0.3)
    assert shares_of(found) == [0.6, 0.4]


def test_confidence_counts_only_the_highest_of_each_value() -> None:
    claims = [claim("yes", f"a{n}", seq=n, confidence="0.5") for n in range(9)]
    found = resolve("confidence", [*claims, claim("no", "ben", seq=10, confidence="0.500001")])
    assert (values_of(found), found.margin, found.confidence) == (["no", "yes"], 0.000001, 0.500001)


def test_confidence_compares_decimals_not_spellings() -> None:
    claims = [claim("yes", "ana", confidence="0.5", tier="expert"), claim("no", "ben", confidence="0.500000", seq=1)]
    found = resolve("confidence", claims)
    assert (found.margin, found.winner) == (0.0, claims[1].digest)


def test_claims_of_no_confidence_share_equally() -> None:
    claims = [claim(value, value, confidence="0", seq=seq) for seq, value in enumerate(["a", "b", "c"])]
    found = resolve("confidence", claims)
    assert (shares_of(found), found.conflict) == ([0.333333] * 3, 1.0)
    assert (found.confidence, found.margin, found.status) == (0.0, 0.0, "contested")


# Votes


def test_votes_go_to_the_value_with_most_positive_weight() -> None:
    claims = [claim("yes", "ana", "ben", votes=["0.5"]), claim("no", "cho", votes=["1", "0.5"], seq=1)]
    found = resolve("votes", claims)
    assert (values_of(found), shares_of(found)) == (["no", "yes"], [0.75, 0.25])
    assert (found.confidence, found.margin) == (0.75, 0.5)


def test_votes_add_up_over_the_claims_of_a_value() -> None:
    claims = [claim("yes", "ana", votes=["0.4"]), claim("yes", "ben", votes=["0.4"], seq=1)]
    found = resolve("votes", [*claims, claim("no", "cho", votes=["0.7"], seq=2)])
    assert (values_of(found), shares_of(found)) == (["yes", "no"], [0.533333, 0.466667])


def test_the_claim_with_most_positive_votes_represents_its_value() -> None:
    claims = [claim("yes", "ana", tier="regulatory", votes=["0.1"]), claim("yes", "ben", votes=["0.2"], seq=1)]
    assert resolve("votes", claims).winner == claims[1].digest


def test_negative_votes_take_nothing_from_the_positive_sum() -> None:
    claims = [claim("yes", "ana", votes=["0.6", "-1", "-1"]), claim("no", "ben", votes=["0.5"], seq=1)]
    found = resolve("votes", claims)
    assert values_of(found) == ["yes", "no"]
    assert [row.votes_micros for row in found.groups] == [-1_400_000, 500_000]


@pytest.mark.parametrize("votes", [[], ["0"], ["-1"], ["-1", "-0.5"]])
def test_without_a_positive_vote_votes_decide_as_consensus_does(votes: list[str]) -> None:
    claims = [claim("yes", "ana", "ben", votes=votes), claim("no", "cho", seq=1)]
    by_votes, by_support = resolve("votes", claims), resolve("consensus", claims)
    assert by_votes.lens == "votes"
    assert (by_votes.winner, by_votes.groups) == (by_support.winner, by_support.groups)
    assert (by_votes.confidence, by_votes.conflict, by_votes.margin) == (0.666667, 0.918296, by_support.margin)


def test_one_small_vote_ends_the_fallback_to_consensus() -> None:
    claims = [claim("yes", "ana", "ben", "cho"), claim("no", "dan", votes=["0.000001"], seq=1)]
    found = resolve("votes", claims)
    assert (values_of(found), shares_of(found), found.status) == (["no", "yes"], [1.0, 0.0], "agreed")
