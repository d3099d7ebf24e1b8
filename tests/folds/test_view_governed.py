"""A fast answer is what a full read gives, byte for byte, whatever governance does; a view that may not be is none."""

from random import Random

import msgspec
import pytest
from hypothesis import given, settings

from episteme.folds.view import FULL_CLAIMS_MAX, REVOKED_MAX, SMALL_COUNT_MAX
from episteme.reading import PastClock, Question, Resolved, ask_view, default_lens, make_answer, moment_of, resolve_full
from stores import MemoryEngine, MetaStore, Reader, state_digest
from tests.folds.pair_histories import Folding
from tests.support.events import NOW_MS
from tests.support.meaning import PAIRS, Step, as_logged, histories, history, log_time

BOUNDS = (
    (SMALL_COUNT_MAX, FULL_CLAIMS_MAX, REVOKED_MAX),
    (0, FULL_CLAIMS_MAX, REVOKED_MAX),
    (3, 0, REVOKED_MAX),
    (0, 4, 1),
)
GOVERNING = ("epoch", "supersession", "source", "predicate", "alias", "key_revocation")
each_bound = pytest.mark.parametrize("bounds", BOUNDS)


def _never(_: int) -> int:
    raise AssertionError("nobody asks for a time")


PAST = PastClock(time_at=lambda seq: log_time(seq) >> 16, last_by=_never)


def fast(reader: Reader, subject: str, predicate: str) -> Resolved | None:
    """The answer that the view gives, if it is used."""
    return ask_view(reader, Question(subject=subject, predicate=predicate), NOW_MS, MetaStore(reader).cursor() - 1)


def answer_bytes(reader: Reader, subject: str, predicate: str, found: Resolved) -> bytes:
    return msgspec.json.encode(make_answer(reader, Question(subject=subject, predicate=predicate), found))


def full(reader: Reader, subject: str, predicate: str) -> Resolved:
    """The answer from all claims."""
    question = Question(subject=subject, predicate=predicate, full=True)
    moment = moment_of(reader, None, NOW_MS, PAST)
    return resolve_full(reader, default_lens(reader, question, None), question, moment)


def check_answers(reader: Reader, note: object) -> int:
    """Every fast answer is the full read's; gives how many there are."""
    used = 0
    for subject, predicate in PAIRS:
        found = fast(reader, subject, predicate)
        if found is not None:
            used += 1
            expected = answer_bytes(reader, subject, predicate, full(reader, subject, predicate))
            assert answer_bytes(reader, subject, predicate, found) == expected, (note, subject, predicate)
    return used


def check_history(steps: list[Step], bounds: tuple[int, ...], batch_count_max: int, note: object) -> int:
    one, used = Folding(MemoryEngine(), *bounds), 0
    for _ in one.add_in_batches(as_logged(steps), Random(len(steps)), batch_count_max):
        with one.store.snapshot() as snapshot:
            used += check_answers(snapshot, (note, one.end))
    return used


@each_bound
@pytest.mark.parametrize("four", range(4))
def test_fast_answer_is_what_a_full_read_gives_after_every_batch(four: int, bounds: tuple[int, ...]) -> None:
    for seed in range(4 * four, 4 * four + 4):
        check_history(history(seed), bounds, 1 + 4 * (seed % 4), seed)


@each_bound
@pytest.mark.parametrize("kind", GOVERNING)
def test_fast_answer_is_what_a_full_read_gives_where_one_kind_of_governance_is_common(
    kind: str, bounds: tuple[int, ...]
) -> None:
    for seed in range(3):
        check_history(history(seed, 60, kind), bounds, (1, 7, 15)[seed], seed)


@settings(max_examples=30)
@given(histories())
def test_fast_answer_is_what_a_full_read_gives_whatever_is_drawn(steps: list[Step]) -> None:
    check_history(steps, BOUNDS[0], 7, None)


@each_bound
@pytest.mark.parametrize("kind", [None, *GOVERNING])
def test_rows_are_the_same_wherever_batches_begin_and_end(kind: str | None, bounds: tuple[int, ...]) -> None:
    for seed in range(100, 103):
        events = as_logged(history(seed, 60, kind))
        digests = set()
        for count_max in (1, 7, len(events)):
            one = Folding(MemoryEngine(), *bounds)
            for _ in one.add_in_batches(events, Random(seed), count_max):
                pass
            with one.store.snapshot() as snapshot:
                digests.add(state_digest(snapshot))
        assert len(digests) == 1, f"seed {seed}"
