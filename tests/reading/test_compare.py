"""Several lenses over one set of claims, and the claims that answers hang on."""

from typing import Any

import pytest

from episteme.api import Comparison
from episteme.lenses import LENSES
from episteme.parameters import make_question
from episteme.reading import COMPARED, compare, moment_of
from tests.reading.asking import NOW_MS, Folded
from tests.reading.story import PREDICATE, SUBJECT, Story
from tests.support.events import NOW_MS as CLAIMED_MS
from tests.support.meaning import PAIRS, history


def compared(
    folded: Folded, subject: str, predicate: str, lenses: tuple[str, ...] = COMPARED, **options: Any
) -> Comparison:
    """Lenses compared."""
    question = make_question(subject, predicate, **options)
    with folded.engine.snapshot() as reader:
        moment = moment_of(reader, question.as_of, NOW_MS, folded.past)
        return compare(reader, question, [LENSES[name] for name in lenses], moment)


@pytest.mark.parametrize("seed", range(40))
def test_each_answer_is_what_the_lens_alone_would_give(seed: int) -> None:
    folded = Folded(history(seed))
    for subject, predicate in PAIRS:
        found = compared(folded, subject, predicate)
        assert [answer.lens.name for answer in found.answers] == list(COMPARED)
        for answer in found.answers:
            assert answer == folded.ask(subject, predicate, lens=answer.lens.name, full=True)


def test_who_disagrees_is_said() -> None:
    story = Story()
    story.claim("old", "ana", "ben", tier="anecdotal")
    story.claim("new", "cho", at=CLAIMED_MS + 1)
    found = compared(story.folded(), SUBJECT, PREDICATE, ("recency", "consensus", "authority", "skeptic"))
    told = [(None if one.value is None else one.value.value, one.lenses) for one in found.disagreement]
    assert told == [("new", ["recency", "authority"]), ("old", ["consensus"]), (None, ["skeptic"])]
    assert not found.agree


def test_values_spelled_otherwise_agree() -> None:
    story = Story()
    story.claim("round ", "ana", at=CLAIMED_MS + 1)
    story.claim("round", "ben", confidence="1")
    found = compared(story.folded(), SUBJECT, PREDICATE, ("recency", "confidence"))
    assert (found.agree, len(found.disagreement)) == (True, 1)


def test_a_lever_is_the_single_claim_whose_removal_flips_an_answer() -> None:
    story = Story()
    story.claim("a", "ana")
    story.claim("a", "ben")
    story.claim("a", "dan")
    held = story.claim("b", "cho", at=CLAIMED_MS + 5)
    found = compared(story.folded(), SUBJECT, PREDICATE, ("recency", "consensus"))
    assert [(one.lens, one.hash, one.winner.value, one.winner_without.value) for one in found.levers] == [
        ("recency", held, "b", "a")
    ]
    assert found.levers_complete


def test_without_the_only_claim_there_is_no_winner() -> None:
    story = Story()
    only = story.claim("a", "ana")
    found = compared(story.folded(), SUBJECT, PREDICATE, ("consensus",))
    assert [(one.hash, one.winner_without) for one in found.levers] == [(only, None)]


def test_leaving_out_the_newest_stage_shows_the_stage_before() -> None:
    story = Story()
    first = story.claim("a", "ana", lifecycle="approved")
    story.claim("a", "ana", lifecycle="approved", parent_hash=first)
    found = compared(story.folded(), SUBJECT, PREDICATE, ("consensus",))
    assert found.levers == [], "the earlier stage says the same"


def test_a_lever_of_an_agent_who_changed_its_mind_counts_its_earlier_word() -> None:
    story = Story()
    story.claim("a", "ana", at=CLAIMED_MS)
    later = story.claim("b", "ana", at=CLAIMED_MS + 1)
    found = compared(story.folded(), SUBJECT, PREDICATE, ("consensus",))
    (lever,) = found.levers
    assert (lever.hash, lever.winner_without.value) == (later, "a")


def test_many_claims_are_tried_up_to_a_bound_and_that_is_said() -> None:
    story = Story()
    for number in range(150):
        story.claim("a", f"agent {number}")
    found = compared(story.folded(), SUBJECT, PREDICATE, ("consensus",))
    assert (found.levers, found.levers_complete) == ([], False)
