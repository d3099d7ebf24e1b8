"""What a lens may be told, and what is refused."""

import pytest

from episteme.errors import InvalidParameter
from episteme.lenses import LENSES, PLAIN, Comparison, Terms, lens_named, make_terms

WITH_THRESHOLD = ("consensus", "confidence", "votes", "trust", "authority", "layered")


def test_without_parameters_the_terms_are_the_plain_ones() -> None:
    for lens in LENSES.values():
        assert make_terms(lens, {}) == Terms() == Terms(PLAIN, 500_000, {})


def test_the_lenses_for_which_a_threshold_means_something_take_it() -> None:
    assert tuple(name for name, lens in LENSES.items() if lens.parameters) == WITH_THRESHOLD
    assert {LENSES[name].parameters for name in WITH_THRESHOLD} == {("threshold",)}


@pytest.mark.parametrize(("text", "micros"), [("0.6", 600_000), ("1", 1_000_000), ("0.000001", 1), ("1.0", 1_000_000)])
def test_a_threshold_is_kept_as_it_was_asked_for(text: str, micros: int) -> None:
    comparison = Comparison(many=True)
    terms = make_terms(lens_named("consensus"), {"threshold": text}, comparison)
    assert terms == Terms(comparison, micros, {"threshold": text})


@pytest.mark.parametrize(
    "text", ["0", "0.0", "-0.5", "1.000001", "2", "", "half", "50%", "0.1234567", ".5", "0.5 ", "1e-1", "٠.٥", "nan"]
)
def test_a_threshold_that_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="above 0, at most 1") as caught:
        make_terms(lens_named("consensus"), {"threshold": text})
    assert [problem.pointer for problem in caught.value.errors] == ["threshold"]


@pytest.mark.parametrize("lens", sorted(LENSES))
def test_an_unknown_parameter_is_refused_by_name(lens: str) -> None:
    with pytest.raises(InvalidParameter, match=f"treshold is not known: lens {lens} takes"):
        make_terms(lens_named(lens), {"treshold": "0.5"})


@pytest.mark.parametrize("lens", sorted(set(LENSES) - set(WITH_THRESHOLD)))
def test_a_lens_without_parameters_takes_no_threshold(lens: str) -> None:
    with pytest.raises(InvalidParameter, match="takes no parameters"):
        make_terms(lens_named(lens), {"threshold": "0.5"})


def test_trust_is_looked_up_only_for_the_lenses_that_use_it() -> None:
    assert [name for name, lens in LENSES.items() if lens.uses_trust] == ["trust", "authority", "constraints"]
