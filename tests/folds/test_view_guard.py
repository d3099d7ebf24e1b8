"""One act of governance at a time: which views it takes out of use, and which come back when their pair is touched."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from episteme.folds.view import FULL_CLAIMS_MAX, REVOKED_MAX, SMALL_COUNT_MAX
from model import (
    Alias,
    Assertion,
    Epoch,
    KeyRevocation,
    NumberValue,
    PredicateRule,
    ReferenceValue,
    Source,
    Supersession,
    event_hash,
)
from stores import GROUND_NAMES_MAX, MemoryEngine, TallyStore, ViewRow, ViewStore, state_digest
from tests.folds.pair_histories import Folding
from tests.folds.test_view_governed import check_answers, fast
from tests.support.events import NOW_MS, make_assertion, make_vote, signed
from tests.support.meaning import KEYS, OPERATORS, SOURCES, Step, as_logged, rules_of

PAIR = ("earth", "age")
OPERATOR, STRANGER, ANN, BOB = OPERATORS[0], *KEYS[4:7]
SMALL = (SMALL_COUNT_MAX, FULL_CLAIMS_MAX, REVOKED_MAX)
LARGE = (0, FULL_CLAIMS_MAX, REVOKED_MAX)  # rows of its own, and few enough claims to be read as a whole
HUGE = (0, 0, REVOKED_MAX)  # too many for that
each_size = pytest.mark.parametrize("bounds", [SMALL, LARGE, HUGE])
HEAD: dict[str, Any] = {"v": 2, "agent": OPERATOR.agent_hex, "timestamp": NOW_MS}
OLD_EPOCH = Epoch(**HEAD, name="old", start=NOW_MS)


class Told:
    """A database in memory that is told one step after another."""

    def __init__(self, bounds: tuple[int, ...]) -> None:
        self.folding = Folding(MemoryEngine(), *bounds)
        self.tell(rules_of(*OPERATORS))

    def tell(self, *steps: Step) -> None:
        """Fold each step as a batch of its own; whatever is answered from a view then is exact."""
        for step in steps:
            self.folding.add_logged(as_logged([step], self.folding.end))
            with self.folding.store.snapshot() as reader:
                check_answers(reader, self.folding.end)

    def is_fast(self) -> bool:
        """Whether the pair is answered from its view."""
        with self.folding.store.snapshot() as reader:
            return fast(reader, *PAIR) is not None

    @property
    def values(self) -> list[object]:
        """The values of the fast answer, the winner's first."""
        with self.folding.store.snapshot() as reader:
            found = fast(reader, *PAIR)
        assert found is not None
        return [group.value.value for group in found.finding.resolution.groups]

    def view(self) -> ViewRow | None:
        """The pair's view, used or not."""
        with self.folding.store.snapshot() as reader:
            return ViewStore(reader).get(*PAIR)


def claim(value: str, **fields: Any) -> Assertion:
    body = {"subject": PAIR[0], "predicate": PAIR[1], "object": NumberValue(value)}
    return make_assertion(**body | fields)


YES, NO = claim("1", epoch=event_hash(OLD_EPOCH).hex(), source_hash=SOURCES[0]), claim("1.04")
SAME = claim("7", object=ReferenceValue("terra"))


def told(bounds: tuple[int, ...]) -> Told:
    """One pair with a claim of an epoch that cites a source, another that is close to it, and one that names terra."""
    one = Told(bounds)
    one.tell(signed(OLD_EPOCH, OPERATOR), signed(YES, ANN), signed(NO, BOB), signed(SAME, STRANGER))
    assert one.is_fast()
    return one


def touch(number: int = 0) -> Step:
    """A vote on the pair."""
    key = KEYS[2]
    vote = make_vote(agent=key.agent_hex, assertion=event_hash(NO).hex(), subject=PAIR[0], timestamp=NOW_MS + number)
    return signed(vote, key)


def new_epoch(mode: Any = "temporal", older: Epoch = OLD_EPOCH) -> Step:
    return signed(
        Epoch(**HEAD, name="new", start=NOW_MS, supersedes=event_hash(older).hex(), supersession=mode), OPERATOR
    )


def rule(**fields: Any) -> Step:
    return signed(PredicateRule(**HEAD | {"predicate": PAIR[1], "cardinality": "one"} | fields), OPERATOR)


def alias(subject: str, same_as: str) -> Step:
    return signed(Alias(**HEAD, subject=subject, same_as=same_as), OPERATOR)


def source(status: Any, of: str = SOURCES[0], **head: Any) -> Step:
    return signed(Source(**HEAD | head, source_hash=of, label="a", status=status), OPERATOR)


