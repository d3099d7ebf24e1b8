"""Trust: what gold standards make of those who claim, and what time makes of that."""

import random
from typing import Any

import pytest
from hypothesis import given, settings

from episteme.decay import drifted
from episteme.standing import trust_at, trusts_at
from keycodec import parse
from model import (
    Alias,
    AnyValue,
    BooleanValue,
    DatabaseRules,
    GoldStandard,
    KeyRevocation,
    NumberValue,
    PredicateRule,
    ReferenceValue,
    SignedEvent,
    SigningKey,
    TextValue,
)
from stores import (
    NOT_JUDGED,
    GoldPair,
    GoldStore,
    Judgement,
    JudgementId,
    Reader,
    RulingsStore,
    Snapshot,
    TrustRankStore,
)
from tests.folds.plain_trust import PlainTrust
from tests.support.events import NOW_MS, make_assertion, signed
from tests.support.folding import folded, folded_events, rows_of
from tests.support.meaning import KEYS, STEP_MS, Step, as_logged, histories, history, log_time, rules_of
from tests.support.stores import ALL

OPERATOR, ANN, BOB, CY = KEYS[0], *KEYS[3:6]
RULES = rules_of(OPERATOR)
PAIR = ("earth", "age")
RIGHT, WRONG = NumberValue("4.54"), NumberValue("6000")
HALF_LIFE_MS = 30 * 86_400_000


def claim(value: AnyValue, *keys: SigningKey, **fields: Any) -> SignedEvent:
    body = {"subject": PAIR[0], "predicate": PAIR[1], "object": value, "timestamp": NOW_MS} | fields
    return signed(make_assertion(**body), *(keys or (ANN,)))


def gold(value: AnyValue = RIGHT, *keys: SigningKey, **fields: Any) -> SignedEvent:
    key, *others = keys or (OPERATOR,)
    body = {"subject": PAIR[0], "predicate": PAIR[1], "object": value, "timestamp": NOW_MS} | fields
    return signed(GoldStandard(v=2, agent=key.agent_hex, **body), key, *others)


def rule(**fields: Any) -> SignedEvent:
    event = PredicateRule(v=2, agent=OPERATOR.agent_hex, timestamp=NOW_MS, predicate=PAIR[1], **fields)
    return signed(event, OPERATOR)


def same(subject: str, same_as: str) -> SignedEvent:
    event = Alias(v=2, agent=OPERATOR.agent_hex, timestamp=NOW_MS, subject=subject, same_as=same_as)
    return signed(event, OPERATOR)


def revoke(key: SigningKey) -> SignedEvent:
    event = KeyRevocation(v=2, agent=key.agent_hex, timestamp=NOW_MS, revoked=key.agent_hex, reason="lost")
    return signed(event, key)


def counts(reader: Reader, key: SigningKey = ANN) -> tuple[int, int]:
    """How often an agent was right, and wrong."""
    rank = TrustRankStore(reader).get(key.agent_hex)
    return rank.right_count, rank.wrong_count


def judged(*steps: Step, key: SigningKey = ANN) -> tuple[int, int]:
    return counts(folded([RULES, *steps]), key)


def score(*steps: Step) -> int:
    return TrustRankStore(folded([RULES, *steps])).get(ANN.agent_hex).score_micros


# What is judged.


def test_right_claim_gains_a_twentieth_and_a_wrong_one_loses_a_tenth() -> None:
    assert score(gold(), claim(RIGHT)) == 550_000
    assert score(gold(), claim(WRONG)) == 400_000


def test_gold_standard_judges_the_claims_before_it_and_those_after_it() -> None:
    assert judged(claim(RIGHT), claim(WRONG), gold(), claim(RIGHT, timestamp=1)) == (2, 1)


def test_many_claims_from_before_are_all_judged() -> None:
    claims = [claim(RIGHT if number % 3 else WRONG, timestamp=number) for number in range(600)]
    assert judged(*claims, gold()) == (400, 200)


def test_claim_of_another_pair_is_not_judged() -> None:
    assert judged(gold(), claim(WRONG, predicate="mass"), claim(WRONG, subject="moon")) == (0, 0)


