"""The tag of an answer is the same for as long as the answer says the same, whatever position it says it for."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.api import Answer, AnswerEnvelope, AnswerGroup, LensInfo, Winner
from episteme.server.tags import tag_of_answer
from model import TextValue
from tests.support.events import KEY_A, make_assertion, signed

TRAPS = ('"seq":7,"as_of":', '","seq":7,"as_of":null,"audit_id":null', '"audit_id":"aa"', "plain")


def answer(text: str, seq: int, audit_id: str | None) -> Answer:
    claim = signed(make_assertion(object=TextValue(text), narrative=text, metadata={"seq": "7", "as_of": text}), KEY_A)
    winner = Winner(TextValue(text), claim.hash_hex, AnswerEnvelope(claim.event, []))
    return Answer(
        subject=text,
        predicate="p",
        status="unanimous",
        confidence=1.0,
        conflict=0.0,
        margin=None,
        winner=winner,
        groups=[AnswerGroup(TextValue(text), 1.0, 1, 0, 0.0, [claim.hash_hex], 1)],
        groups_count=1,
        candidates_count=1,
        lens=LensInfo("consensus", 1, {}),
        seq=seq,
        as_of=None,
        warnings=[text],
        audit_id=audit_id,
    )


def tag(told: Answer) -> str:
    return tag_of_answer(told, msgspec.json.encode(told))


@given(
    text=st.sampled_from(TRAPS) | st.text(min_size=1, max_size=20),
    seqs=st.tuples(st.integers(-1, 2**40), st.integers(-1, 2**40)),
    ids=st.tuples(st.none() | st.just("aa"), st.none() | st.just("bb")),
)
def test_position_and_audit_do_not_show_in_the_tag(
    text: str, seqs: tuple[int, int], ids: tuple[str | None, str | None]
) -> None:
    assert tag(answer(text, seqs[0], ids[0])) == tag(answer(text, seqs[1], ids[1]))


@pytest.mark.parametrize("text", TRAPS)
@pytest.mark.parametrize(
    "change",
    [
        {"candidates_count": 2},
        {"warnings": []},
        {"as_of": "seq:7"},
        {"confidence": 0.5},
        {"lens": LensInfo("recency", 1, {})},
        {"subjects": ["a", "b"]},
        {"subject": "another"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_else_differs_shows_in_the_tag(text: str, change: dict[str, object]) -> None:
    told = answer(text, 7, None)
    assert tag(told) != tag(msgspec.structs.replace(told, **change))