def revocation(key: Any) -> Step:
    return signed(KeyRevocation(**HEAD, revoked=key.agent_hex, reason="lost"), OPERATOR)


def supersession(of: Assertion) -> Step:
    body = {"assertion": event_hash(of).hex(), "subject": of.subject, "mode": "invalidate", "reason": "wrong"}
    return signed(Supersession(**HEAD, **body), OPERATOR)  # type: ignore[arg-type]


class Act(NamedTuple):
    """What is said, and whether the pair has a view again once it is touched: one of few claims, one of too many."""

    step: Callable[[], Step]
    comes_back: bool
    comes_back_huge: bool


ACTS = {
    "epoch": Act(new_epoch, comes_back=True, comes_back_huge=False),
    "revoked signer": Act(lambda: revocation(ANN), comes_back=True, comes_back_huge=False),
    "revoked stranger": Act(lambda: revocation(KEYS[3]), comes_back=True, comes_back_huge=True),
    "rule": Act(lambda: rule(tolerance="0.05"), comes_back=True, comes_back_huge=False),
    "rule of many": Act(lambda: rule(cardinality="many"), comes_back=True, comes_back_huge=False),
    "rule that changes nothing": Act(rule, comes_back=True, comes_back_huge=True),
    "lens": Act(lambda: rule(default_lens="recency"), comes_back=True, comes_back_huge=False),
    "unknown lens": Act(lambda: rule(default_lens="unheard of"), comes_back=True, comes_back_huge=True),
    "lens that goes by trust": Act(lambda: rule(default_lens="trust"), comes_back=False, comes_back_huge=False),
    "lens that shows more": Act(lambda: rule(default_lens="skeptic"), comes_back=False, comes_back_huge=False),
    "alias": Act(lambda: alias("earth", "gaia"), comes_back=False, comes_back_huge=False),
    "alias of a value": Act(lambda: alias("terra", "gaia"), comes_back=True, comes_back_huge=False),
    "source": Act(lambda: source("retracted"), comes_back=False, comes_back_huge=False),
}


@each_size
@pytest.mark.parametrize("name", ACTS)
def test_view_is_out_of_use_from_the_act_on_until_its_pair_is_touched(name: str, bounds: tuple[int, ...]) -> None:
    act, one = ACTS[name], told(bounds)
    one.tell(act.step())
    assert not one.is_fast()
    one.tell(touch())
    assert one.is_fast() is (act.comes_back_huge if bounds == HUGE else act.comes_back)


@each_size
@pytest.mark.parametrize("name", ACTS)
def test_act_that_comes_in_the_batch_that_touched_the_pair_before_it_leaves_the_same_rows(
    name: str, bounds: tuple[int, ...]
) -> None:
    steps: list[Step] = [
        rules_of(*OPERATORS),
        signed(OLD_EPOCH, OPERATOR),
        signed(YES, ANN),
        signed(NO, BOB),
        ACTS[name].step(),
    ]
    at_once, in_turn = Folding(MemoryEngine(), *bounds), Folding(MemoryEngine(), *bounds)
    at_once.add_logged(as_logged(steps))
    for step in steps:
        in_turn.add_logged(as_logged([step], in_turn.end))
    with at_once.store.snapshot() as one, in_turn.store.snapshot() as other:
        assert state_digest(one) == state_digest(other)


@each_size
@pytest.mark.parametrize(
    "step",
    [
        new_epoch("additive"),
        new_epoch(older=Epoch(**HEAD, name="other", start=NOW_MS)),
        rule(predicate="shape", tolerance="0.05"),
        source("suspect", SOURCES[1]),
        source("active"),
    ],
)
def test_act_that_does_not_concern_the_pair_leaves_its_view_in_use(step: Step, bounds: tuple[int, ...]) -> None:
    one = told(bounds)
    one.tell(step)
    assert one.is_fast()


def test_alias_of_other_subjects_leaves_a_view_without_references_in_use() -> None:
    one = Told(SMALL)
    one.tell(signed(YES, ANN), alias("moon", "gaia"))
    assert one.is_fast()


@each_size
def test_supersession_rewrites_the_view(bounds: tuple[int, ...]) -> None:
    one = told(bounds)
    one.tell(supersession(YES))
    assert one.values == ["1.04", "terra"] or one.values == ["terra", "1.04"]
    one.tell(supersession(NO), supersession(SAME))
    assert one.values == []


@each_size
def test_supersession_counts_for_the_view_from_where_its_target_comes(bounds: tuple[int, ...]) -> None:
    one = Told(bounds)
    one.tell(supersession(YES), signed(NO, BOB), signed(YES, ANN), signed(YES, BOB))
    assert one.values == ["1.04"]


