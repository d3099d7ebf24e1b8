"""The read path over folded state: filters, limits, bounds, and the view against the full read."""

import msgspec
import pytest

from episteme.api import Answer
from episteme.errors import TooManyCandidates, UnknownLens
from episteme.lenses import LENSES
from episteme.reading import CANDIDATES_MAX, LIMIT_DEFAULT, AsOf, Moment, PastClock, Question, ask, make_answer
from episteme.reading.gather import Sight, gather
from model import Assertion
from stores import Reader, ViewStore, state_digest
from tests.lenses.claims import PREDICATE, SUBJECT, Database, assertion, vote
from tests.lenses.histories import PAIRS, history, in_batches
from tests.support.events import NOW_MS


def question(**parts: object) -> Question:
    return Question(subject=SUBJECT, predicate=PREDICATE, **parts)


def folded(*said: tuple[Assertion, str]) -> Database:
    database = Database()
    database.add(*said)
    return database


def answer_to(database: Database, asked: Question) -> Answer:
    with database.engine.snapshot() as snapshot:
        return answer_from(snapshot, asked)


def answer_from(reader: Reader, asked: Question) -> Answer:
    return make_answer(reader, asked, ask(reader, asked, NOW_MS, PastClock(lambda seq: NOW_MS, lambda time_ms: -1)))


def values(found: Answer) -> list[object]:
    return [row.value.value for row in found.groups]


STAGES = folded(
    *((assertion(stage, lifecycle=stage), stage) for stage in ("proposed", "approved", "deprecated", "rejected"))
)
TIERS = folded(*((assertion(tier, tier=tier), tier) for tier in ("regulatory", "clinical", "anecdotal")))


# Filters


@pytest.mark.parametrize("full", [False, True])
def test_deprecated_and_rejected_claims_are_left_out(full: bool) -> None:
    assert sorted(values(answer_to(STAGES, question(full=full)))) == ["approved", "proposed"]


@pytest.mark.parametrize("asked", [("rejected",), ("deprecated", "rejected"), ("approved",)])
def test_the_stages_asked_for_are_all_that_is_seen(asked: tuple[str, ...]) -> None:
    assert sorted(values(answer_to(STAGES, question(lifecycle=asked)))) == sorted(asked)


@pytest.mark.parametrize("asked", [("anecdotal",), ("clinical", "regulatory"), ("expert",)])
def test_the_tiers_asked_for_are_all_that_is_seen(asked: tuple[str, ...]) -> None:
    expected = sorted(set(asked) & {"regulatory", "clinical", "anecdotal"})
    found = answer_to(TIERS, question(source_class=asked))
    assert sorted(values(found)) == expected
    assert found.candidates_count == len(expected)


def test_a_filter_that_leaves_nothing_has_no_winner() -> None:
    found = answer_to(TIERS, question(source_class=("expert",)))
    assert (found.status, found.winner, found.groups_count) == ("none", None, 0)


def test_filters_work_together() -> None:
    database = folded(
        (assertion("a", tier="clinical", lifecycle="rejected"), "ana"),
        (assertion("b", tier="clinical"), "ben"),
        (assertion("c", tier="expert", lifecycle="rejected"), "cho"),
    )
    found = answer_to(database, question(source_class=("clinical",), lifecycle=("rejected",)))
    assert values(found) == ["a"]


def test_a_move_out_of_the_tier_asked_for_takes_its_earlier_stage_along() -> None:
    proposed = assertion("yes", tier="community", lifecycle="proposed")
    approved = assertion("yes", tier="expert", at=NOW_MS + 1, follows=proposed)
    database = folded((proposed, "ana"), (approved, "ben"))
    assert values(answer_to(database, question(source_class=("community",)))) == []
    assert answer_to(database, question(source_class=("expert",))).groups[0].support == 2


def test_a_parent_under_another_predicate_moves_nothing() -> None:
    elsewhere = assertion("yes", predicate="causes_nausea", lifecycle="proposed")
    here = assertion("yes", follows=elsewhere)
    database = folded((elsewhere, "ana"), (here, "ben"))
    asked = Question(subject=SUBJECT, predicate="causes_nausea")
    assert answer_to(database, asked).candidates_count == 1
    assert answer_to(database, question()).groups[0].support == 1


def test_a_pair_without_claims_has_no_answer() -> None:
    for full in (False, True):
        found = answer_to(STAGES, Question(subject=SUBJECT, predicate="nothing", full=full))
        assert (found.status, found.lens.name, found.winner) == ("none", "consensus", None)


@pytest.mark.parametrize("lens", sorted(set(LENSES) - {"constraints"}))
def test_the_lens_asked_for_decides(lens: str) -> None:
    assert answer_to(TIERS, question(lens=lens)).lens.name == lens


def test_an_unknown_lens_is_refused() -> None:
    with pytest.raises(UnknownLens):
        answer_to(TIERS, question(lens="oracle"))


def test_the_winner_comes_with_its_row() -> None:
    for full in (False, True):
        found = answer_to(TIERS, question(full=full))
        assert found.winner is not None
        assert found.value == "regulatory"


# Limits


