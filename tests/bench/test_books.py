"""What the book benchmark adds to reading names: the plain vote, matching, halves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.books import as_text, matched, plain_vote
from bench.ground import halves
from bench.names import Name, read_authors

ANN, BOB = Name("lee", ("ann",)), Name("roy", ("bob", "c"))


def test_the_plain_vote_names_what_half_of_the_shops_type_between_separators() -> None:
    found = plain_vote({"a": {"X; Y"}, "b": {"X"}, "c": {"Y; Z"}, "d": {"W"}})
    assert found.values == ("X", "Y")
    assert found.confidence == 0.5
    assert sum(found.weights.values()) == pytest.approx(1)


def test_in_the_plain_vote_a_shop_that_types_twice_counts_once() -> None:
    found = plain_vote({"a": {"X", "X; Y"}, "b": {"Z"}, "c": {"Z"}})
    assert found.values == ("Z",)
    assert found.weights["X"] == found.weights["X; Y"] == pytest.approx(1 / 6)


def test_a_true_name_is_matched_by_one_name_only() -> None:
    assert matched([Name("lee"), Name("lee", ("a",))], [ANN, BOB]) == [ANN]
    assert matched([BOB, ANN], [ANN, BOB]) == [BOB, ANN]
    assert matched([Name("poe")], [ANN]) == []


def test_a_list_that_is_written_is_read_back() -> None:
    assert read_authors(as_text([ANN, BOB, Name("poe")])).names == (ANN, BOB, Name("poe"))


@given(st.sets(st.integers()), st.integers(0, 1000))
def test_halves_share_nothing_and_leave_nothing_out(items: set[int], seed: int) -> None:
    one, other = halves(sorted(items), seed)
    assert sorted(one + other) == sorted(items)
    assert 0 <= len(other) - len(one) <= 1
    assert halves(sorted(items), seed) == (one, other)