def test_each_signer_of_a_claim_is_judged_once_whenever_it_signs() -> None:
    body = claim(RIGHT).event
    steps = [signed(body, ANN, BOB), gold(), signed(body, ANN), signed(body, BOB, CY), signed(body, CY)]
    reader = folded([RULES, *steps])
    assert [counts(reader, key) for key in (ANN, BOB, CY)] == [(1, 0)] * 3
    assertion, standard = claim(RIGHT).digest.hex(), gold().digest.hex()
    found = dict(GoldStore(reader).judgements(PAIR[0], assertion, count_max=ALL))
    assert found == {
        JudgementId(standard, ANN.agent_hex): Judgement(True, 50_000, 2, log_time(2)),
        JudgementId(standard, BOB.agent_hex): Judgement(True, 50_000, 2, log_time(2)),
        JudgementId(standard, CY.agent_hex): Judgement(True, 50_000, 4, log_time(4)),
    }


@pytest.mark.parametrize("stage", ["deprecated", "rejected"])
def test_claim_that_is_given_up_is_not_judged(stage: str) -> None:
    assert judged(claim(WRONG, lifecycle=stage), gold(), claim(WRONG, lifecycle=stage, timestamp=1)) == (0, 0)


def test_revoked_key_is_not_judged_from_its_revocation_on_and_what_it_has_stays() -> None:
    body = claim(WRONG).event
    assert judged(claim(WRONG), revoke(ANN), gold()) == (0, 0)
    assert judged(gold(), claim(WRONG), revoke(ANN), claim(WRONG, timestamp=1)) == (0, 1)
    assert judged(gold(), revoke(ANN), signed(body, ANN, BOB), key=BOB) == (0, 1), "the other signer is"


# Which gold standard.


def test_only_an_operator_sets_a_gold_standard() -> None:
    assert judged(claim(WRONG), gold(RIGHT, ANN), claim(WRONG, timestamp=1)) == (0, 0)


def test_gold_standard_counts_from_where_an_operator_joins_and_once() -> None:
    body = gold(RIGHT, BOB).event
    steps = [gold(RIGHT, BOB), claim(WRONG), signed(body, BOB, OPERATOR), signed(body, BOB, OPERATOR, CY)]
    reader = folded([RULES, *steps])
    assert counts(reader) == (0, 1)
    row = GoldStore(reader).get(*PAIR)
    assert row is not None
    assert row.seq == 3


def test_gold_standard_that_replaces_another_judges_all_claims_again() -> None:
    assert judged(claim(RIGHT), gold(), gold(WRONG)) == (1, 1)
    assert judged(claim(RIGHT), gold(), gold(WRONG), claim(RIGHT, timestamp=1)) == (1, 2)


def test_gold_standard_that_was_replaced_does_not_come_back_by_a_new_signature() -> None:
    first = gold()
    steps = [first, gold(WRONG), signed(first.event, OPERATOR, BOB), claim(WRONG)]
    assert judged(*steps) == (1, 0)


def test_removed_gold_standard_judges_nothing_more_and_what_it_judged_stays() -> None:
    removal = gold(removed=True)
    reader = folded([RULES, gold(), claim(WRONG), removal, claim(WRONG, timestamp=1)])
    assert counts(reader) == (0, 1)
    store = GoldStore(reader)
    assert store.get(*PAIR) is None
    assert list(store.pairs(count_max=ALL)) == []
    listed = folded([RULES, gold(), removal, gold(WRONG)])
    assert list(GoldStore(listed).pairs(count_max=ALL)) == [GoldPair(*PAIR)]


def test_removal_of_what_is_not_there_does_nothing() -> None:
    assert judged(gold(removed=True), claim(WRONG)) == (0, 0)


# What is right.


@pytest.mark.parametrize(
    ("standard", "said", "is_right"),
    [
        (TextValue("drei"), TextValue(" drei\n"), True),
        (TextValue("drei"), TextValue("Drei"), False),
        (TextValue("4.54"), RIGHT, False),
        (RIGHT, NumberValue("454e-2"), True),
        (RIGHT, NumberValue("4.540000000000000000000001"), False),
        (BooleanValue(True), BooleanValue(True), True),
        (BooleanValue(True), BooleanValue(False), False),
        (BooleanValue(True), TextValue("true"), False),
        (ReferenceValue("moon"), ReferenceValue("moon"), True),
        (ReferenceValue("moon"), TextValue("moon"), False),
    ],
)
def test_value_is_right_if_it_is_equal(standard: AnyValue, said: AnyValue, *, is_right: bool) -> None:
    assert judged(gold(standard), claim(said)) == ((1, 0) if is_right else (0, 1))


