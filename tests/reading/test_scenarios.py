"""What the database promises, in plain words."""

from decimal import Decimal

import pytest

from stores import AssertionStore
from tests.reading.story import SUBJECT, Story, key_of, left_out
from tests.support.events import NOW_MS

DAY_MS = 86_400_000


def test_two_opposite_clinical_claims_are_contested_with_conflict_1() -> None:
    story = Story()
    story.claim(True, "ana")
    story.claim(False, "ben")
    for lens in ("consensus", "trust", "authority", "confidence", "skeptic"):
        answer = story.ask(lens=lens)
        assert (answer.status, answer.conflict) == ("contested", 1.0), lens


def test_a_hundred_anecdotal_claims_do_not_move_authority() -> None:
    story = Story()
    story.claim(True, "the clinic")
    for number in range(100):
        story.claim(False, f"passer-by {number}", tier="anecdotal")
    assert story.ask(lens="consensus").value is False
    answer = story.ask(lens="authority")
    assert (answer.value, answer.confidence) == (True, 1.0)


def test_fifty_equal_claims_are_unanimous() -> None:
    story = Story()
    for number in range(50):
        story.claim(True, f"agent {number}")
    answer = story.ask()
    assert (answer.status, answer.confidence, answer.conflict) == ("unanimous", 1.0, 0.0)
    assert answer.groups[0].support == 50


@pytest.mark.parametrize("mode", ["temporal", "invalidation"])
def test_a_superseding_epoch_hides_the_old_claims_at_once_and_they_can_still_be_read(mode: str) -> None:
    story = Story()
    old = story.epoch("2020")
    was = story.claim("flat", "ana", epoch=old)
    assert story.ask().value == "flat"
    new = story.epoch("2026", supersedes=old, supersession=mode)
    now = story.ask(explain=True)
    assert (now.status, now.value, left_out(now)) == ("none", None, {was: "superseded-epoch"})
    assert now.explain is not None
    assert now.explain.left_out[0].by == new
    story.claim("round", "ben", epoch=new)
    assert story.ask().value == "round"
    assert story.ask(epoch=old).value == "flat"
    assert story.ask(include=["superseded_epochs"]).groups_count == 2
    assert story.ask(as_of=f"seq:{story.end - 2}").value == "flat"


def test_an_additive_epoch_hides_nothing() -> None:
    story = Story()
    old = story.epoch("2020")
    story.claim("flat", "ana", epoch=old)
    story.epoch("2026", supersedes=old, supersession="additive")
    assert story.ask().value == "flat"


def test_an_epoch_by_a_stranger_hides_nothing() -> None:
    story = Story()
    old = story.epoch("2020")
    story.claim("flat", "ana", epoch=old)
    story.epoch("2026", by="a stranger", supersedes=old, supersession="temporal")
    assert story.ask().value == "flat"


def test_a_retracted_sources_answers_warn() -> None:
    story = Story()
    source = "5" * 64
    story.source(source, "active", by="ana")
    story.claim(True, "ana", source_hash=source)
    story.claim(True, "ben")
    story.claim(False, "cho", source_hash="6" * 64)
    assert story.ask().warnings == []
    story.source(source, "retracted", by="ana")
    assert story.ask().warnings == [], "who is no operator retracts nothing"
    story.source(source, "retracted")
    (warning,) = story.ask().warnings
    assert warning == f"source {source} is retracted: 1 of the 2 claims that the answer rests on cite it"
    assert story.ask(as_of=f"seq:{story.end - 1}").warnings == []
    story.source(source, "active")
    assert story.ask().warnings == []
    assert len(story.ask(as_of=f"seq:{story.end - 1}").warnings) == 1


def test_an_agent_who_votes_twice_counts_once() -> None:
    story = Story()
    true, false = story.claim(True, "ana"), story.claim(False, "ben")
    story.vote(true, "1", "dan")
    story.vote(false, "0.4", "cho", at=NOW_MS)
    story.vote(false, "0.6", "cho", at=NOW_MS + 1)
    story.vote(false, "1", "cho", at=NOW_MS - 1)
    answer = story.ask(lens="votes")
    assert answer.value is True
    assert [group.votes for group in answer.groups] == [1.0, 0.6]
    story.vote(true, "0", "dan", at=NOW_MS + 2)
    assert story.ask(lens="votes").value is False


