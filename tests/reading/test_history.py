"""How an answer moved, told from rows, not from a replay."""

from importlib import import_module
from typing import Any

import pytest

from episteme.api import History, Turn
from episteme.errors import NotFound
from episteme.lenses import LENSES
from episteme.parameters import make_question
from episteme.reading import Page, default_lens, history, moment_of
from episteme.reading.history import causes_of
from model import ReferenceValue
from tests.reading.asking import NOW_MS, Folded
from tests.reading.story import PREDICATE, SUBJECT, Story
from tests.support.counted_reads import CountingLists
from tests.support.events import NOW_MS as CLAIMED_MS
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
        if lens == "authority":  # trust drifts between events, which is no turn
            assert {turn.seq for turn in found.turns} <= set(range(len(steps)))
            continue
        assert told(found.turns) == asked_everywhere(folded, subject, predicate, lens=lens), (subject, predicate)


@pytest.mark.parametrize("favour", ["alias", "predicate", "epoch", "supersession", "key_revocation"])
@pytest.mark.parametrize("seed", range(4))
def test_no_turn_is_missed_where_one_kind_of_governance_is_common(seed: int, favour: str) -> None:
    folded = Folded(random_history(seed, 40, favour))
    for subject, predicate in PAIRS:
        for lens in ("consensus", "recency"):
            found = moved(folded, subject, predicate, lens=lens)
            assert told(found.turns) == asked_everywhere(folded, subject, predicate, lens=lens), (subject, predicate)


def told(turns: list[Turn]) -> list[tuple[Any, ...]]:
    """What turns say but when and why."""
    return [(t.seq, t.status, t.value, t.hash, t.confidence, t.conflict, t.candidates_count) for t in turns]


def asked_everywhere(folded: Folded, subject: str, predicate: str, **options: Any) -> list[tuple[Any, ...]]:
    """The same, from asking as of every position there is."""
    expected, before = [], None
    for at in range(len(folded.steps)):
        answer = folded.ask(subject, predicate, as_of=f"seq:{at}", **options)
        value = None if answer.winner is None else answer.winner.value
        hash_hex = None if answer.winner is None else answer.winner.hash
        turn = (answer.status, value, hash_hex, answer.confidence, answer.conflict, answer.candidates_count)
        if turn != before and (before is not None or answer.status != "none"):
            expected.append((at, *turn))
            before = turn
    return expected


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


def test_of_a_trust_pack_the_history_begins_where_the_pack_does() -> None:
    story = Story()
    story.claim("a", "ana")
    story.claim("b", "ben")
    pack = story.pack("me", {"ana": "1"})
    begin = story.end
    story.claim("b", "ana", at=CLAIMED_MS + 1)
    story.pack("me", {"ben": "1"}, version=2)
    whole = moved(story.folded(), SUBJECT, PREDICATE, pack=pack)
    assert [(turn.seq, turn.cause, turn.candidates_count) for turn in whole.turns] == [
        (begin, "pack", 1),
        (begin + 1, "claim", 2),
        (begin + 2, "pack", 1),
    ]
    for after in (0, begin - 1, begin):
        page = moved(story.folded(), SUBJECT, PREDICATE, pack=pack, after=after)
        assert page.turns == [turn for turn in whole.turns if turn.seq > after]
    with pytest.raises(NotFound):
        moved(story.folded(), SUBJECT, PREDICATE, pack="9" * 64)


def test_an_alias_of_what_a_reference_is_the_same_as_is_a_turn() -> None:
    story = Story()
    story.claim(ReferenceValue("A"), "ana")
    story.claim(ReferenceValue("C"), "ben")
    story.alias("A", "B")
    story.alias("B", "C")
    story.alias("B", "B")
    found = moved(story.folded(), SUBJECT, PREDICATE)
    assert [(turn.seq, turn.cause, turn.status) for turn in found.turns[-2:]] == [
        (4, "alias", "unanimous"),
        (5, "alias", "contested"),
    ]


def test_trust_moves_an_answer_while_its_predicate_s_lens_is_one_of_trust() -> None:
    story = Story()
    story.predicate(default_lens="trust")
    story.claim("a", "ana")
    story.claim("b", "ben")
    story.claim(True, "ben", subject="another")
    story.gold(True, subject="another")
    judged = story.end
    story.predicate(default_lens="consensus")
    found = moved(story.folded(), SUBJECT, PREDICATE)
    assert [(turn.seq, turn.cause) for turn in found.turns[-2:]] == [(judged, "trust"), (judged + 1, "predicate")]


def test_behind_the_newest_position_there_are_no_turns() -> None:
    story = Story()
    story.claim("a", "ana")
    for after in (story.end, story.end + 1, 10**18):
        found = moved(story.folded(), SUBJECT, PREDICATE, after=after)
        assert (found.turns, found.next, found.seq) == ([], None, story.end)


def test_the_claims_of_many_aliases_are_read_once_to_find_the_positions() -> None:
    story = Story()
    names = [f"name {number}" for number in range(40)]
    story.claim("a", "ana", subject=names[0])
    for name in names[1:]:
        story.alias(name, names[0])
    question = make_question(names[0], PREDICATE)
    folded = story.folded()
    with folded.engine.snapshot() as snapshot:
        reader = CountingLists(snapshot)
        causes = causes_of(reader, LENSES["consensus"], question, moment_of(reader, None, NOW_MS, folded.past))
    assert len(causes) == len(names)
    assert reader.lists == len(names)


def test_a_page_of_a_large_pair_computes_few_answers_and_says_where_to_go_on() -> None:
    story = Story()
    for number in range(40):
        story.claim(f"value {number}", f"agent {number}")
    folded = story.folded()
    whole = moved(folded, SUBJECT, PREDICATE)
    assert (len(whole.turns), whole.next) == (40, None)
    with pytest.MonkeyPatch.context() as patch:
        module = import_module("episteme.reading.history")
        patch.setattr(module, "CLAIMS_RESOLVED_MAX", 40 * 15)
        page = moved(folded, SUBJECT, PREDICATE)
        assert (page.turns, page.next) == (whole.turns[:15], whole.turns[14].seq)
        patch.setattr(module, "CLAIMS_RESOLVED_MAX", 0)
        assert len(moved(folded, SUBJECT, PREDICATE).turns) == 10