@each_size
def test_supersession_by_one_who_signs_its_target_later_counts_from_there(bounds: tuple[int, ...]) -> None:
    one = Told(bounds)
    body: dict[str, Any] = {"agent": BOB.agent_hex, "assertion": event_hash(YES).hex(), "subject": PAIR[0]}
    by_bob = Supersession(**HEAD | body | {"mode": "invalidate", "reason": "wrong"})
    one.tell(signed(YES, ANN), signed(NO, ANN), signed(by_bob, BOB))
    assert sorted(map(str, one.values)) == ["1", "1.04"]
    one.tell(signed(YES, BOB))
    assert one.values == ["1.04"]


def test_source_that_is_active_again_brings_the_view_back() -> None:
    one = told(SMALL)
    one.tell(source("suspect"))
    assert not one.is_fast()
    one.tell(source("active", timestamp=NOW_MS + 1))
    assert one.is_fast()


def test_alias_that_is_taken_back_brings_the_view_back() -> None:
    one = Told(SMALL)
    one.tell(signed(YES, ANN), alias("earth", "gaia"))
    assert not one.is_fast()
    one.tell(alias("earth", "earth"))
    assert one.is_fast()


@each_size
def test_view_made_while_the_subject_had_an_alias_is_not_used_when_it_has_none(bounds: tuple[int, ...]) -> None:
    one = Told(bounds)
    one.tell(rule(tolerance="0.05"), signed(YES, ANN), signed(claim("9", subject="gaia"), BOB))
    one.tell(alias("earth", "gaia"), touch(), signed(NO, BOB), alias("earth", "earth"))
    assert not one.is_fast()
    one.tell(touch(1))
    assert one.is_fast() is (bounds != HUGE)


@each_size
def test_names_that_are_too_many_to_list_are_not_listed(bounds: tuple[int, ...]) -> None:
    one = Told(bounds)
    for number in range(GROUND_NAMES_MAX + 1):
        view = one.view()
        assert view is None or view.ground.epochs is not None
        name = f"{number:064x}"
        one.tell(signed(claim("1", narrative=str(number), epoch=name, source_hash=name), ANN))
    view = one.view()
    assert view is not None
    assert (view.ground.epochs, view.ground.sources) == (None, None)
    assert one.is_fast()
    one.tell(source("retracted"))
    assert not one.is_fast()
    one.tell(source("active", timestamp=NOW_MS + 1))
    assert one.is_fast()
    one.tell(new_epoch())
    assert not one.is_fast()
    one.tell(signed(claim("2"), ANN))
    assert one.is_fast() is (bounds != HUGE)


@each_size
def test_more_revoked_keys_than_are_looked_for_count_as_signers(bounds: tuple[int, ...]) -> None:
    one = Told((*bounds[:2], 1))
    one.tell(revocation(KEYS[2]), signed(YES, ANN))
    assert one.is_fast()
    one.tell(revocation(KEYS[3]), signed(YES, BOB))
    assert one.is_fast() is (bounds != HUGE)


@each_size
def test_who_signed_only_what_is_hidden_is_known_to_the_pair(bounds: tuple[int, ...]) -> None:
    """Without its one signer the stage that hid a claim is gone, and the claim is back."""
    one = Told(bounds)
    gone = claim("1", lifecycle="deprecated", parent_hash=event_hash(YES).hex())
    one.tell(signed(YES, ANN), signed(gone, BOB), signed(NO, BOB), supersession(NO))
    one.tell(revocation(BOB), signed(YES, KEYS[2]))
    assert one.is_fast() is (bounds != HUGE)
    if one.is_fast():
        assert one.values == ["1"]


@each_size
def test_act_that_is_taken_late_is_not_missed(bounds: tuple[int, ...]) -> None:
    """As a dead letter that is tried again, behind claims that were folded before it."""
    for step in (revocation(ANN), new_epoch(), supersession(YES), rule(tolerance="0.05"), alias("terra", "gaia")):
        one = told(bounds)
        end = one.folding.end
        (late,) = as_logged([step], end)
        one.folding.add_logged(as_logged([signed(claim("3"), BOB)], end + 1))
        one.folding.add_logged([late])
        with one.folding.store.snapshot() as reader:
            check_answers(reader, "late")
        one.tell(touch(), touch(1))


def test_totals_count_all_claims_and_how_far_revocations_were_looked_at() -> None:
    one = told(LARGE)
    one.tell(supersession(YES), revocation(ANN), touch())
    kept = TallyStore(one.folding.store.snapshot()).pair(*PAIR)
    assert kept is not None
    assert kept.totals is not None
    assert (kept.totals.claims_count, kept.totals.candidates_count) == (3, 2)
    assert (kept.totals.has_revoked, kept.totals.checked_seq) == (True, one.folding.end - 1)