def test_a_back_dated_claim_does_not_change_an_as_of_answer() -> None:
    story = Story()
    story.claim("now", "ana", at=NOW_MS)
    then = story.ask(lens="recency", as_of=f"seq:{story.end}")
    at = story.end
    story.claim("long ago", "ben", at=NOW_MS - 1000 * DAY_MS)
    story.claim("tomorrow", "cho", at=NOW_MS + DAY_MS)
    assert story.ask(lens="recency", as_of=f"seq:{at}") == then
    assert story.ask(lens="recency").value == "tomorrow"


def test_a_revoked_keys_claims_leave_the_default_answer_but_not_the_record() -> None:
    story = Story()
    lost = story.claim("a", "ana")
    shared = story.claim("b", "ana", "ben")
    before = story.end
    story.revoke("ana")
    answer = story.ask(explain=True)
    assert (answer.value, answer.groups[0].support, left_out(answer)) == ("b", 1, {lost: "revoked"})
    assert {group.hashes[0] for group in story.ask(include=["revoked"]).groups} == {lost, shared}
    assert story.ask(as_of=f"seq:{before}").groups_count == 2
    with story.folded().engine.snapshot() as reader:
        assert AssertionStore(reader).find(bytes.fromhex(lost)) is not None


def test_a_superseded_claim_is_hidden_in_favour_of_its_replacement() -> None:
    story = Story()
    old = story.claim("a", "ana")
    new = story.claim("b", "ana", at=NOW_MS - 1)
    said = story.supersede(old, "ana", replacement=new)
    answer = story.ask(explain=True)
    assert (answer.value, left_out(answer)) == ("b", {old: "superseded"})
    assert answer.explain is not None
    assert answer.explain.left_out[0].by == said
    assert story.ask(include=["superseded"]).groups_count == 2


def test_nobody_supersedes_anothers_claim() -> None:
    story = Story()
    claim = story.claim("a", "ana")
    story.supersede(claim, "mallory")
    assert story.ask().value == "a"
    story.co_sign(claim, "mallory")
    assert story.ask().value is None, "now it is mallory's too"
    assert story.ask(as_of=f"seq:{story.end - 1}").value == "a"


def test_a_claim_waits_for_nothing_that_supersedes_it_before_it_comes() -> None:
    story = Story()
    late = Story()
    hash_hex = late.claim("a", "ana")
    story.supersede(hash_hex, "ana")
    story.claim("a", "ana")
    assert story.ask().status == "none"


def test_gold_standards_earn_and_cost_trust() -> None:
    story = Story()
    story.claim(Decimal(4), "wrong", subject="q1")
    story.claim(Decimal(5), "right", subject="q1")
    story.gold(Decimal(5), subject="q1")
    story.claim(True, "right")
    story.claim(False, "wrong")
    answer = story.ask(lens="trust", explain=True)
    assert answer.value is True
    assert answer.explain is not None
    trusts = {signer.agent: signer.trust for one in answer.explain.candidates for signer in one.signers}
    assert trusts[key_of("right").agent_hex] > 0.5 > trusts[key_of("wrong").agent_hex]


def test_a_trust_pack_lets_only_its_members_speak() -> None:
    story = Story()
    for number in range(5):
        story.claim("crowd", f"agent {number}")
    story.claim("friends", "ana", "ben")
    story.claim("third", "cho")
    pack = story.pack("me", {"ana": "0.5", "cho": "1"})
    answer = story.ask(pack=pack, explain=True)
    assert answer.value == "third"
    assert [(group.support, group.share) for group in answer.groups] == [(1, 0.666667), (1, 0.333333)]
    assert set(left_out(answer).values()) == {"not-in-pack"}
    at = story.end
    story.pack("me", {"ana": "1"}, version=2)
    story.pack("mallory", {"agent 1": "1"}, version=9)
    story.pack("me", {"cho": "1"}, version=1)
    assert story.ask(pack=pack).value == "friends"
    assert story.ask(pack=pack, as_of=f"seq:{at}").value == "third"


