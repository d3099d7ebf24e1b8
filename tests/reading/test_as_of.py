"""Answers as of a position are what the database would have answered then."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from episteme.errors import AsOfBeyond
from episteme.lenses import LENSES
from episteme.node import LOG_FOLDER
from episteme.parameters import make_question
from episteme.reading import ask
from model import ReferenceValue, TextValue
from tests.reading.asking import NOW_MS, Folded
from tests.reading.places import questions, told
from tests.reading.story import PREDICATE, SUBJECT, Story
from tests.support.counted_reads import CountingLists
from tests.support.events import KEY_A, make_assertion, signed
from tests.support.meaning import PAIRS, SUBJECTS, history, log_time
from tests.support.nodes import node_on
from wal import repair_log

SEEDS = range(30)
OPTIONS = (
    {},
    {"include": ("superseded", "superseded_epochs", "revoked")},
    {"source_class": ("clinical", "anecdotal", "regulatory")},
    {"lifecycle": ("approved", "rejected")},
    {"valid_at": str(log_time(0) >> 16)},
    {"explain": True},
)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_answer_as_of_a_position_is_that_of_a_log_which_ends_there(seed: int) -> None:
    steps = history(seed)
    whole = Folded(steps)
    for end in range(1 + seed % 9, len(steps) + 1, 9):
        then = Folded(steps[:end])
        at = f"seq:{end - 1}"
        options = OPTIONS[(seed + end) % len(OPTIONS)]
        for subject, predicate in PAIRS:
            for lens in (None, *LENSES):
                if lens == "constraints":
                    continue
                asked = {"lens": lens, **options}
                expected = then.told(subject, predicate, full=True, **asked)
                assert whole.told(subject, predicate, as_of=at, **asked) == expected, (seed, end, subject, lens)


@pytest.mark.parametrize("seed", range(0, 30, 5))
def test_constraints_can_be_asked_as_of_a_position(seed: int) -> None:
    steps = history(seed)
    whole, end = Folded(steps), len(steps) // 2
    then = Folded(steps[:end])
    for subject in SUBJECTS:
        expected = then.told(subject, None, lens="constraints")
        assert whole.told(subject, None, lens="constraints", as_of=f"seq:{end - 1}") == expected


def test_a_time_stands_for_the_last_position_by_then() -> None:
    steps = history(3)
    whole = Folded(steps)
    subject, predicate = PAIRS[0]
    time_ms = log_time(20) >> 16
    for moment in (time_ms, time_ms + 1):
        answer = whole.ask(subject, predicate, as_of=str(moment))
        assert (answer.seq, answer.as_of) == (20, "seq:20")
    assert whole.ask(subject, predicate, as_of=str(time_ms - 1)).seq == 19
    assert whole.ask(subject, predicate, as_of=f"{NOW_MS - time_ms}ms").seq == 20


def test_before_everything_there_is_nothing() -> None:
    whole = Folded(history(3))
    answer = whole.ask(*PAIRS[0], as_of="0")
    assert (answer.status, answer.seq, answer.candidates_count) == ("none", -1, 0)


@pytest.mark.parametrize("as_of", ["seq:10", "seq:999999999", str(NOW_MS + 1)])
def test_beyond_what_is_applied_is_refused_with_the_position_that_is(as_of: str) -> None:
    whole = Folded(history(3)[:10])
    with pytest.raises(AsOfBeyond, match="applied is seq 9"):
        whole.ask(*PAIRS[0], as_of=as_of)


@pytest.mark.parametrize(
    "favour", ["alias", "predicate", "epoch", "supersession", "key_revocation", "trust_pack", None]
)
@pytest.mark.parametrize("seed", range(4))
def test_every_question_can_be_asked_of_the_past_with_ages_counted_from_then(seed: int, favour: str | None) -> None:
    """Packs, epochs, decay, spans of time and all that is left out by default; by position and by time."""
    steps = history(seed, 80, favour)
    whole = Folded(steps)
    for end in (len(steps) // 4, len(steps) // 2, len(steps) - 3):
        then, then_ms = Folded(steps[:end]), log_time(end - 1) >> 16
        for subject, predicate, options in questions(steps, seed, 40):
            expected = told(lambda: then.ask(subject, predicate, now_ms=then_ms, full=True, **options))  # noqa: B023
            for as_of in (f"seq:{end - 1}", str(then_ms), f"{NOW_MS - then_ms}ms"):
                found = told(lambda: whole.ask(subject, predicate, as_of=as_of, **options))  # noqa: B023
                assert found == expected, (end, subject, options, as_of)


def test_ages_are_counted_from_the_moment_asked_for_not_from_the_position_that_it_stands_for() -> None:
    story = Story()
    story.claim("a", "ana", confidence="1", at=log_time(1) >> 16)
    day_ms = 86_400_000
    folded, claimed_ms = story.folded(), log_time(1) >> 16
    for as_of, seen in (
        (f"seq:{story.end}", 1.0),
        (str(claimed_ms + 30 * day_ms), 0.5),
        (str(claimed_ms + day_ms), 0.97716),
    ):
        answer = folded.ask(SUBJECT, PREDICATE, lens="confidence", decay="30d", as_of=as_of)
        assert (answer.seq, answer.confidence) == (story.end, seen)


# A log that was repaired


def test_past_of_a_repaired_log_is_what_is_left_of_it(tmp_path: Path) -> None:
    """The frame that could not be saved keeps its position, and so do those behind it."""
    with node_on(tmp_path / "damaged") as node:
        for number in range(8):
            claim = make_assertion(subject=SUBJECT, predicate=PREDICATE, object=TextValue(f"said {number}"))
            node.submit(signed(claim, KEY_A), wait_s=10.0)
    (segment,) = (tmp_path / "damaged" / LOG_FOLDER).glob("*.redex")
    data = bytearray(segment.read_bytes())
    data[data.index(b"said 4")] ^= 1
    segment.write_bytes(bytes(data))
    repaired = repair_log(tmp_path / "damaged" / LOG_FOLDER, made(tmp_path / "whole") / LOG_FOLDER)
    ((lost, last),) = repaired.lost
    assert lost == last
    with node_on(tmp_path / "whole") as node:
        for at in range(node.end_seq + 1):
            for options in ({}, {"lens": "trust", "decay": "30d"}):
                answer = node.query(SUBJECT, PREDICATE, as_of=f"seq:{at}", **options)
                assert (answer.candidates_count, answer.as_of) == (at + 1 - (at >= lost), f"seq:{at}")
        turns = node.history(SUBJECT, PREDICATE).turns
        assert [turn.seq for turn in turns] == [at for at in range(node.end_seq + 1) if at != lost]


def made(folder: Path) -> Path:
    """A new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