def crowd() -> Database:
    """Three values: one claim of a, two of b, three of c."""
    said = []
    for count, value in enumerate("abc", 1):
        said += [(assertion(value, told_by=f"{value}{n}"), f"{value}{n}") for n in range(count)]
    return folded(*said)


@pytest.mark.parametrize(
    ("limit", "hashes"), [(1, [1]), (2, [2, 0]), (3, [3, 0, 0]), (4, [3, 1, 0]), (6, [3, 2, 1]), (1000, [3, 2, 1])]
)
def test_a_limit_cuts_groups_and_hashes_but_no_count(limit: int, hashes: list[int]) -> None:
    found = answer_to(crowd(), question(limit=limit))
    groups = found.groups
    assert [len(row.hashes) for row in groups] == hashes
    assert [row.hashes_count for row in groups] == [3, 2, 1][:limit]
    assert [row.support for row in groups] == [3, 2, 1][:limit]
    assert (found.groups_count, found.candidates_count) == (3, 6)
    assert (found.confidence, found.margin) == (0.5, pytest.approx(0.166667))


@pytest.mark.parametrize("full", [False, True])
def test_the_default_limit_bounds_view_and_full_read_alike(full: bool) -> None:
    count = LIMIT_DEFAULT + 20
    database = folded(*((assertion(f"{n}"), f"{n}") for n in range(count)))
    found = answer_to(database, question(full=full))
    assert len(found.groups) == LIMIT_DEFAULT
    assert sum(len(row.hashes) for row in found.groups) == LIMIT_DEFAULT
    assert (found.groups_count, found.candidates_count) == (count, count)


def test_a_full_read_takes_no_more_claims_than_its_bound() -> None:
    moment = Moment(None, 5, NOW_MS, NOW_MS)
    with crowd().engine.snapshot() as snapshot:
        assert len(gather(snapshot, SUBJECT, (PREDICATE,), Sight(moment=moment, count_max=6)).candidates) == 6
        with pytest.raises(TooManyCandidates, match="more claims than the 5"):
            gather(snapshot, SUBJECT, (PREDICATE,), Sight(moment=moment, count_max=5))
    assert CANDIDATES_MAX > LIMIT_DEFAULT


# The view


def test_only_the_plain_question_is_left_to_the_view() -> None:
    assert question().fits_view
    other: list[dict[str, object]] = [
        {"explain": True},
        {"decay": "30d"},
        {"epoch": "e" * 64},
        {"pack": "e" * 64},
        {"include": ("revoked",)},
        {"as_of": AsOf(seq=1)},
        {"valid_at": 0},
        {"params": (("threshold", "0.5"),)},
        {"source_class": ("expert",)},
        {"lifecycle": ("approved",)},
        {"full": True},
        {"limit": LIMIT_DEFAULT - 1},
    ]
    assert [parts for parts in other if question(**parts).fits_view] == []


def test_a_view_carries_the_place_of_the_last_event_of_its_pair() -> None:
    claimed = assertion("yes")
    database = folded((claimed, "ana"), (assertion("no", predicate="other"), "ana"))
    with database.engine.snapshot() as snapshot:
        assert ViewStore(snapshot).get(SUBJECT, PREDICATE).seq == 0
    database.add(vote(claimed, "ben", "1"))
    with database.engine.snapshot() as snapshot:
        view = ViewStore(snapshot).get(SUBJECT, PREDICATE)
        assert (view.seq, view.resolution.groups[0].votes_micros) == (2, 1_000_000)


def test_a_signature_that_joins_later_shows_in_the_view() -> None:
    claimed = assertion("yes")
    database = folded((claimed, "ana"), (assertion("no"), "ben"))
    database.add((claimed, "cho"))
    found = answer_to(database, question())
    assert (values(found), found.groups[0].support) == (["yes", "no"], 2)
    assert len(found.winner.assertion.signatures) == 2


@pytest.mark.parametrize("hundred", range(3))
def test_the_view_is_the_full_answer_after_any_history(hundred: int) -> None:
    for seed in range(100 * hundred, 100 * hundred + 100):
        database = Database()
        for batch in in_batches(history(seed), seed):
            database.add(*batch)
            assert_views_are_exact(database, seed)


def assert_views_are_exact(database: Database, seed: int) -> None:
    with database.engine.snapshot() as snapshot:
        for subject, predicate in PAIRS:
            plain = Question(subject=subject, predicate=predicate)
            full = msgspec.structs.replace(plain, full=True)
            from_view, from_claims = answer_from(snapshot, plain), answer_from(snapshot, full)
            assert from_view == from_claims, f"seed {seed}, {database.end} events, {subject} {predicate}"
            assert msgspec.json.encode(from_view) == msgspec.json.encode(from_claims), f"seed {seed}"
            has_view = ViewStore(snapshot).get(subject, predicate) is not None
            assert has_view or from_claims.candidates_count == 0, f"seed {seed}"


def test_the_answer_does_not_depend_on_where_batches_end() -> None:
    for seed in range(30):
        at_once, one_by_one = Database(), Database()
        at_once.add(*history(seed))
        for said in history(seed):
            one_by_one.add(said)
        with at_once.engine.snapshot() as one, one_by_one.engine.snapshot() as other:
            assert state_digest(one) == state_digest(other), f"seed {seed}"