def test_aliases_make_two_subjects_one() -> None:
    story = Story()
    story.claim("a", "ana", subject="USA")
    story.claim("b", "ben", subject="United States")
    story.claim("b", "cho", subject="United States")
    story.alias("USA", "United States")
    for name in ("USA", "United States"):
        answer = story.ask(name)
        assert (answer.value, answer.candidates_count) == ("b", 3)
        assert answer.subjects == ["USA", "United States"]
    story.alias("USA", "USA")
    assert story.ask("USA").value == "a"


def test_a_tolerance_makes_near_numbers_one_value() -> None:
    story = Story()
    story.claim(Decimal("96.70"), "ana")
    story.claim(Decimal("96.74"), "ben")
    story.claim(Decimal(97), "cho")
    assert story.ask().groups_count == 3
    story.predicate(tolerance="0.05")
    assert story.ask().groups_count == 2


def test_a_many_valued_predicate_answers_with_a_set() -> None:
    story = Story()
    story.predicate(cardinality="many", separator=";")
    story.claim("Ann; Bob", "ana")
    story.claim("Bob;Ann ", "ben")
    story.claim("Ann; Cy", "cho")
    answer = story.ask()
    assert answer.value == ["Ann", "Bob"]
    assert story.ask(params={"threshold": "0.3"}).value == ["Ann", "Bob", "Cy"]


@pytest.mark.parametrize("name", ["unheard of", "constraints", "Consensus", ""])
def test_a_rule_that_names_no_lens_of_pairs_leaves_the_default(name: str) -> None:
    story = Story()
    story.claim("most", "ana", "ben")
    story.claim("latest", "cho", at=NOW_MS + 1)
    story.predicate(**({"default_lens": name} if name else {}))
    for answer in (story.ask(), story.ask(full=True), story.ask(as_of=f"seq:{story.end}")):
        assert (answer.lens.name, answer.value) == ("consensus", "most")


def test_a_rule_names_the_lens_from_its_position_on() -> None:
    story = Story()
    story.claim("most", "ana", "ben")
    story.claim("latest", "cho", at=NOW_MS + 1)
    before = story.end
    story.predicate(default_lens="recency")
    for answer in (story.ask(), story.ask(full=True)):
        assert (answer.lens.name, answer.value) == ("recency", "latest")
    assert story.ask(as_of=f"seq:{before}").lens.name == "consensus"
    assert story.ask(lens="consensus").value == "most"


def test_a_claim_speaks_about_its_span_of_time() -> None:
    story = Story()
    story.claim("young", "ana", at=NOW_MS, valid_from=0, valid_to=1000)
    story.claim("old", "ben", at=NOW_MS, valid_from=1000)
    story.claim("no span", "cho", at=500)
    assert {story_value(story, "999"), story_value(story, "1000"), story_value(story, "400")} == {
        ("no span", "young"),
        ("no span", "old"),
        ("young",),
    }


def story_value(story: Story, valid_at: str) -> tuple[str, ...]:
    """The values of the claims that hold at a moment."""
    return tuple(sorted(str(group.value.value) for group in story.ask(valid_at=valid_at).groups))


def test_decay_lets_old_confidence_fade_and_changes_nothing_stored() -> None:
    story = Story()
    story.claim("old", "ana", confidence="1", at=NOW_MS - 60 * DAY_MS)
    story.claim("new", "ben", confidence="0.6", at=NOW_MS)
    assert story.ask(lens="confidence").value == "old"
    answer = story.folded().ask(SUBJECT, "causes_muscle_loss", lens="confidence", decay="30d", now_ms=NOW_MS)
    assert (answer.value, answer.confidence) == ("new", 0.6)
    assert [group.share for group in answer.groups] == [0.705882, 0.294118]
    assert story.ask(lens="confidence").value == "old"