# What it costs


@pytest.mark.parametrize("lens", sorted(LENSES))
def test_a_small_pair_s_past_costs_the_same_however_long_the_log_has_grown(lens: str) -> None:
    costs = {rounds: cost_of_the_past(told_in_rounds(rounds), lens) for rounds in (1, 4, 16)}
    assert costs[1] == costs[4] == costs[16]


def told_in_rounds(rounds: int) -> tuple[Story, str, str]:
    """A pair of a few claims; then everything that concerns it changes, and the same agents say much elsewhere."""
    story = Story()
    epoch = story.epoch("first")
    source = "5" * 64
    claims = [
        story.claim(ReferenceValue(name), by, predicate=predicate, epoch=epoch, source_hash=source)
        for predicate in (PREDICATE, "must_use")
        for name, by in (("Earth", "ana"), ("Terra", "ben"), ("Mars", "cho"))
    ]
    story.vote(claims[0], "1", "dan")
    pack = story.pack("me", {"ana": "1", "ben": "0.5", "cho": "1"})
    at = story.end
    for number in range(rounds):
        story.epoch(f"epoch {number}", supersedes=epoch, supersession="temporal")
        story.predicate(tolerance=str(number))
        story.alias("Terra", "Earth" if number % 2 else "Terra")
        story.alias(SUBJECT, f"name {number % 2}")
        story.pack("me", {"ana": "1"}, version=number + 2)
        story.claim(number, "ana", "ben", "cho", subject="elsewhere")
        story.gold(number, subject="elsewhere")
        for name in ("ana", "ben", "cho"):
            story.claim(f"{number}", name, subject=f"elsewhere {number}", epoch=epoch, source_hash=source)
            story.claim(f"{number}", name, predicate="another")
    return story, pack, f"seq:{at}"


def cost_of_the_past(told: tuple[Story, str, str], lens: str) -> tuple[int, int]:
    """Rows and lists that are read."""
    story, pack, as_of = told
    folded = story.folded()
    options: dict[str, Any] = {"lens": lens, "explain": True, "pack": pack, "decay": "30d", "as_of": as_of}
    question = make_question(SUBJECT, None if lens == "constraints" else PREDICATE, **options)
    with folded.engine.snapshot() as snapshot:
        reader = CountingLists(snapshot)
        resolved = ask(reader, question, NOW_MS, folded.past)
        assert resolved.admitted is not None
        assert len(resolved.admitted.candidates) == 3
        return reader.rows, reader.lists
