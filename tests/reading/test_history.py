"""How an answer moved, told from rows, not from a replay."""

from typing import Any

import pytest

from episteme.api import History
from episteme.lenses import LENSES
from episteme.parameters import make_question
from episteme.reading import Page, default_lens, history
from tests.reading.asking import NOW_MS, Folded
from tests.reading.story import PREDICATE, SUBJECT, Story
from tests.support.meaning import PAIRS
from tests.support.meaning import history as random_history


def moved(
    folded: Folded, subject: str, predicate: str, *, after: int = -1, turns: int = 1000, **options: Any
) -> History:
    """A page of a pair's history."""
    question = make_question(subject, predicate, **options)
    with folded.engine.snapshot() as reader:
        lens = default_lens(reader, question, None) if question.lens is None else LENSES[question.lens]
        return history(reader, lens, question, Page(after, turns), NOW_MS, folded.past)


@pytest.mark.parametrize("lens", [None, "consensus", "votes", "recency", "authority"])
@pytest.mark.parametrize("seed", range(12))
def test_no_turn_is_missed_and_none_is_invented(seed: int, lens: str | None) -> None:
    """Against asking as of every position there is."""
    steps = random_history(seed, 40)
    folded = Folded(steps)
    for subject, predicate in PAIRS:
        found = moved(folded, subject, predicate, lens=lens)
        expected, before = [], None
        for at in range(len(steps)):
            answer = folded.ask(subject, predicate, lens=lens, as_of=f"seq:{at}")
            value = None if answer.winner is None else answer.winner.value
            hash_hex = None if answer.winner is None else answer.winner.hash
            turn = (answer.status, value, hash_hex, answer.confidence, answer.conflict, answer.candidates_count)
            if turn != before and (before is not None or answer.status != "none"):
                expected.append((at, *turn))
                before = turn
        told = [(t.seq, t.status, t.value, t.hash, t.confidence, t.conflict, t.candidates_count) for t in found.turns]
        if lens == "authority":  # trust drifts between events, which is no turn
            assert {row[0] for row in told} <= set(range(len(steps)))
            continue
        assert told == expected, (subject, predicate)


def test_what_came_is_named() -> None:
    story = Story()
    claim = story.claim("a", "ana")
    story.claim("b", "ben")
    story.vote(claim, "1", "dan")
    story.supersede(claim, "ana")
    found = moved(story.folded(), SUBJECT, PREDICATE, lens="votes")
    assert [(turn.seq, turn.cause) for turn in found.turns] == [
        (1, "claim"),
        (2, "claim"),
        (3, "vote"),
        (4, "supersession"),
    ]


def test_pages_join_without_gap_or_repeat() -> None:
    folded = Folded(random_history(5))
    for subject, predicate in PAIRS[:4]:
        whole = moved(folded, subject, predicate, lens="consensus")
        turns, after = [], -1
        while after is not None:
            page = moved(folded, subject, predicate, lens="consensus", after=after, turns=2)
            turns.extend(page.turns)
            after = page.next
        assert turns == whole.turns
