"""By whose word an event counts: an operator's, of the time, with a key that was not revoked; once for each event."""

import pytest

from episteme.folds.authority import authorised, operator_among, signers_of, speaking
from model import SignedEvent
from stores import EventStore, PredicateStore, Reader, Staging
from tests.folds.governing import (
    ANA,
    BEN,
    OPERATOR,
    OTHER_OPERATOR,
    RULES,
    folded,
    predicate,
    revocation,
    said,
    without_operators,
)
from tests.support.meaning import Step, as_logged, rules_of

RULE = predicate(ANA)
OTHER_RULE = predicate(ANA, cardinality="many")


def since(reader: Reader, event: SignedEvent) -> int | None:
    row = EventStore(reader).get(event.digest)
    assert row is not None
    return row.since


def counts_from(*steps: Step) -> int | None:
    """The position from which on the last step's event counts, which its fold and its row agree on."""
    last = steps[-1]
    assert isinstance(last, SignedEvent)
    reader = folded(*steps)
    row = PredicateStore(reader).get("age")
    found = since(reader, last)
    assert found == (row and row.seq if row is not None and row.digest == last.digest else None)
    return found


def test_without_rules_nobody_is_an_operator() -> None:
    assert counts_from(said(RULE, ANA, OPERATOR)) is None
    assert counts_from(without_operators(), said(RULE, ANA, OPERATOR)) is None


def test_operators_word_counts_from_its_position_on() -> None:
    assert counts_from(RULES, said(predicate(), OPERATOR)) == 1
    assert counts_from(RULES, said(RULE, ANA)) is None


def test_operator_may_sign_what_names_another_agent() -> None:
    assert counts_from(RULES, said(RULE, ANA, BEN, OPERATOR)) == 1


def test_signature_that_joins_later_makes_it_count_from_there_on() -> None:
    assert counts_from(RULES, said(RULE, ANA), said(RULE, BEN), said(RULE, ANA, OPERATOR)) == 3


def test_signer_who_became_an_operator_counts_at_the_next_signature() -> None:
    early = (rules_of(BEN), said(RULE, ANA, OPERATOR), RULES)
    assert since(folded(*early), said(RULE, ANA)) is None, "rules alone say nothing about what was said before"
    assert counts_from(*early, said(RULE, BEN)) == 3


def test_operator_who_is_none_any_more_has_no_say() -> None:
    assert counts_from(RULES, rules_of(OTHER_OPERATOR), said(RULE, ANA, OPERATOR)) is None
    assert counts_from(RULES, said(RULE, ANA), rules_of(OTHER_OPERATOR), said(RULE, OTHER_OPERATOR)) == 3


def test_what_counted_goes_on_counting_when_its_operator_is_none_any_more() -> None:
    assert since(folded(RULES, said(RULE, OPERATOR), without_operators()), said(RULE)) == 1


def test_revoked_operator_is_none_and_another_still_is() -> None:
    gone = said(revocation(OPERATOR, OPERATOR), OPERATOR)
    assert counts_from(RULES, gone, said(RULE, OPERATOR)) is None
    assert counts_from(RULES, gone, said(RULE, OPERATOR), said(RULE, OTHER_OPERATOR)) == 3


def test_revoked_operator_does_not_become_one_again_by_new_rules() -> None:
    gone = said(revocation(OPERATOR, OPERATOR), OPERATOR)
    assert counts_from(RULES, gone, rules_of(OPERATOR), said(RULE, OPERATOR)) is None


def test_signature_of_an_operator_who_was_revoked_later_still_counts() -> None:
    gone = said(revocation(OPERATOR, OPERATOR), OPERATOR)
    assert since(folded(RULES, said(RULE, OPERATOR), gone), said(RULE)) == 1


def test_event_counts_once_and_does_not_come_back_when_it_is_sent_again() -> None:
    first, second = said(RULE, OPERATOR), said(OTHER_RULE, OPERATOR)
    reader = folded(RULES, first, second, said(RULE, OTHER_OPERATOR), said(RULE, OPERATOR))
    found = PredicateStore(reader).get("age")
    assert found is not None
    assert (found.digest, found.seq) == (second.digest, 2)
    assert (since(reader, first), since(reader, second)) == (1, 2)


def test_what_must_hold_besides_is_asked_only_of_what_an_operator_has_signed() -> None:
    reader = folded(RULES, said(RULE, ANA))
    [_, stranger, operator] = as_logged([RULES, said(RULE, ANA), said(OTHER_RULE, OPERATOR)])
    state = Staging(reader)
    assert not authorised(stranger, state, lambda: pytest.fail("asked"))
    assert signers_of(stranger, state) == (ANA.agent,)
    assert signers_of(operator, state) == ()
    assert not authorised(operator, state), "the fold of assertions has not seen it"


def test_who_speaks_is_told_as_of_a_position_in_the_order_asked() -> None:
    state = Staging(folded(RULES, said(revocation(ANA, ANA), ANA)))
    asked = [BEN.agent, ANA.agent, OPERATOR.agent]
    assert speaking(asked, 0, state) == asked
    assert speaking(asked, 1, state) == [BEN.agent, OPERATOR.agent]
    assert operator_among(asked, 1, state) == OPERATOR.agent
    assert operator_among([ANA.agent, BEN.agent], 1, state) is None
