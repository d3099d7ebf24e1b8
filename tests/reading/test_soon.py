"""What is answered at once is what a full read answers, and only what is quick is answered at once."""

from typing import Any

import msgspec
import pytest

from episteme.api import Answer
from episteme.parameters import make_question
from episteme.reading import ask_soon, make_answer
from episteme.reading.resolve import QUICK_CLAIMS_MAX
from model import TextValue
from tests.reading.asking import NOW_MS, Folded
from tests.support.events import KEY_A, KEY_B, make_assertion, signed
from tests.support.meaning import PAIRS, history

QUESTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"full": True},
    {"lens": "trust"},
    {"lens": "layered"},
    {"lens": "recency", "limit": 3},
    {"lifecycle": ("proposed", "approved", "rejected")},
    {"source_class": ("expert",)},
    {"include": ("superseded", "revoked")},
    {"decay": "30d"},
)


def soon(folded: Folded, subject: str, predicate: str, **options: Any) -> Answer | None:
    question = make_question(subject, predicate, **options)
    with folded.engine.snapshot() as reader:
        found = ask_soon(reader, question, NOW_MS, reader.position - 1, folded.past)
        return None if found is None else make_answer(reader, question, found)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_answered_at_once_is_the_full_answer(seed: int) -> None:
    folded = Folded(history(seed, 60))
    answered = 0
    for subject, predicate in PAIRS:
        for options in QUESTIONS:
            found = soon(folded, subject, predicate, **options)
            if found is not None:
                answered += 1
                expected = folded.ask(subject, predicate, **{**options, "full": True})
                assert msgspec.json.encode(found) == msgspec.json.encode(expected), (subject, predicate, options)
    assert answered


@pytest.mark.parametrize("options", [{"explain": True}, {"as_of": "seq:0"}], ids=lambda options: next(iter(options)))
def test_what_takes_more_is_left(options: dict[str, Any]) -> None:
    folded = Folded([signed(make_assertion(), KEY_A)])
    claim = make_assertion()
    assert soon(folded, claim.subject, claim.predicate, full=True) is not None
    assert soon(folded, claim.subject, claim.predicate, **options) is None


@pytest.mark.parametrize("agents", [1, 2])
def test_a_pair_of_many_claims_or_agents_is_left(agents: int) -> None:
    keys = (KEY_A, KEY_B)[:agents]
    most = QUICK_CLAIMS_MAX - agents
    steps = [signed(make_assertion(object=TextValue(f"{n}")), *keys) for n in range(most + 1)]
    claim = steps[0].event
    for count, is_quick in ((most, True), (most + 1, False)):
        folded = Folded(steps[:count])
        assert (soon(folded, claim.subject, claim.predicate, full=True) is not None) is is_quick
        assert soon(folded, claim.subject, claim.predicate) is not None  # the view answers, whatever it rests on


def test_a_pair_with_a_claim_that_is_left_out_is_left() -> None:
    """Its signers are not counted: there may be thousands of them."""
    steps = [signed(make_assertion(), KEY_A), signed(make_assertion(lifecycle="rejected"), KEY_A, KEY_B)]
    claim = steps[0].event
    for count, is_quick in ((1, True), (2, False)):
        folded = Folded(steps[:count])
        assert (soon(folded, claim.subject, claim.predicate, lens="trust") is not None) is is_quick
        assert soon(folded, claim.subject, claim.predicate) is not None
