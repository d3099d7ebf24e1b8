"""An explanation leaves no claim of the pair out, and what it says of each is so."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from episteme.api import Answer, Explanation
from episteme.lenses import LENSES
from stores import (
    AliasStore,
    AssertionRow,
    AssertionStore,
    EpochStore,
    IndexStore,
    Reader,
    RevocationStore,
    SupersessionStore,
    TrustPackStore,
)
from tests.reading.asking import Folded
from tests.reading.places import questions
from tests.reading.story import PREDICATE, SUBJECT, Story, key_of, left_out
from tests.support.events import NOW_MS
from tests.support.meaning import history
from tests.support.stores import ALL

ROUNDING = 5e-7  # of a weight of six digits
FAVOURS = (None, "alias", "epoch", "key_revocation", "supersession", "predicate")
SEEDS = [(seed, FAVOURS[seed % len(FAVOURS)]) for seed in range(24)]


def explained(answer: Answer) -> Explanation:
    assert answer.explain is not None
    return answer.explain


def asked(steps: Sequence[Any], seed: int) -> list[tuple[str, str | None, dict[str, Any]]]:
    """Questions of every sort that want an explanation; packs that may not be there are left out."""
    found = questions(steps, seed, 60)
    return [(s, p, o | {"explain": True, "limit": 1000}) for s, p, o in found if "pack" not in o]


def rows_of(reader: Reader, answer: Answer, at: int | None) -> dict[str, AssertionRow]:
    """All claims of the pairs that a question reads, by hash."""
    predicates = ["must_use", "forbidden"] if answer.predicate is None else [answer.predicate]
    found = {}
    for subject in AliasStore(reader).same(answer.subject, at):
        for predicate in predicates:
            for posting in IndexStore(reader).of_pair(subject, predicate, count_max=ALL):
                if at is None or posting.seq <= at:
                    row = AssertionStore(reader).get(subject, posting.digest)
                    assert row is not None
                    found[posting.digest.hex()] = row
    return found


@pytest.mark.parametrize(("seed", "favour"), SEEDS)
def test_every_claim_takes_part_or_is_left_out_and_what_they_weigh_is_all_there_is(
    seed: int, favour: str | None
) -> None:
    steps = history(seed, 80, favour)
    whole = Folded(steps)
    for at in (None, len(steps) // 2):
        for subject, predicate, options in asked(steps, seed):
            as_of = {} if at is None else {"as_of": f"seq:{at}"}
            answer = whole.ask(subject, predicate, **options, **as_of)
            told = explained(answer)
            hashes = [one.hash for one in told.candidates] + [one.hash for one in told.left_out]
            with whole.engine.snapshot() as reader:
                assert sorted(hashes) == sorted(rows_of(reader, answer, at)), (subject, options)
            assert (told.candidates_count, told.left_out_count) == (len(told.candidates), len(told.left_out))
            assert told.candidates_count == answer.candidates_count
            weights = [one.weight for one in told.candidates]
            assert weights == sorted(weights, reverse=True)
            assert not any(weights) or abs(math.fsum(weights) - 1) <= 2 * ROUNDING * len(weights), (subject, options)


@pytest.mark.parametrize(("seed", "favour"), SEEDS)
def test_a_claim_is_left_out_for_the_first_reason_that_holds(seed: int, favour: str | None) -> None:
    steps = history(seed, 80, favour)
    whole = Folded(steps)
    for at in (None, len(steps) // 2):
        for subject, predicate, options in asked(steps, seed):
            as_of = {} if at is None else {"as_of": f"seq:{at}"}
            answer = whole.ask(subject, predicate, **options, **as_of)
            told = {one.hash: one.reason for one in explained(answer).left_out}
            told |= {one.hash: "" for one in explained(answer).candidates}
            with whole.engine.snapshot() as reader:
                rows = rows_of(reader, answer, at)
                for hash_hex, reason in told.items():
                    if reason != "moved":
                        expected = reason_for(reader, hash_hex, rows[hash_hex], at, options)
                        assert reason == expected, (subject, options)


def reason_for(reader: Reader, hash_hex: str, row: AssertionRow, at: int | None, options: dict[str, Any]) -> str:
    """Why a claim that is the newest stage of its chain does not take part, by the table of the page."""
    claim, include, limit = row.event, options.get("include", ()), math.inf if at is None else at
    agents = [s.agent for s in row.signatures if s.seq <= limit]
    revocations = RevocationStore(reader).get_many(agents)
    supersession = SupersessionStore(reader).get(hash_hex)
    epoch = claim.epoch if isinstance(claim.epoch, str) else None
    starts = claim.valid_from if isinstance(claim.valid_from, int) else claim.timestamp
    ends = claim.valid_to if isinstance(claim.valid_to, int) else math.inf
    valid_at = {"1969-07-20T20:17:40Z": -14_182_940_000}.get(options.get("valid_at", ""), options.get("valid_at"))
    stages = options.get("lifecycle") or ("proposed", "under_review", "approved")
    reasons = {
        "revoked": "revoked" not in include and all(one is not None and one.seq <= limit for one in revocations),
        "superseded": "superseded" not in include and supersession is not None and supersession.hides_at(at),
        "superseded-epoch": "superseded_epochs" not in include
        and "epoch" not in options
        and epoch is not None
        and EpochStore(reader).is_superseded(epoch, at),
        "lifecycle": claim.lifecycle not in stages,
        "other-epoch": "epoch" in options and epoch != options["epoch"],
        "source-class": "source_class" in options and claim.source_class not in options["source_class"],
        "not-valid-then": valid_at is not None and not starts <= int(valid_at) < ends,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def test_who_is_in_no_pack_is_left_out_and_so_is_a_member_of_no_weight() -> None:
    story = Story()
    heard = story.claim("a", "ana", "ben")
    unheard, weightless = story.claim("b", "cho"), story.claim("c", "dan")
    pack = story.pack("me", {"ana": "1", "dan": "0"})
    answer = story.ask(pack=pack, explain=True)
    assert left_out(answer) == {unheard: "not-in-pack", weightless: "not-in-pack"}
    (one,) = explained(answer).candidates
    assert (one.hash, [signer.agent for signer in one.signers]) == (heard, [key_of("ana").agent_hex])
    with story.folded().engine.snapshot() as reader:
        assert TrustPackStore(reader).get(pack) is not None


def test_a_stage_that_was_moved_on_is_left_out_and_its_signers_stand_for_the_newest() -> None:
    story = Story()
    first = story.claim("a", "ana", lifecycle="proposed")
    newest = story.claim("a", "ben", lifecycle="approved", parent_hash=first)
    answer = story.ask(explain=True)
    assert left_out(answer) == {first: "moved"}
    (one,) = explained(answer).candidates
    assert (one.hash, one.signers_count) == (newest, 2)


@pytest.mark.parametrize("lens", sorted(set(LENSES) - {"constraints"}))
def test_the_sentence_says_what_has_decided(lens: str) -> None:
    story = Story()
    assert explained(story.ask(lens=lens, explain=True)).why == "There are no claims."
    claim = story.claim("a", "ana")
    before = explained(story.ask(lens=lens, explain=True)).why
    assert ("names no winner" in before) if lens == "skeptic" else before.endswith("the only value, with a share of 1.")
    story.claim("b", "ben", at=NOW_MS - 1)
    two = explained(story.ask(lens=lens, explain=True)).why
    assert lens == "skeptic" or "the first of 2 values, with a share of 0.5, ahead of the next by" in two
    story.supersede(claim, "ana")
    story.revoke("ben")
    assert explained(story.ask(lens=lens, explain=True)).why == "No claim takes part; 2 left out."


def test_where_no_value_of_many_passes_the_sentence_says_so() -> None:
    story = Story()
    story.predicate(cardinality="many", separator=";")
    for number in range(3):
        story.claim(f"only {number}", f"agent {number}")
    why = explained(story.ask(explain=True)).why
    assert why == "The predicate has many values, and no value has the share that it takes to pass."
    assert "names no winner" in explained(story.ask(lens="skeptic", explain=True)).why


def test_a_limit_cuts_both_lists_and_no_count() -> None:
    story = Story()
    for number in range(5):
        story.claim("a", f"agent {number}")
        story.claim("b", f"agent {number}", lifecycle="rejected")
    told = explained(story.ask(explain=True, limit=2))
    assert (len(told.candidates), told.candidates_count, len(told.left_out), told.left_out_count) == (2, 5, 2, 5)


def test_trust_is_shown_as_it_was_at_the_position() -> None:
    story = Story()
    story.claim("a", "ana", predicate=PREDICATE, subject=SUBJECT)
    before = story.end
    story.claim(True, "ana", subject="another")
    story.gold(True, subject="another")
    for options, trust in (({}, 0.55), ({"as_of": f"seq:{before}"}, 0.5)):
        (one,) = explained(story.ask(explain=True, **options)).candidates
        assert [signer.trust for signer in one.signers] == [trust]