@pytest.mark.parametrize(("said", "is_right"), [("4.59", True), ("4.49", True), ("4.5900001", False), ("4.4", False)])
def test_number_is_right_within_the_tolerance_of_the_gold_standard(said: str, *, is_right: bool) -> None:
    expected = (1, 0) if is_right else (0, 1)
    assert judged(gold(tolerance="0.05"), claim(NumberValue(said))) == expected
    assert judged(rule(cardinality="one", tolerance="0.05"), gold(), claim(NumberValue(said))) == expected


def test_tolerance_of_the_gold_standard_goes_before_that_of_the_predicate() -> None:
    wide, narrow = rule(cardinality="one", tolerance="1"), rule(cardinality="one", tolerance="0.001")
    assert judged(wide, gold(tolerance="0.05"), claim(NumberValue("5"))) == (0, 1)
    assert judged(narrow, gold(tolerance="0.05"), claim(NumberValue("4.5"))) == (1, 0)
    assert judged(wide, gold(tolerance="0"), claim(NumberValue("4.6"))) == (0, 1)


def test_rule_of_a_predicate_counts_from_its_position_on() -> None:
    near = NumberValue("4.5")
    steps = [gold(), claim(near), rule(cardinality="one", tolerance="0.05"), claim(near, timestamp=1)]
    assert judged(*steps) == (1, 1)


def test_many_valued_claim_is_right_if_it_says_the_same_set() -> None:
    many = rule(cardinality="many", separator=";")
    standard = gold(TextValue("Ann; Bob"))
    assert judged(many, standard, claim(TextValue("Bob ;Ann; Bob"))) == (1, 0)
    assert judged(many, standard, claim(TextValue("Ann"))) == (0, 1)
    assert judged(many, standard, claim(TextValue("Ann; Bob; Cy"))) == (0, 1)
    assert judged(standard, claim(TextValue("Bob; Ann"))) == (0, 1), "of one value it is another text"


def test_reference_is_right_if_aliases_make_it_the_same_by_then() -> None:
    standard, said = gold(ReferenceValue("moon")), ReferenceValue("luna")
    assert judged(standard, same("luna", "moon"), claim(said)) == (1, 0)
    assert judged(standard, same("moon", "luna"), claim(said)) == (1, 0)
    assert judged(standard, claim(said), same("luna", "moon")) == (0, 1), "what is judged stays"
    assert judged(standard, same("luna", "moon"), same("luna", "luna"), claim(said)) == (0, 1)


# What time does.


def test_score_is_clamped_at_both_ends() -> None:
    """Some of it drifts away between judgements, so the end takes many more of them than it would at once."""
    wrong = [claim(WRONG, timestamp=number) for number in range(40)]
    assert score(*wrong, gold()) == 0
    right = [claim(RIGHT, timestamp=number) for number in range(40)]
    assert score(*right, gold()) == 1_000_000
    assert score(*right, *wrong, gold()) == 0, "in log order, each clamped before the next"
    assert score(*wrong[:1], *right[:11], gold()) == 950_000


def test_score_drifts_to_the_middle_between_judgements() -> None:
    steps = [RULES, gold(), claim(WRONG), *[same("x", "y")] * 7, claim(RIGHT)]
    reader = folded(steps)
    after = drifted(400_000, 0, 8 * STEP_MS)
    assert 400_000 < after < 410_000
    assert TrustRankStore(reader).get(ANN.agent_hex).score_micros == after + 50_000
    last_ms = log_time(len(steps) - 1) >> 16
    assert trust_at(reader, ANN.agent_hex, None, last_ms + HALF_LIFE_MS) == (after + 50_000 + 500_000) // 2


def test_trust_of_whom_nothing_has_judged_is_a_half_at_any_time() -> None:
    reader = folded([RULES, gold()])
    assert TrustRankStore(reader).get(ANN.agent_hex) == NOT_JUDGED
    for time_ms in (0, NOW_MS, 2**47):
        assert trust_at(reader, ANN.agent_hex, None, time_ms) == 500_000


