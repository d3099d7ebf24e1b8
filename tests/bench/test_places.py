"""How claims of places are read with a tree."""

import csv
from pathlib import Path

import pytest

from bench.birthplaces import plain_row, plain_votes
from bench.places import Places

DATA = Path(__file__).parents[3] / "shared" / "data" / "birthplaces"

# Two places are called Paris.
TREE = Places(
    {"id": number, "name": name, "parent_id": parent}
    for number, name, parent in [
        ("0", "Root", "-1"),
        ("1", "USA", "0"),
        ("2", "Texas", "1"),
        ("3", "Paris", "2"),
        ("4", "France", "0"),
        ("5", "Paris", "4"),
        ("6", "Austin", "2"),
    ]
)


def test_a_place_is_contained_in_all_above_it_but_not_in_the_root_or_itself() -> None:
    assert TREE.contains("Texas", "Austin")
    assert TREE.contains("USA", "Austin")
    assert not TREE.contains("Root", "Austin")
    assert not TREE.contains("Austin", "Austin")
    assert not TREE.contains("Austin", "Texas")


def test_a_name_that_two_places_share_is_in_what_contains_either() -> None:
    assert TREE.contains("USA", "Paris")
    assert TREE.contains("France", "Paris")
    assert not TREE.contains("Austin", "Paris")


def test_a_clear_winner_stays_whatever_the_tree_says() -> None:
    assert TREE.by_agreement({"France": 0.5, "Austin": 0.25, "Texas": 0.25}) == "France"


def test_a_tie_goes_to_the_place_that_more_claims_agree_with() -> None:
    assert TREE.by_agreement({"France": 0.25, "Austin": 0.25, "Texas": 0.25}) == "Austin"


def test_of_places_within_each_other_the_lens_decides_unless_the_smallest_is_asked_for() -> None:
    shares = {"Texas": 0.5, "Austin": 0.5}
    assert TREE.by_agreement(shares) == "Texas"
    assert TREE.by_agreement(shares, smallest=True) == "Austin"


def test_who_claims_a_place_claims_those_that_contain_it() -> None:
    assert TREE.by_entailment({"France": 0.4, "Austin": 0.3, "Texas": 0.3}) == "Texas"
    assert TREE.by_entailment({"Austin": 1.0}) == "Austin"


def test_a_place_that_is_not_in_the_tree_agrees_with_itself_alone() -> None:
    assert TREE.agree("Atlantis", "Atlantis")
    assert not TREE.agree("Atlantis", "USA")


@pytest.mark.skipif(not (DATA / "truth.csv").exists(), reason="the birth places are not here")
def test_the_plain_vote_of_the_real_claims_is_right_as_often_as_published() -> None:
    with (DATA / "truth.csv").open(encoding="utf-8", newline="") as file:
        truth = {row["person"]: [p.strip() for p in row["birthplace"].split(",")] for row in csv.DictReader(file)}
    row = plain_row(plain_votes(DATA / "claims.csv", truth), truth)
    assert row.answered == 6005
    assert round(row.scores["exact"], 3) == 0.637
    assert round(row.scores["containing"], 3) == 0.889
