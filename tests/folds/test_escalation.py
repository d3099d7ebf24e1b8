"""Escalations: raised by two rules, resolved when their ground is gone, acknowledged by operators."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from episteme.folds.escalation import LOOKED_AT_MAX
from episteme.lenses import lens_named
from episteme.reading import Moment, Question, resolve_full
from model import (
    SOURCE_CLASSES,
    Alias,
    AnyValue,
    Assertion,
    DatabaseRules,
    EscalationAck,
    KeyRevocation,
    ReferenceValue,
    SignedEvent,
    SigningKey,
    Supersession,
    TextValue,
)
from stores import (
    Acknowledgement,
    EscalationRow,
    EscalationStore,
    LogPlace,
    Reader,
    make_escalation_id,
)
from tests.support.events import NOW_MS, make_assertion, signed
from tests.support.folding import folded, rows_of
from tests.support.meaning import KEYS, Step, history, log_time, rules_of
from tests.support.stores import ALL

OPERATOR, ANN, BOB, CY = KEYS[0], *KEYS[3:6]
PAIR = ("earth", "shape")
FLAT, ROUND = TextValue("flat"), TextValue("round")
CLUSTER, CONFLICT = "anecdotal_cluster", "regulatory_conflict"


def claim(source_class: str, value: AnyValue = ROUND, *keys: SigningKey, **fields: Any) -> SignedEvent:
    body: dict[str, Any] = {
        "subject": PAIR[0],
        "predicate": PAIR[1],
        "object": value,
        "source_class": source_class,
        "lifecycle": "approved",
        "timestamp": NOW_MS,
    }
    return signed(make_assertion(**body | fields), *(keys or (ANN,)))


def anecdotes(count: int, start: int = 0) -> list[SignedEvent]:
    return [claim("anecdotal", timestamp=start + number) for number in range(count)]


def rules(count: int = 3, micros: int = 800_000) -> DatabaseRules:
    return rules_of(OPERATOR, anecdotal_cluster_count=count, regulatory_conflict_micros=micros)


def moved(parent: SignedEvent, **fields: Any) -> dict[str, Any]:
    return {"parent_hash": parent.hash_hex, "timestamp": NOW_MS + 1} | fields


def supersede(target: SignedEvent, key: SigningKey = OPERATOR) -> SignedEvent:
    event = Supersession(
        v=2,
        agent=key.agent_hex,
        timestamp=NOW_MS,
        assertion=target.hash_hex,
        subject=PAIR[0],
        mode="invalidate",
        reason="wrong",
    )
    return signed(event, key)


def ack(escalation: str, *keys: SigningKey, verdict: str = "looked at") -> SignedEvent:
    keys = keys or (OPERATOR,)
    event = EscalationAck(v=2, agent=keys[0].agent_hex, timestamp=NOW_MS, escalation=escalation, verdict=verdict)
    return signed(event, *keys)


def escalations(*steps: Step) -> list[EscalationRow]:
    return all_of(folded(steps))


def all_of(reader: Reader) -> list[EscalationRow]:
    return [row for _, row in EscalationStore(reader).oldest(count_max=ALL)]


def statuses(*steps: Step) -> list[tuple[str, str]]:
    return [(row.rule, row.status) for row in escalations(*steps)]


def place(seq: int) -> LogPlace:
    return LogPlace(seq, log_time(seq))


# Many anecdotal claims.


def test_claim_that_fills_the_number_raises_a_warning_under_its_place() -> None:
    reader = folded([rules(), *anecdotes(3)])
    escalation_id = make_escalation_id(CLUSTER, *PAIR, 3)
    row = EscalationStore(reader).get(escalation_id)
    detail = "3 anecdotal claims and none of tier 0 to 2"
    assert row == EscalationRow(CLUSTER, "warning", "open", *PAIR, detail, place(3), None, None)
    assert EscalationStore(reader).unresolved(*PAIR) == [(escalation_id, row)]
    assert all_of(reader) == [row]


def test_fewer_claims_or_a_second_signature_on_one_raise_nothing() -> None:
    two = anecdotes(2)
    assert escalations(rules(), *two, *two, signed(two[0].event, BOB), signed(two[1].event, ANN, CY)) == []


def test_five_hundred_it_is_unless_the_rules_say_otherwise() -> None:
    assert escalations(rules_of(OPERATOR), *anecdotes(499)) == []
    assert len(escalations(rules_of(OPERATOR), *anecdotes(500))) == 1


def test_more_claims_raise_it_no_second_time() -> None:
    assert statuses(rules(), *anecdotes(9)) == [(CLUSTER, "open")]


@pytest.mark.parametrize("source_class", ["expert", "community"])
def test_claims_of_other_low_tiers_neither_count_nor_prevent(source_class: str) -> None:
    others = [claim(source_class, timestamp=number) for number in range(5)]
    assert escalations(rules(), *others) == []
    assert statuses(rules(), *others, *anecdotes(3)) == [(CLUSTER, "open")]


@pytest.mark.parametrize("source_class", ["regulatory", "clinical", "observational"])
def test_better_claim_prevents_it_whenever_it_came(source_class: str) -> None:
    better = claim(source_class)
    assert escalations(rules(), better, *anecdotes(4)) == []
    assert escalations(rules(), *anecdotes(2), better, *anecdotes(4, 10)) == []


@pytest.mark.parametrize("source_class", ["regulatory", "clinical", "observational"])
def test_better_claim_resolves_it_for_good(source_class: str) -> None:
    rows = escalations(rules(), *anecdotes(3), claim(source_class), *anecdotes(9, 100))
    assert [(row.rule, row.status, row.raised, row.resolved) for row in rows] == [
        (CLUSTER, "resolved", place(3), place(4))
    ]
    assert EscalationStore(folded([rules(), *anecdotes(3), claim(source_class)])).unresolved(*PAIR) == []


def test_claims_of_another_pair_do_not_count_and_do_not_resolve() -> None:
    elsewhere = [claim("anecdotal", timestamp=number, predicate="age") for number in range(2)]
    assert escalations(rules(), *anecdotes(2), *elsewhere) == []
    better = claim("clinical", predicate="age")
    assert statuses(rules(), *anecdotes(3), better) == [(CLUSTER, "open")]


def test_rules_count_from_their_position_on() -> None:
    assert statuses(rules(500), *anecdotes(4), rules(3), *anecdotes(1, 50)) == [(CLUSTER, "open")]
    assert statuses(rules(500), claim("clinical"), *anecdotes(4), rules(3), *anecdotes(1, 50)) == []


def test_claims_count_whatever_becomes_of_them() -> None:
    three = anecdotes(3)
    steps = [rules(), *three[:2], supersede(three[0]), three[2]]
    assert statuses(*steps) == [(CLUSTER, "open")]


# Regulatory claims against each other.


def conflicted() -> list[SignedEvent]:
    return [claim("regulatory", ROUND, ANN), claim("regulatory", FLAT, BOB)]


def test_two_opposite_regulatory_claims_raise_a_critical_one() -> None:
    rows = escalations(rules(), *conflicted())
    detail = "a conflict of 1.000000 among regulatory claims"
    assert rows == [EscalationRow(CONFLICT, "critical", "open", *PAIR, detail, place(2), None, None)]


def test_regulatory_claims_that_agree_raise_nothing() -> None:
    assert escalations(rules(), claim("regulatory", ROUND, ANN), claim("regulatory", ROUND, BOB)) == []


def test_claims_of_other_tiers_have_no_say_in_it() -> None:
    assert escalations(rules(), claim("regulatory", ROUND, ANN), claim("clinical", FLAT, BOB)) == []
    many = [claim("expert", ROUND, key, timestamp=1) for key in KEYS[2:]]
    assert statuses(rules(), *many, *conflicted()) == [(CONFLICT, "open")]


def test_conflict_below_the_rule_raises_nothing_and_resolves_what_was_raised() -> None:
    third, fourth = claim("regulatory", ROUND, CY), claim("regulatory", ROUND, KEYS[6])
    rows = escalations(rules(), *conflicted(), third, fourth)
    assert [(row.status, row.resolved) for row in rows] == [("open", None)], "3 of 4: a conflict of 0.811278"
    rows = escalations(rules(), *conflicted(), third, fourth, claim("regulatory", ROUND, KEYS[2], timestamp=5))
    assert [(row.status, row.resolved) for row in rows] == [("resolved", place(5))]
    assert escalations(rules(micros=900_000), third, fourth, *conflicted()) == []


def test_one_that_was_resolved_is_raised_again_under_a_new_id() -> None:
    flat = conflicted()[1]
    again = claim("regulatory", FLAT, BOB, timestamp=NOW_MS + 9)
    reader = folded([rules(), *conflicted(), supersede(flat), again])
    assert [(row.status, row.raised, row.resolved) for row in all_of(reader)] == [
        ("resolved", place(2), place(3)),
        ("open", place(4), None),
    ]
    [(escalation_id, _)] = EscalationStore(reader).unresolved(*PAIR)
    assert escalation_id == make_escalation_id(CONFLICT, *PAIR, 4)


def test_signature_that_joins_may_resolve_it() -> None:
    steps = [rules(), *conflicted()]
    body = conflicted()[0].event
    assert statuses(*steps, signed(body, CY, KEYS[2])) == [(CONFLICT, "open")]
    assert statuses(*steps, signed(body, CY, KEYS[2], KEYS[6], KEYS[1])) == [(CONFLICT, "resolved")]


def test_superseded_claim_resolves_it_whichever_comes_first() -> None:
    first, second = conflicted()
    assert statuses(rules(), first, second, supersede(second)) == [(CONFLICT, "resolved")]
    assert statuses(rules(), first, supersede(second), second) == []
    assert statuses(rules(), first, second, supersede(second, CY)) == [(CONFLICT, "open")], "a stranger's has no effect"


def test_claim_that_is_deprecated_resolves_it() -> None:
    first, second = conflicted()
    gone = claim("regulatory", FLAT, BOB, **moved(second, lifecycle="deprecated"))
    assert statuses(rules(), first, second, gone) == [(CONFLICT, "resolved")]


def test_stage_of_another_class_takes_a_claim_out_of_the_conflict_and_one_may_bring_it_in() -> None:
    first, second = conflicted()
    out = claim("clinical", FLAT, BOB, **moved(second))
    assert statuses(rules(), first, second, out) == [(CONFLICT, "resolved")]
    back = claim("regulatory", FLAT, BOB, parent_hash=out.hash_hex, timestamp=NOW_MS + 2)
    assert statuses(rules(), first, second, out, back) == [(CONFLICT, "resolved"), (CONFLICT, "open")]


def test_who_signed_an_earlier_stage_of_another_class_stands_for_the_value_too() -> None:
    others = [KEYS[2], CY, KEYS[6], KEYS[1]]
    early = claim("clinical", ROUND, *others)
    late = claim("regulatory", ROUND, ANN, **moved(early))
    assert statuses(rules(), conflicted()[1], early, late) == [], "5 against 1"


def test_signer_that_is_revoked_has_no_voice_from_the_next_look_on() -> None:
    first, second = conflicted()
    event = KeyRevocation(v=2, agent=BOB.agent_hex, timestamp=NOW_MS, revoked=BOB.agent_hex, reason="lost")
    revoked = signed(event, BOB)
    assert statuses(rules(), first, second, revoked) == [(CONFLICT, "open")], "no claim of the pair was touched"
    assert statuses(rules(), first, second, revoked, signed(first.event, CY)) == [(CONFLICT, "resolved")]
    assert statuses(rules(), revoked, first, second) == []
    silent = claim("regulatory", TextValue("a disk"), BOB)
    heard = claim("regulatory", FLAT, CY)
    assert statuses(rules(), revoked, silent, first, heard) == [(CONFLICT, "open")], "two values, not three"


def test_parent_under_another_predicate_has_no_part_in_it() -> None:
    elsewhere = claim("regulatory", FLAT, BOB, predicate="age")
    assert escalations(rules(), elsewhere, claim("regulatory", ROUND, ANN, **moved(elsewhere))) == []


def test_references_are_compared_through_aliases() -> None:
    event = Alias(v=2, agent=OPERATOR.agent_hex, timestamp=NOW_MS, subject="terra", same_as="gaia")
    one, other = (make_reference(name, key) for name, key in (("terra", ANN), ("gaia", BOB)))
    assert statuses(rules(), signed(event, OPERATOR), one, other) == []
    assert statuses(rules(), one, other) == [(CONFLICT, "open")]


def make_reference(name: str, key: SigningKey) -> SignedEvent:
    return claim("regulatory", ReferenceValue(name), key)


def test_pair_of_more_claims_than_are_read_at_each_is_looked_at_when_they_have_doubled() -> None:
    claims = [claim("regulatory", FLAT, BOB, timestamp=number) for number in range(300)]
    agreed = [claim("regulatory", ROUND, ANN, timestamp=number) for number in range(LOOKED_AT_MAX)]
    assert escalations(rules(), *agreed, *claims[: LOOKED_AT_MAX - 1]) == []
    rows = escalations(rules(), *agreed, *claims[:300])
    assert [row.raised for row in rows] == [place(2 * LOOKED_AT_MAX)]
    joined = signed(agreed[0].event, CY, KEYS[2], KEYS[6], KEYS[1])
    assert statuses(rules(), *agreed, *claims, joined) == [(CONFLICT, "open")], "nobody has looked since"


# Acknowledgement.


def test_operator_acknowledges_an_open_one_once() -> None:
    escalation_id = make_escalation_id(CONFLICT, *PAIR, 2)
    first = ack(escalation_id)
    rows = escalations(rules(), *conflicted(), first, ack(escalation_id, verdict="looked at again"))
    expected = Acknowledgement(OPERATOR.agent, "looked at", first.digest, 3, log_time(3))
    assert [(row.status, row.acknowledged) for row in rows] == [("acknowledged", expected)]


def test_acknowledged_one_is_not_raised_beside_itself_and_can_be_resolved() -> None:
    escalation_id = make_escalation_id(CONFLICT, *PAIR, 2)
    more = claim("regulatory", FLAT, BOB, timestamp=NOW_MS + 9)
    steps = [rules(), *conflicted(), ack(escalation_id)]
    assert statuses(*steps, more) == [(CONFLICT, "acknowledged")]
    row = escalations(*steps, supersede(conflicted()[1]))[0]
    assert (row.status, row.resolved, row.acknowledged is not None) == ("resolved", place(4), True)


def test_acknowledgement_by_a_stranger_counts_when_an_operator_joins() -> None:
    escalation_id = make_escalation_id(CONFLICT, *PAIR, 2)
    by_cy, joined = ack(escalation_id, CY), ack(escalation_id, CY, OPERATOR)
    assert statuses(rules(), *conflicted(), by_cy) == [(CONFLICT, "open")]
    row = escalations(rules(), *conflicted(), by_cy, joined)[0]
    assert row.acknowledged is not None
    assert (row.acknowledged.agent, row.acknowledged.seq) == (OPERATOR.agent, 4)


@pytest.mark.parametrize("escalation", ["0" * 32, "esc-1", make_escalation_id(CLUSTER, *PAIR, 2)])
def test_acknowledgement_of_what_is_not_there_has_no_effect(escalation: str) -> None:
    assert statuses(rules(), *conflicted(), ack(escalation)) == [(CONFLICT, "open")]


def test_resolved_one_stays_resolved() -> None:
    escalation_id = make_escalation_id(CONFLICT, *PAIR, 2)
    steps = [rules(), *conflicted(), supersede(conflicted()[1]), ack(escalation_id)]
    assert [(row.status, row.acknowledged) for row in escalations(*steps)] == [("resolved", None)]


# Against the read path, and over everything at once.


class _World:
    """Claims of one pair whose chains come in order, supersessions, and signatures that join."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._said: list[SignedEvent] = []
        self._is_idle_talk = seed % 3 == 0
        self._classes = self._random.choice([("regulatory",) * 4 + SOURCE_CLASSES, ("regulatory", "clinical")])

    def step(self) -> SignedEvent:
        """One that the rules look at the pair for."""
        draw = self._random.random()
        if self._said and draw < 0.15:
            return signed(self._random.choice(self._said).event, *self._random.sample(KEYS, 2))
        if self._said and draw < 0.25:
            return supersede(self._random.choice(self._said), self._random.choice(KEYS[:4]))
        fields: dict[str, Any] = {"timestamp": NOW_MS + len(self._said)}
        value: AnyValue = self._random.choice([ROUND, FLAT, TextValue("a disk")])
        if self._said and self._random.random() < 0.5:
            parent = self._random.choice(self._said)
            assert isinstance(parent.event, Assertion)
            fields["parent_hash"] = parent.hash_hex
            value = parent.event.object if self._random.random() < 0.8 else value
        fields["lifecycle"] = self._random.choice(["approved", "approved", "approved", "proposed", "rejected"])
        self._said.append(claim(self._random.choice(self._classes), value, self._random.choice(KEYS), **fields))
        return self._said[-1]

    def any_step(self, steps: Sequence[Step]) -> Step:
        """Also anecdotes, other rules, and acknowledgements of what these steps have raised."""
        draw = self._random.random()
        if draw < 0.35:
            return claim("anecdotal", timestamp=len(steps))
        if draw < 0.42:
            raised = [place.escalation_id for place, _ in EscalationStore(folded(steps)).newest(count_max=2)]
            return ack(self._random.choice([*raised, "0" * 32]), self._random.choice([OPERATOR, OPERATOR, CY]))
        if draw < 0.5:
            return rules(self._random.choice([2, 4, 500]), self._random.choice([0, 500_000, 900_000]))
        return claim("community", timestamp=len(steps)) if self._is_idle_talk else self.step()


