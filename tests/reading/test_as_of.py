"""Answers as of a position are what the database would have answered then."""

import pytest

from episteme.errors import AsOfBeyond
from episteme.lenses import LENSES
from tests.reading.asking import NOW_MS, Folded
from tests.support.meaning import PAIRS, SUBJECTS, history, log_time

SEEDS = range(60)
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


@pytest.mark.parametrize("seed", range(0, 60, 10))
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
