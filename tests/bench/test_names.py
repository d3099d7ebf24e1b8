"""How author lists are read: every rule of bench/names.py, on names of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.names import Name, Roster, fold, read_authors, same_person

ANN_LEE = Name("lee", ("ann", "b"))
BOB_ROY = Name("roy", ("bob",))


def people(text: str) -> list[str]:
    """`last:given given` of each person, sorted."""
    return sorted(f"{name.last}:{' '.join(name.given)}" for name in read_authors(text).names)


@pytest.mark.parametrize(
    "text",
    [
        "Lee, Ann B.; Roy, Bob",
        "Lee, Ann B./ Roy, Bob",
        "Lee, Ann B.|Roy, Bob",
        "Ann B. Lee, Bob Roy",
        "Ann B. Lee and Bob Roy",
        "Ann B. Lee & Bob Roy",
        "Bob Roy ~ Ann B. Lee",
        "Lee, Ann B., Roy, Bob",
        "Lee, Ann B., and Roy, Bob",
        "Lee, Ann B. Roy, Bob",
        "LEE, ANN B.ROY, BOB",
        "ANN B. LEE - BOB ROY",
        "Ann B. LeeBob Roy",
        "Roy, BobLee, Ann B.",
        "Lee, Ann B.BRRoy, Bob",
        "Lee- Ann B./ Roy- Bob",
        "By (author) Lee, Ann B. By (author) Roy, Bob",
        "Edited by Lee, Ann B. Edited by Roy, Bob",
        "Lee, Ann B. (Author) Roy, Bob (Joint Author)",
        "Lee, Ann B. (EDT)/ Roy, Bob (EDT)",
        "Lee, Ann B.; Roy, Bob; Poe, Eve (Foreword by)",
        "Lee, Ann B., Ph.D.; Dr. Bob Roy",
        "LEE, ANN B. ROY, BOB (SOME UNIVERSITY, SOMEWHE",
        "Ann B. Lee, Bob Roy, et al",
        "Ann B. Lee; Bob Roy; etc.",
        " Lee ,Ann B. ;; Roy, Bob, ;",
    ],
)
def test_one_list_in_many_spellings(text: str) -> None:
    assert people(text) == ["lee:ann b", "roy:bob"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("O'Neil, Zoé", ["oneil:zoe"]),
        ("Zoe Oandapos;Neil", ["oneil:zoe"]),
        ("ZoÃ© O'Neil", ["oneil:zoe"]),
        ("Conry-Murray, Jean-Luc", ["conrymurray:jean luc"]),
        ("Peter van der Berg", ["vanderberg:peter"]),
        ("van der Berg, Peter", ["vanderberg:peter"]),
        ("Gary McGraw", ["mcgraw:gary"]),
        ("Sparck Jones, Karen", ["sparckjones:karen"]),
        ("Lee", ["lee:"]),
        ("None", []),
        ("0", []),
        ("", []),
    ],
)
def test_what_a_text_names(text: str, expected: list[str]) -> None:
    assert people(text) == expected


def test_short_lists_say_that_they_are() -> None:
    assert read_authors("Lee").is_short
    assert read_authors("Ann Lee, et al").is_short
    assert read_authors("Lee, Ann; etc.").is_short
    assert not read_authors("Ann Lee").is_short
    assert not read_authors("Lee; Roy").is_short


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Name("lee", ("ann",)), Name("lee", ("a", "b")), True),
        (Name("lee"), Name("lee", ("bob",)), True),
        (Name("lee", ("m", "ann")), Name("lee", ("ann", "m")), True),
        (Name("lee", ("william", "rich")), Name("lee", ("r",)), True),
        (Name("lee", ("ann",)), Name("ann", ("lee",)), True),
        (Name("lee", ("ann",)), Name("lee", ("bob",)), False),
        (Name("lee", ("ann",)), Name("roy", ("ann",)), False),
        (Name("lee"), Name("ann", ("lee",)), False),
    ],
)
def test_same_person(one: Name, other: Name, same: bool) -> None:
    assert same_person(one, other) is same
    assert same_person(other, one) is same


def test_a_last_name_alone_goes_to_the_heaviest_who_bears_it() -> None:
    roster = Roster({"Ann Lee": 1.0, "Bob Lee": 3.0, "LEE": 9.0})
    assert roster.people["LEE"] == roster.people["Bob Lee"]


def test_words_that_fit_no_rule_name_those_whom_other_claims_name() -> None:
    roster = Roster(
        {"Lee, Ann; Roy, Bob": 1.0, "Ann Lee Bob Roy": 1.0, "LEE, ANNROY, BOB": 1.0, "One Two Three Four": 1.0}
    )
    assert roster.people["Ann Lee Bob Roy"] == roster.people["Lee, Ann; Roy, Bob"]
    assert roster.people["One Two Three Four"] == ()


def test_a_share_is_of_all_texts_and_of_those_that_do_not_say_they_are_short() -> None:
    roster = Roster({"Lee, Ann; Roy, Bob": 2.0, "Lee": 1.0, "Ann Lee et al": 1.0})
    ann, bob = (next(n for n, name in enumerate(roster.names) if name.last == last) for last in ("lee", "roy"))
    assert roster.shares() == {ann: 1.0, bob: 0.5}
    assert roster.shares(short_deny=False) == {ann: 1.0, bob: 1.0}


@given(st.text(max_size=80))
def test_any_text_can_be_read(text: str) -> None:
    for name in read_authors(text).names:
        assert name.last
        assert name.last == fold(name.last)
        assert all(given and given == fold(given) for given in name.given)