def test_trust_at_a_position_knows_nothing_of_what_came_later() -> None:
    steps = [RULES, gold(), *(claim(RIGHT if number % 2 else WRONG, timestamp=number) for number in range(9))]
    whole = folded(steps)
    agents = [ANN.agent, BOB.agent]
    for at in range(len(steps)):
        time_ms = (log_time(at) >> 16) + 1234
        then = folded(steps[: at + 1])
        assert trust_at(whole, ANN.agent_hex, at, time_ms) == trust_at(then, ANN.agent_hex, None, time_ms)
        assert trusts_at(whole, agents, at, time_ms) == trusts_at(then, agents, None, time_ms)


def test_whoever_changes_trust_is_named_as_what_answers_rest_on() -> None:
    assert RulingsStore(folded([RULES, gold()])).get().trust == -1
    assert RulingsStore(folded([RULES, gold(), claim(RIGHT), same("x", "y")])).get().trust == 2


def test_event_that_is_folded_late_is_judged_and_keeps_the_order_of_changes() -> None:
    """One that failed at first comes again after others: the rank of earlier positions stays as it was read."""
    events = as_logged([RULES, gold(), claim(RIGHT), claim(WRONG), claim(RIGHT, timestamp=1)])
    early, late = [*events[:2], *events[3:]], events[2]
    before = folded_events(early)
    after = folded_events([*early, late])
    assert counts(after) == (2, 1)
    ranks = TrustRankStore(after)
    for seq in range(4):
        assert ranks.as_of(ANN.agent_hex, seq) == TrustRankStore(before).as_of(ANN.agent_hex, seq)
    newest = ranks.get(ANN.agent_hex)
    assert (newest.seq, newest.time) == (4, log_time(4))


def test_gold_standard_that_is_folded_late_after_its_successor_judges_nothing() -> None:
    events = as_logged([RULES, gold(), gold(WRONG), claim(WRONG)])
    assert counts(folded_events([events[0], events[2], events[1], events[3]])) == (1, 0)


# Against the plain rule, over everything at once.


def check(steps: list[Step], cuts: list[int]) -> None:
    events = as_logged(steps)
    reader = folded_events(events, cuts)
    plain = PlainTrust()
    ranks = TrustRankStore(reader)
    for event in events:
        plain.take(event)
        for key in KEYS:
            rank = ranks.as_of(key.agent_hex, event.seq)
            known = plain.scores.get(key.agent)
            if known is None:
                assert rank == NOT_JUDGED
            else:
                found = (rank.score_micros, rank.right_count, rank.wrong_count, rank.time >> 16)
                assert found == known, f"{key.agent_hex} at {event.seq}"
    assert judgements_of(reader) == plain.judged
    store = GoldStore(reader)
    found_golds = {pair: store.get(*pair) for pair in store.pairs(count_max=ALL)}
    assert {tuple(pair): row and row.digest for pair, row in found_golds.items()} == {
        pair: digest for pair, (digest, _) in plain.golds.items()
    }


def judgements_of(reader: Snapshot) -> set[tuple[bytes, bytes, bytes]]:
    keys = [parse(key) for key in rows_of(reader)]
    return {
        tuple(bytes.fromhex(key.text(name)) for name in ("hash", "gold", "agent"))
        for key in keys
        if key.family.tag == "J"
    }  # type: ignore[return-value]


@pytest.mark.parametrize("seed", range(25))
def test_trust_after_a_random_history_is_what_the_plain_rule_gives(seed: int) -> None:
    steps = history(seed, 150)
    check(steps, random.Random(seed).sample(range(150), 4))


@settings(max_examples=40, deadline=None)
@given(histories(40))
def test_trust_after_any_history_is_what_the_plain_rule_gives(steps: list[Step]) -> None:
    check(steps, [])


def test_random_histories_judge_often_and_in_every_way() -> None:
    """So that the tests above cannot pass for want of anything to judge."""
    readers = [folded(history(seed, 150)) for seed in range(25)]
    found = [counts(reader, key) for reader in readers for key in KEYS]
    assert sum(right for right, _ in found) > 50
    assert sum(wrong for _, wrong in found) > 200


def test_rules_of_no_operator_judge_nobody() -> None:
    assert counts(folded([DatabaseRules(), gold(), claim(WRONG)])) == (0, 0)