def everything(seed: int) -> list[Step]:
    world, steps = _World(seed), list[Step]([rules(), *anecdotes(seed % 4)])
    while len(steps) < 60:
        steps.append(world.any_step(steps))
    return steps


@pytest.mark.parametrize("seed", range(10))
def test_conflict_is_open_just_when_a_question_for_regulatory_claims_finds_it(seed: int) -> None:
    world, steps = _World(seed), list[Step]([rules()])
    seen = set()
    for _ in range(30):
        steps.append(world.step())
        reader = folded(steps)
        question = Question(subject=PAIR[0], predicate=PAIR[1], lens="consensus", source_class=("regulatory",))
        found = resolve_full(reader, lens_named("consensus"), question, moment(len(steps)))
        expected = found.finding.resolution.conflict >= 0.8
        open_rows = [row for _, row in EscalationStore(reader).unresolved(*PAIR) if row.rule == CONFLICT]
        assert bool(open_rows) is expected
        seen.add(expected)
    assert seen == {True, False} or seed


def moment(count: int) -> Moment:
    return Moment(None, count - 1, NOW_MS, NOW_MS)


@pytest.mark.parametrize("seed", range(12))
def test_escalations_do_not_depend_on_where_batches_begin_and_end(seed: int) -> None:
    for steps in (everything(seed), history(seed, 100)):
        one_by_one = rows_of(folded(steps, range(len(steps))))
        assert rows_of(folded(steps)) == one_by_one
        assert rows_of(folded(steps, random.Random(seed).sample(range(len(steps)), 6))) == one_by_one


def test_random_histories_raise_acknowledge_and_resolve_and_never_one_beside_another() -> None:
    """So that the test above compares something."""
    found = set()
    for seed in range(12):
        reader = folded(everything(seed))
        found.update((row.rule, row.status) for row in all_of(reader))
        rules_open = [row.rule for _, row in EscalationStore(reader).unresolved(*PAIR)]
        assert len(set(rules_open)) == len(rules_open)
    assert found == {(rule, status) for rule in (CLUSTER, CONFLICT) for status in ("open", "acknowledged", "resolved")}
